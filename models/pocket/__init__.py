"""The backbone that ships with maskmill: scenes, networks, training and weights."""
