"""The laboratory on your own model: a trained network and real images beside a model that is known exactly."""
