"""Alambic: distil large, frozen teacher networks into small students."""

__version__ = "0.1.0"
