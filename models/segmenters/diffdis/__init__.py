"""DiffDIS: a mask and its edge in one step."""
