"""What runs, in what order, with which config. Flow functions only."""
