"""Configurations, one stage a file: the schema of options, of YAML files and of the forms in the Prefect UI."""
