"""What the folders and files of a source mean: which are splits, which are classes, which are images, and what is left out."""
