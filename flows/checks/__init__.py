"""Checks before a flow starts. They write nothing, and importing them imports no torch."""
