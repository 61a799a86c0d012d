"""Data of which everything is known: densities, scores, denoisers, bounds and reverse kernels in closed form."""
