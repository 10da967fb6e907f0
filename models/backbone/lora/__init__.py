"""LoRA beside a backbone: which files, what they change, and their fusing into the weights (arXiv 2106.09685)."""
