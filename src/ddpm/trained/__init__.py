"""A trained model, and what one does with it: score, edit, interpolate, compare."""
