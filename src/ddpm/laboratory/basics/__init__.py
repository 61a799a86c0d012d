"""What the paper takes for granted: likelihood and bound, chains and joint laws, latents, maps, densities and masses."""
