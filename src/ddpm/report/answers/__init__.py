"""What the laboratory says to one question: for a terminal, as JSON, and for a notebook. `ddpm lab` and `ddpm.lab` show it."""
