"""What the statistics look at: networks that make a few numbers of each image, behind one protocol (`extractor`)."""
