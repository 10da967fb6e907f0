"""CLIP models, and the classes that they recognise in images."""
