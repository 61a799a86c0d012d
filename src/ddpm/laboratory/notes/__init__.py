"""What the study notes and the paper say: their statements, slips and equations, and where each is answered."""
