"""Prompts: the built-in grammar, language models, their checks and their budget."""
