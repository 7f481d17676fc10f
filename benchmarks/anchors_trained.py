"""Does a short training order published networks as their authors do? Train some of them, all alike, and see.

python benchmarks/anchors_trained.py --data IMAGES [--steps 900] [--resolution 128] [--seeds 2] [--workers 1] [--out FILE.jsonl]

Ten published networks, v1, v2 and v3 of two size bands, are trained by the recipe of `mvsearch run --data`, on the GPU if
there is one. A training that is in the file is not done again. Printed: speed, the order against
published top-1 over all networks, over pairs of equal size, and from seed to seed, each beside the estimate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mvsearch.accuracy import estimate_top1, published_top1
from mvsearch.accuracy.images import prepare_images
from mvsearch.accuracy.marriage import Scored, marry
from mvsearch.report.table import print_renderable
from mvsearch.report.training import render_training
from mvsearch.search.executor import GPU, Executor, InProcessExecutor, source_of
from mvsearch.search.ray import RayExecutor
from mvsearch.search.training import TIMEOUT_S, TrainingFile, TrainTask, train_member
from mvsearch.search.training_plan import anchors_near, recipes
from mvsearch.spec.published import name_of, network
from mvsearch.spec.record import Failure
from mvsearch.spec.run import TrainSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--params", type=float, default=2e6, help="the two size bands nearest to it are trained")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("anchors_trained.jsonl"))
    options = parser.parse_args()
    images = prepare_images(options.data, options.resolution)
    settings = TrainSettings(
        options.data, images.key, options.resolution, candidates=1, steps=options.steps, batch_size=options.batch,
        seeds=options.seeds,
    )  # fmt: skip
    (recipe,) = recipes(settings, images.num_val, candidates=1)
    names, file = anchors_near(options.params), TrainingFile(options.out)
    print(f"{images.note}; {recipe.describe()}")
    done = {r.key for r in file.records()}
    tasks = [TrainTask(network(name), images, recipe, seed) for seed in range(options.seeds) for name in names]
    tasks = [t for t in tasks if (t.spec.arch_id, images.key, recipe.key, t.seed) not in done]
    executor: Executor = RayExecutor(options.workers) if options.workers > 1 else InProcessExecutor()
    resource = GPU if executor.units(GPU) else None
    for number, record in executor.feed(train_member, source_of(tasks), resource, TIMEOUT_S):
        name = f"{name_of(tasks[number].spec):20} seed {tasks[number].seed}"
        if isinstance(record, Failure):
            print(f"{name}: {record.kind}: {record.message}", flush=True)
            continue
        file.append(record)
        result = record.failure.message if record.failure else f"loss {record.val_loss:.3f}, top-1 {record.top1:.1f} %"
        print(f"{name}: {result}, {record.images_per_second:.0f} images/s, {record.seconds:.0f} s", flush=True)
    executor.close()
    records = tuple(r for r in file.records() if r.images == images.key and r.recipe == recipe.key)
    scored = []
    for name in names:
        spec, published = network(name), published_top1(name)
        mine = tuple(r for r in records if r.arch_id == spec.arch_id)
        scored.append(Scored(spec, estimate_top1(spec), published.value if published else None, mine))
    print_renderable(render_training(marry(scored, [recipe.key]), records, {network(n).arch_id: n for n in names}))


if __name__ == "__main__":
    main()
