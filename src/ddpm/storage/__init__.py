"""Files that can be relied on: written so that a crash leaves the old or the new, read so that a hostile one does no harm."""
