"""The search: proposals (Optuna), evaluation (in-process or Ray), the store, the front."""
