"""Search engines raced on equal terms: the same space, objectives and evaluations, and how much of the front each finds."""
