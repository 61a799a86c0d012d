"""What `ddpm lab` shows: answers, derivations, the notes, answers on a model of one's own."""
