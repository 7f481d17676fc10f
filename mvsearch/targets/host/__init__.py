"""This machine as a target: its CPU and its GPU, measured here and predicted from what was measured."""
