"""AttentionCut: from attention to an object mask by a minimum cut. Needs only numpy, scipy and PyMaxflow."""
