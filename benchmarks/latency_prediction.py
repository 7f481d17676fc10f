"""Predicted latency of random candidates against converting them to Core ML for their operations.

python benchmarks/latency_prediction.py [--candidates 1000] [--conversions 3]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mvsearch.costs import lower
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import SearchSpace, Value
from mvsearch.spec.space_file import load_space
from mvsearch.targets.predictor.neural_engine import fallback_risks
from mvsearch.targets.predictor.shipped import shipped_model

RESOLUTION = 256


def seconds(do: Callable[[ArchSpec], object], specs: Sequence[ArchSpec]) -> float:
    """CPU seconds for all of them; the machine may be shared."""
    start = time.process_time()
    for spec in specs:
        do(spec)
    return time.process_time() - start


def predict(spec: ArchSpec) -> object:
    """Operations in closed form, their time, and flags."""
    parts = lower(spec, RESOLUTION)
    return shipped_model("iphone12").predict(parts, target="iphone12", flags=fallback_risks(spec, parts, "iphone12"))


def convert_to_coreml(spec: ArchSpec) -> object:
    """Build the network and convert it, as its operations would have to be got without the closed form."""
    from mvsearch.models import build
    from mvsearch.targets.coreml.convert import convert

    with tempfile.TemporaryDirectory() as folder:
        return convert(build(spec).eval(), RESOLUTION, Path(folder) / "network.mlpackage", channels=spec.in_channels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--conversions", type=int, default=3)
    args = parser.parse_args()
    space, rng = load_space("mobilevit"), random.Random(0)
    specs = [space.decode(space.random_point(rng)) for _ in range(args.candidates)]
    # A search changes one stage at a time, and what the others hold is remembered.
    near = [space.decode(p) for p in neighbours(space, rng, args.candidates)]
    predict(specs[0])
    apart, close = seconds(predict, specs), seconds(predict, near)
    convert_to_coreml(specs[0])
    converted = seconds(convert_to_coreml, specs[1 : 1 + args.conversions]) / args.conversions
    print(f"{len(specs)} random candidates       {apart:.2f} s of CPU, {1e3 * apart / len(specs):.2f} ms each")
    print(f"{len(near)} neighbours in a search  {close:.2f} s of CPU, {1e3 * close / len(near):.2f} ms each")
    print(f"build and convert one          {converted:.2f} s of CPU")
    print(f"ratio                          {converted / (apart / len(specs)):.0f}")


def neighbours(space: SearchSpace, rng: random.Random, n: int) -> list[dict[str, Value]]:
    """Points that each differ from an earlier one in one choice."""
    points = [space.random_point(rng)]
    while len(points) < n:
        other = space.random_point(rng)
        point = dict(rng.choice(points[-20:]))
        key = rng.choice(sorted(set(point) & set(other)))
        points.append({**point, key: other[key]})
    return points


if __name__ == "__main__":
    main()
