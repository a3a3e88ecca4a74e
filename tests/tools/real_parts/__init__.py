"""Tries of the project with the real systems that tests have stand-ins for."""
