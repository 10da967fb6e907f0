"""Backbones in one file, as fine-tunes are shared (.safetensors, .ckpt): what they are, their configurations, loading."""
