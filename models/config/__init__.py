"""Frozen configurations, one module a stage. Those that users name are in `maskmill`."""

from models.moved import moved

__getattr__ = moved(__name__, BuildConfig="models.config.build", CutConfig="models.config.cut")
