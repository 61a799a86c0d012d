"""The paper, one file per idea: q, p_theta, the bound between them, and the losses that come of it."""
