"""How far a target's predicted latencies are to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvsearch.targets.predictor.validation import PhoneValidation


def validate(target: str) -> PhoneValidation:
    """Refit a phone's predictor from the shipped table of published latencies and report its errors.

    Args:
        target: a phone, as in `--target`.

    Raises:
        TargetError: no table of published latencies is shipped for it.
    """
    from mvsearch.targets.predictor.phones import get_phone
    from mvsearch.targets.predictor.validate import validate_phone

    return validate_phone(get_phone(target).name)
