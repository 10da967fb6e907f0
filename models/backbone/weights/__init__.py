"""The files that a backbone's networks are read from: their layouts, the hub, one network loaded or counted."""
