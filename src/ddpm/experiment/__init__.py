"""A run as a value: what is written as config.json, its fields by name, and named ones."""
