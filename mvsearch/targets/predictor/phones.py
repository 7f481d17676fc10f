"""The phones with published Core ML latencies: their devices, and the protocols that were used on them."""

from __future__ import annotations

from dataclasses import dataclass

from mvsearch.errors import TargetError


@dataclass(frozen=True)
class Phone:
    """A phone and how latencies on it were published.

    Attributes:
        name: as in `--target`.
        devices: models in the table that count as this phone (one chip, one Neural Engine).
        soc: the chip.
        protocol: the reference in words, whose latency is predicted.
        reference: protocols of the table that took it; their scales are held near 1.
        old: protocols from before iOS 16, whose attention runs up to three times slower; left out of the
            figures for recent software.
        prior: phone whose fitted rates are what this one's are expected to be proportional to.
    """

    name: str
    devices: tuple[str, ...]
    soc: str
    protocol: str
    reference: frozenset[str]
    old: frozenset[str] = frozenset()
    prior: str = ""

    @property
    def title(self) -> str:
        """E.g. `iPhone 12, 12 Pro, 12 Pro Max`."""
        return ", ".join((self.devices[0], *(d.removeprefix("iPhone ") for d in self.devices[1:])))


PHONES = {
    p.name: p
    for p in (
        Phone(
            "iphone12",
            ("iPhone 12", "iPhone 12 Pro", "iPhone 12 Pro Max"),
            "Apple A14",
            "Xcode 14 performance report, iOS 16, all compute units, float16, batch 1",
            frozenset({"efficientformerv2-xcode14", "nextvit-xcode14", "repnext-xcode14", "repvit-xcode14", "shvit-xcode14"}),
            old=frozenset({"efficientformer-app", "mobilevit-2021"}),
        ),
        Phone(
            "iphone13",
            ("iPhone 13",),
            "Apple A15",
            "coremltools benchmark of iFormer (arXiv 2501.15369), float16, batch 1",
            frozenset({"iformer-coremltools"}),
            prior="iphone12",
        ),
        Phone(
            "iphone14",
            ("iPhone 14",),
            "Apple A15",
            "Xcode 14 performance report, iOS 16 (SwiftFormer, arXiv 2303.15446), float16, batch 1",
            frozenset({"swiftformer-xcode14"}),
            prior="iphone12",
        ),
    )
}


def get_phone(name: str) -> Phone:
    """The phone of this name, such as `iphone12` or `iPhone 12`.

    Raises:
        TargetError: no latency on it is in the table.
    """
    key = name.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    if key in PHONES:
        return PHONES[key]
    known = ", ".join(f"`{n}`" for n in PHONES)
    raise TargetError(f"no table of published latencies for `{name}`", f"there is one for {known}")
