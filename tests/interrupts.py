"""Processes that can be interrupted, whoever runs the tests."""

import signal


def hear_interrupts():
    """For `preexec_fn`: a test run that was started in the background ignores SIGINT, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
