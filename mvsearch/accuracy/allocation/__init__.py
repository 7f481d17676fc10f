"""What the allocation of a fixed size is worth: a designed set of networks, trained alike, and the effect of each knob."""
