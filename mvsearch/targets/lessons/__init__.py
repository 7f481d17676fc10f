"""Controlled pairs of networks, one for each observation about latency that a family was designed by."""
