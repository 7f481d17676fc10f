"""What the images cost a training: steps on real batches against steps on one batch that stays the same.

python benchmarks/input_path.py [--data IMAGES] [--network mobilevitv3_xxs] [--resolution 128] [--batch 128] [--pairs 24]

Single steps take turns, on a batch of the training's own input path (memory-mapped bytes, random crops and flips made
on the device) and on one constant batch. On a CPU the processor's time is compared, on a GPU the wall clock. Shown are
the median ratio of the two speeds over pairs of neighbouring steps, with its quartiles, and the share of a real step that
was spent on making its batch, which a noisy machine blurs less.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import torch

from mvsearch.accuracy.images import load_images, prepare_images
from mvsearch.accuracy.trained import Recipe
from mvsearch.accuracy.training import choose_device
from mvsearch.accuracy.training.feed import Images, training_batches
from mvsearch.accuracy.training.loop import optimiser_of
from mvsearch.models import build
from mvsearch.spec.published import network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="procedural")
    parser.add_argument("--network", default="mobilevitv3_xxs")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=24, help="pairs of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = choose_device()
    cache = prepare_images(options.data, options.resolution)
    images = load_images(cache)
    recipe = Recipe(steps=10**9, batch_size=options.batch, resolution=options.resolution)
    model = build(network(options.network).with_classes(len(images.classes))).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = optimiser_of(model, recipe, device)
    real = training_batches(Images(images.train, device), recipe, seed=0)
    batch = next(real)
    constant = iter(lambda: batch, None)

    clock = time.perf_counter if device.type == "cuda" else time.process_time

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock()

    def step(batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> tuple[float, float]:
        """(seconds of the step, seconds of them for its batch)."""
        start = now()
        pixels, labels = next(batches)
        ready = now()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = torch.nn.functional.cross_entropy(model(pixels).float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        end = now()
        return end - start, ready - start

    step(constant), step(real)
    ratios, shares, speeds = [], [], []
    for pair in range(options.pairs):
        # In both orders, so that a machine that slows down favours neither.
        if pair % 2 == 0:
            fixed, (loaded, making) = step(constant)[0], step(real)
        else:
            (loaded, making), fixed = step(real), step(constant)[0]
        ratios.append(fixed / loaded)
        shares.append(making / loaded)
        speeds.append(options.batch / loaded)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{options.network} at {options.resolution} px, {options.batch} images per step, {where}; {cache.note}")
    print(f"speed on real batches over speed on a constant batch: {middle:.3f} ({low:.3f} to {high:.3f}, {len(ratios)} pairs)")
    print(f"share of a real step that makes its batch: {statistics.median(shares):.3f}")
    time_of = "wall" if device.type == "cuda" else "processor"
    print(f"{statistics.median(speeds):.0f} images/s on real batches, of {time_of} time")


if __name__ == "__main__":
    main()
