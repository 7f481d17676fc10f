"""How long `mvsearch scale` takes over hundreds of members, on one core.

`python benchmarks/scaling_speed.py [--members N]` scales MobileViTv2-1.0 by every rule over a factor of 200 in MACs, and
prints what its parts take beside the estimates alone.
"""

from __future__ import annotations

import argparse
import time

from mvsearch.scaling.explore import Question, explore
from mvsearch.scaling.ranges import parse_range
from mvsearch.scaling.view import RULES
from mvsearch.search.estimate import estimate
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.targets.prepare import ready_target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=400, help="of a family, at most")
    members = parser.parse_args().members
    target, _ = ready_target("iphone12", DEFAULT_RESOLUTION)
    question = Question(
        "mobilevitv2_1.0", network("mobilevitv2_1.0"), DEFAULT_RESOLUTION, parse_range("macs", "100M..20G"), RULES, members
    )
    stages: list[tuple[str, float]] = []
    start, cpu = time.perf_counter(), time.process_time()
    view = explore(question, target, progress=lambda text: stages.append((text, time.process_time())))
    wall, end = time.perf_counter() - start, time.process_time()
    sizes = {f.rule: len(f.members) for f in view.families}
    print(f"{sum(sizes.values())} members ({', '.join(f'{rule} {n}' for rule, n in sizes.items())}), {len(view.laws)} laws")
    print(f"{end - cpu:.2f} s of CPU on one core ({wall:.2f} s by the clock)")
    for (text, begun), (_, ended) in zip(stages, [*stages[1:], ("", end)], strict=True):
        print(f"  {ended - begun:.2f} s  {text}")
    cpu = time.process_time()
    for family in view.families:
        for m in family.members:
            estimate(m.evaluation.spec, m.evaluation.resolution, target)
    print(f"{time.process_time() - cpu:.2f} s to estimate these members again")


if __name__ == "__main__":
    main()
