"""How a command speaks, what it may write, and what happens to its processes and signals."""
