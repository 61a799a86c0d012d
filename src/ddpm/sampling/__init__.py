"""Algorithm 2 and its relatives: from noise to images, every step handed out."""
