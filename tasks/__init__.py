"""Thin tasks: skip if done, read, one call into models, write, return a small record."""
