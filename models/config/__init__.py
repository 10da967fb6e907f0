"""Configurations, one stage a file: the schema of options, of YAML files and of the forms in the Prefect UI."""

from models.moved import moved

__getattr__ = moved(__name__, BuildConfig="models.config.build", CutConfig="models.config.cut")
