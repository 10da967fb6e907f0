"""Prefect's API, on which no work depends."""
