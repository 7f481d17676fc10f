"""`gpu`: a CUDA device of this machine, measured with PyTorch."""
