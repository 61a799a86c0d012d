"""Algorithm 1, with all that makes it resumable to the bit."""
