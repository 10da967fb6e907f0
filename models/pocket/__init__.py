"""The backbone that ships inside: scenes, networks, training and weights."""
