"""What a run does where nothing is said; a module of its own, so that `--help` can show it at no cost."""

TRIALS = 3000
CONFIDENCE = 0.8
TRAIN_RESOLUTION = 128
"""Pixels; at 64 the last stage's map is a single patch, and its attention attends to nothing."""
TRAIN_CANDIDATES = 12
TRAIN_STEPS = 900
TRAIN_BATCH = 128
TRAIN_SEEDS = 2
EXPORTS = "onnx,coreml"
