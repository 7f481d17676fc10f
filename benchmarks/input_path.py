"""What the images cost a training: steps on real batches against steps on one batch that stays the same.

python benchmarks/input_path.py [--data IMAGES] [--network mobilevitv3_xxs] [--resolution 128] [--batch 128] [--blocks 20]

Blocks of steps take turns, with the batches of the training's own input path (memory-mapped bytes, random crops and
flips made on the device) and with one constant batch. On a CPU the processor's time is compared, on a GPU the wall
clock. Shown is the median ratio of the two speeds over pairs of neighbouring blocks.
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
    parser.add_argument("--blocks", type=int, default=20, help="pairs of blocks")
    parser.add_argument("--steps", type=int, default=1, help="steps of a block")
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

    def seconds(batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> float:
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        start = clock()
        for _ in range(options.steps):
            pixels, labels = next(batches)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = torch.nn.functional.cross_entropy(model(pixels).float(), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    seconds(constant), seconds(real)
    ratios, speeds = [], []
    for pair in range(options.blocks):
        # In both orders, so that a machine that slows down favours neither.
        first, second = (constant, real) if pair % 2 == 0 else (real, constant)
        one, two = seconds(first), seconds(second)
        fixed, loaded = (one, two) if pair % 2 == 0 else (two, one)
        ratios.append(fixed / loaded)
        speeds.append(options.steps * options.batch / loaded)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    print(f"{options.network} at {options.resolution} px, {options.batch} images per step, {where}; {cache.note}")
    print(f"speed on real batches over speed on a constant batch: {statistics.median(ratios):.3f}", end=" ")
    print(f"({min(ratios):.3f} to {max(ratios):.3f} over {len(ratios)} pairs of {options.steps} steps)")
    clock = "wall" if device.type == "cuda" else "processor"
    print(f"{statistics.median(speeds):.0f} images/s on real batches, of {clock} time")


if __name__ == "__main__":
    main()
