"""What a run does where nothing is said; a module of its own, so that `--help` can show it at no cost."""

TRIALS = 3000
CONFIDENCE = 0.8
