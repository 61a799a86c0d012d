"""The images of a folder, an archive or a table: listed, looked at once for the index, and read when they are asked for."""
