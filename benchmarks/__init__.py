"""Speed and quality tables, each one command."""
