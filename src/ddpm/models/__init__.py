"""Networks: the paper's U-Net (Appendix B) and an MLP for points."""
