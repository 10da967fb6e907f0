"""Prefect's temporary server."""
