"""What the field published: every number has a source, none stands twice, and known ones are as printed."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mvsearch.accuracy.field import FieldPoint, field_points
from mvsearch.costs import count
from mvsearch.spec.published import network, published_networks
from mvsearch.targets.predictor.phones import PHONES

FIELD = field_points("iphone12")


def point(name: str, *, distilled: bool = False, device: str = "iphone12") -> FieldPoint:
    (found,) = (p for p in field_points(device) if p.name == name and p.is_distilled == distilled)
    return found


def test_the_field_is_there() -> None:
    assert len(FIELD) > 200
    families = {p.family for p in FIELD}
    assert families >= {
        "MobileViTv1", "MobileViTv2", "MobileViTv3", "EfficientFormer", "EfficientFormerV2", "MobileNetV1", "MobileNetV2",
        "MobileNetV3", "MobileNetV4", "DeiT", "PiT", "Mobile-Former", "EdgeNeXt", "FastViT", "MobileOne",
    }  # fmt: skip
    assert sum(p.latency_ms is not None for p in FIELD) > 60


def test_every_number_has_a_source() -> None:
    cited = re.compile(r"arXiv \d{4}\.\d{5}|github [\w.-]+/[\w.-]+@[0-9a-f]{7,}")
    for p in FIELD:
        assert cited.search(p.source), p
        assert cited.search(p.costs_source), p
    for phone in PHONES:
        for p in field_points(phone):
            assert all(x.source and x.protocol and x.device in PHONES[phone].devices for x in p.latencies), p


def test_nothing_stands_twice() -> None:
    for key in (lambda p: (p.network, p.resolution, p.is_distilled), lambda p: (p.name, p.is_distilled)):
        assert [k for k, n in Counter(map(key, FIELD)).items() if n > 1] == []


def test_values_are_those_of_networks() -> None:
    for p in FIELD:
        assert 50 < p.top1 < 86, p
        assert 4e5 < p.params < 1e8, p
        assert p.macs is None or 1.5e7 < p.macs < 2e10, p
        assert 160 <= p.resolution <= 512, p
        assert p.latency_ms is None or 0.3 < p.latency_ms < 50, p


def test_a_teacher_helps() -> None:
    plain = {(p.network, p.resolution): p.top1 for p in FIELD if not p.is_distilled}
    pairs = [(plain[p.network, p.resolution], p.top1) for p in FIELD if p.is_distilled and (p.network, p.resolution) in plain]
    assert len(pairs) > 20
    assert all(without < taught for without, taught in pairs)


@pytest.mark.parametrize(
    ("name", "distilled", "top1", "params", "resolution"),
    [
        ("EfficientFormer-L1", True, 79.2, 12.3e6, 224),  # arXiv 2206.01191, Table 1
        ("MobileViT-XS", False, 74.8, 2.3e6, 256),  # arXiv 2110.02178, Table 9
        ("MobileViTv2-1.0", False, 78.09, 4.9e6, 256),  # arXiv 2206.02680, Table 2, as 78.1
        ("MobileViTv3-XXS", False, 70.98, 1.2e6, 256),  # arXiv 2209.15159, Table 2
        ("DeiT-Ti", False, 72.2, 5.7e6, 224),  # arXiv 2012.12877, Table 5
        ("DeiT-Ti", True, 74.5, 5.91e6, 224),
        ("MobileNetV4-Conv-S", False, 73.8, 3.8e6, 224),  # arXiv 2404.10518, Table 6
        ("FastViT-T8", False, 76.2, 3.6e6, 256),
    ],
)
def test_known_networks_are_as_published(name: str, distilled: bool, top1: float, params: float, resolution: int) -> None:
    p = point(name, distilled=distilled)
    assert (p.top1, p.params, p.resolution) == (top1, params, resolution)


@pytest.mark.parametrize(
    ("name", "distilled", "protocol", "ms"),
    [
        ("MobileNetV2-1.0", False, "mobilevit-2021", 0.92),  # arXiv 2110.02178, Table 3
        ("EfficientFormer-L1", True, "efficientformer-app", 1.6),  # arXiv 2206.01191, Table 1
        ("MobileViT-XS", False, "mobilevit-2021", 7.28),
        ("MobileViTv2-0.5", False, "mobilevitv2-2022", 1.6),  # arXiv 2206.02680, Table 2
        ("Mobile-Former-294M", False, "mobilevitv2-2022", 40.7),
        ("RepNeXt-M1", False, "repnext-xcode14", 0.86),
    ],
)
def test_known_latencies_are_as_published(name: str, distilled: bool, protocol: str, ms: float) -> None:
    assert (protocol, ms) in {(x.protocol, x.ms) for x in point(name, distilled=distilled).latencies}


def test_the_protocol_that_is_predicted_comes_first() -> None:
    for phone in PHONES:
        for p in field_points(phone):
            assert not any(x.is_reference for x in p.latencies) or p.latencies[0].is_reference, p
    l1 = point("EfficientFormer-L1", distilled=True)
    assert (l1.latency_ms, l1.protocol) == (1.42, "repnext-xcode14")
    assert point("Mobile-Former-294M").latencies[0].is_reference is False


def test_a_device_without_published_latencies_has_none() -> None:
    for device in (None, "cpu", "gpu", "mac"):
        assert {p.latency_ms for p in field_points(device)} == {None}
    assert point("MobileViT-XS").latency_ms == point("MobileViT-XS", device="iphone12@udid=x").latency_ms
    assert point("MobileViT-XXS", device="iphone13").latency_ms == 2.12


def test_our_networks_are_among_them_with_our_counts() -> None:
    ours = {p.our_name: p for p in FIELD if p.family.startswith("MobileViT")}
    known = published_networks()
    assert set(known) - set(ours) == {"mobilevit_xxs@patch=8,4,2"}  # No top-1 of it is published.
    for name in set(ours) & set(known):
        assert abs(count(network(name), ours[name].resolution).params / ours[name].params - 1) < 0.06, name
