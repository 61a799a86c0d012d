"""What is in a folder, an archive or a table: looked through once, remembered, read when asked for."""
