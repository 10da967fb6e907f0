"""Text-to-image backbones: facts, networks, sampling and inversion, and what is recorded meanwhile."""
