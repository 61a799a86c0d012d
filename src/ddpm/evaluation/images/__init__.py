"""How far two sets of images are from each other: statistics of features, each with its interval and how it was measured."""
