"""Where Core ML runs a network: the compute plan in numbers, and the flag when it leaves the Neural Engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

ENGINE = "ane"
MIN_SHARE = 0.9
"""Less of the estimated cost on the Neural Engine than this is flagged."""
USES_ENGINE = ("all", "cpu_and_ne")


@dataclass(frozen=True)
class ComputePlan:
    """What Core ML says before it runs a network: a preference, not a measurement.

    Attributes:
        operations: how many by (kind, unit), unit being `ane`, `gpu` or `cpu`; constants are left out.
        cost: estimated cost by unit, any scale; empty if it does not say.
    """

    operations: Mapping[tuple[str, str], int]
    cost: Mapping[str, float]

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.operations.values())

    @property
    def on_engine(self) -> int:
        """Operations on the Neural Engine."""
        return sum(n for (_, unit), n in self.operations.items() if unit == ENGINE)

    @property
    def cost_share(self) -> float | None:
        """Share of the estimated cost on the Neural Engine; None if it is not known."""
        total = sum(self.cost.values())
        return self.cost.get(ENGINE, 0.0) / total if total > 0 else None

    def elsewhere(self) -> str:
        """Operations off the Neural Engine by name, the most frequent first, e.g. `resize_bilinear on cpu (6)`."""
        off = Counter({key: n for key, n in self.operations.items() if key[1] != ENGINE})
        return ", ".join(f"{kind} on {unit} ({n})" for (kind, unit), n in off.most_common())

    def conditions(self) -> tuple[tuple[str, str], ...]:
        """For a latency record."""
        share = self.cost_share
        return (
            ("ane_operations", f"{self.on_engine} of {self.total}"),
            ("ane_cost_share", "unknown" if share is None else f"{share:.3f}"),
            ("off_ane", self.elsewhere()),
        )

    def flags(self, units: str) -> tuple[str, ...]:
        """`ane-fallback: ...` where the Neural Engine may be used and too little runs on it."""
        if units not in USES_ENGINE or not self.total:
            return ()
        share = self.cost_share
        share = self.on_engine / self.total if share is None else share
        if share >= MIN_SHARE:
            return ()
        return (f"ane-fallback: {self.total - self.on_engine} of {self.total} operations",)
