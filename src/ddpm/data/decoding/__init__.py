"""From the bytes of a file to pixels, by processes that may die of it."""
