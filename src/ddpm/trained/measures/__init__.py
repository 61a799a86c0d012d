"""What is measured of the images that a trained model draws: distances from real ones, whether it copies, what they cost."""
