"""How every figure looks, and images as pictures: plots, grids, numbered PNGs."""
