"""Thin tasks: skip finished work, read, call models once, write, return a small record."""
