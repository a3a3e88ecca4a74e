"""Processes of one cluster: how they meet, work together and end."""
