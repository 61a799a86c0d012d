"""Many images on one stack, in the bits that the bound says: bits back along the chain (section 3.3, with a coder)."""
