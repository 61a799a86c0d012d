"""Real bytes: a model as a codec of images (section 4.3 of the paper, with the coder that it leaves out)."""
