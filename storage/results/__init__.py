"""Folders of predicted masks and of scores."""
