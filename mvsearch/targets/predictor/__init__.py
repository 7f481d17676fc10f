"""Latency from operations: the model, its fit to published latencies, and how far it is to be trusted."""
