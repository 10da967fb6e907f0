"""AttentionCut: from attention to an object mask by a minimum cut. Needs numpy, scipy and PyMaxflow only."""
