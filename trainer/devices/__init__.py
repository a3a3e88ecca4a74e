"""Devices: what computes, how precisely, and in how much memory."""
