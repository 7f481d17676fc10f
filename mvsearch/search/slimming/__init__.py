"""Latency-driven slimming: from the largest network of a space, move by move, until the budget is met.

EfficientFormer's search (Li et al. 2022, arXiv 2206.01191, section 4.2) on estimates or measurements instead of a supernet,
and the criterion of its second version (arXiv 2212.08059, section 3). Neither search was published as code.
"""
