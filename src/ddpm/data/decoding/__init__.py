"""From the bytes of a file to pixels, in worker processes, which a bad file may crash."""
