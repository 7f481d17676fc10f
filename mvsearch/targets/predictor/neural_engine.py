"""Named risks that an operation leaves the Neural Engine: flags beside a prediction, never inside its interval.

One operation that the Neural Engine does not take can move the rest of a network to another unit, and
cost 5 to 15 times; no smooth predictor covers that. Which ones it takes is documented nowhere and changes
with the phone, the version of the system and the size of the tensors (so an engineer of Apple's in
apple/coremltools issue 1780): every rule here names what was seen, where. A flag says that somebody saw a
network with such an operation fall off, not that this one will. Only the compute plan of a measurement
settles it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mvsearch.costs import PART_CACHE, Part
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.predictor.latency_model import body_of

PREFIX = "ane-fallback-risk"
MAX_AXIS = 16_384
MAX_RANK = 5
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules see of a part's operations.

    Attributes:
        kinds: of its operations.
        longest_axis: elements along the longest axis of any activation.
        highest_rank: axes of the activation that has most.
    """

    kinds: frozenset[str]
    longest_axis: int
    highest_rank: int


@dataclass(frozen=True)
class Rule:
    """One kind of operation that was seen, or is documented, to leave the Neural Engine.

    Attributes:
        name: as in the flag.
        source: what was seen, and where.
        part: claim about the operations of one part.
        activation: claim about a network's activation, as in `ArchSpec.activation`.
        body: claim about a transformer block's body, `v1` or `v2`.
        phones: on which it holds; empty for all.
        families: of the published networks that it was seen on.
    """

    name: str
    source: str
    part: Callable[[Facts], bool] | None = None
    activation: str = ""
    body: str = ""
    phones: tuple[str, ...] = ()
    families: tuple[str, ...] = ()


RULES = (
    Rule(
        "hardswish",
        "MobileNetV3-Large takes 0.76 ms on an iPhone 13 in one report (iFormer, arXiv 2501.15369, Table 18) and 11.4 ms "
        "in another (StarNet, arXiv 2403.19967, Table 6); at 512 pixels on an iPhone 12 7.5 ms (SHViT, arXiv 2401.16456, "
        "Table 5), 2.8 times what its operations explain",
        activation="hardswish",
        families=("MobileNetV3",),
    ),
    Rule(
        "resize",
        "MobileViT-S with patch 3, whose fold resizes to a size that is no multiple, takes 14.7 ms against 9.9 ms with "
        "patch 2 (MobileViT, arXiv 2110.02178, Table 6)",
        part=lambda facts: "resize" in facts.kinds,
    ),
    Rule(
        "large-dimension",
        "ONNX Runtime's Core ML provider refuses axes of more than 16,384 elements (microsoft/onnxruntime issue 19543), "
        "the largest side of a Metal texture (apple/coremltools issues 283 and 324)",
        part=lambda facts: facts.longest_axis > MAX_AXIS,
    ),
    Rule(
        "rank",
        "`ANE does not support blob with rank: 6` (Core ML's own log, microsoft/onnxruntime issue 14212)",
        part=lambda facts: facts.highest_rank > MAX_RANK,
    ),
    Rule(
        "separable-attention",
        "on an iPhone 13 MobileViTv2-0.5 took 9.47 ms, and MobileViTv2-1.0 gave no latency (iFormer, arXiv 2501.15369, "
        "Table 18), where three sources measured 1.6 and 2.9 to 3.8 ms on the iPhone 12 family (MobileViTv2, arXiv "
        "2206.02680; SHViT; Next-ViT, arXiv 2207.05501), and 1.7 ms on an iPhone 14 with the same Neural Engine under "
        "iOS 16 (SwiftFormer, arXiv 2303.15446): the software, not the chip",
        body="v2",
        phones=("iphone13",),
        families=("MobileViTv2",),
    ),
)


@lru_cache(maxsize=16)
def rules(phone: str = "") -> tuple[Rule, ...]:
    """The rules that hold on a phone."""
    return tuple(r for r in RULES if not r.phones or phone in r.phones)


def fallback_risks(spec: ArchSpec, parts: Sequence[Part], phone: str = "") -> tuple[str, ...]:
    """Flags such as `ane-fallback-risk: resize`; empty for most networks.

    Args:
        spec: the network.
        parts: its operations.
        phone: as in `--target`; some rules were seen on one phone only.
    """
    risks = _NONE.union(*(_part_risks(part, phone) for part in parts))
    if found := [r.name for r in rules(phone) if r.activation == spec.activation]:
        risks |= set(found)
    return tuple(f"{PREFIX}: {risk}" for risk in sorted(risks)) if risks else ()


@lru_cache(maxsize=PART_CACHE)
def _part_risks(part: Part, phone: str) -> frozenset[str]:
    segments = [segment for segment, _ in part.segments]
    facts = Facts(
        frozenset([size[0] for segment in segments for size in segment.sizes]),
        max([segment.longest_axis for segment in segments]),
        max([segment.highest_rank for segment in segments]),
    )
    body = body_of(part.block)
    return frozenset(r.name for r in rules(phone) if (r.part and r.part(facts)) or (r.body and r.body == body))


def family_risk(family: str, phone: str) -> str:
    """Flag of the rule that was seen on networks of this published family; empty if there is none."""
    return next((f"{PREFIX}: {r.name}" for r in rules(phone) if family in r.families), "")
