"""The bound of a trained model over a data set, and the rate-distortion curve."""
