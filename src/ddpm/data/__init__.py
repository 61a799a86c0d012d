"""From files to integer images, and from integers to [-1, 1]."""
