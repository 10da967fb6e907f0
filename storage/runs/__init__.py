"""Run folders of trainings: description, weights, cached features, and the order of samples."""
