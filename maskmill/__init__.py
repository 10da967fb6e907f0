"""maskmill: segmentation training data from class names."""
