"""Run folders of trainings: description, weights, cached features, samples in order."""
