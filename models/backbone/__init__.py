"""Text-to-image backbones: facts, networks, sampling and inversion, and the capture of attention and features."""
