"""Prefect's server: the configured one, or a temporary one."""
