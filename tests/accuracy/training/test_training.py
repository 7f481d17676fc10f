"""One short training: what it sees, how it goes, what it records, and what it makes of trouble."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy.images.dataset import ImageSet, Split
from mvsearch.accuracy.trained import MULTI_SCALE_SIDES, Recipe, TrainingRecord
from mvsearch.accuracy.training import train
from mvsearch.accuracy.training.feed import Images, plain_batches, training_batches
from mvsearch.accuracy.training.loop import optimiser_of, rate_at, score_of
from mvsearch.accuracy.training.views import MEAN, STD, Views, plain_views, random_views, render
from mvsearch.errors import InputError
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec, ConvStem, InvertedResidualStage, PoolHead

CPU = torch.device("cpu")
SMALL = ArchSpec(ConvStem(8), (InvertedResidualStage(16, 2, 1, 2), InvertedResidualStage(24, 2, 1, 2)), PoolHead())
RECIPE = Recipe(steps=30, batch_size=16, resolution=32, evaluations=3, bn_images=64, learning_rate=5e-3, average=0.1)


def stripes(count: int, seed: int, side: int = 36) -> Split:
    """Three classes: horizontal, vertical and diagonal stripes of random phase and colour."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    y, x = np.mgrid[:side, :side] / side
    pixels = np.empty((count, side, side, 3), np.uint8)
    for i, label in enumerate(labels):
        wave = np.sin(2 * np.pi * (4 * (y, x, x + y)[label] + rng.random()))
        pixels[i] = np.clip(128 + 60 * wave[..., None] * rng.uniform(0.5, 1, 3) + rng.normal(0, 20, (side, side, 3)), 0, 255)
    return Split(pixels, labels.astype(np.int64))


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return ImageSet(("h", "v", "d"), stripes(192, 0), stripes(96, 1), "stripes", "made by the test")


@pytest.fixture(scope="module")
def record(images: ImageSet) -> TrainingRecord:
    return train(SMALL, images, RECIPE, seed=3, device=CPU)


def test_it_learns_and_says_what_it_did(record: TrainingRecord, images: ImageSet) -> None:
    assert record.failure is None
    assert record.val_loss is not None and record.val_loss < 0.8 * math.log(3)
    assert record.top1 is not None and record.top1 > 60
    assert record.val_loss_se is not None and 0 < record.val_loss_se < 0.2
    assert [p.step for p in record.curve] == [10, 20, 30]
    assert record.curve[-1].val_loss == record.val_loss < record.curve[0].val_loss
    assert (record.arch_id, record.images, record.recipe, record.seed) == (SMALL.arch_id, "stripes", RECIPE.key, 3)
    assert record.num_val == 96 and record.device == "cpu" and record.precision == "float32"
    assert record.images_per_second > 0


def test_a_record_survives_json(record: TrainingRecord) -> None:
    assert TrainingRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_the_same_seed_gives_the_same_score_and_another_seed_another(images: ImageSet, record: TrainingRecord) -> None:
    again, other = (train(SMALL, images, RECIPE, seed=s, device=CPU) for s in (3, 4))
    assert again.val_loss == record.val_loss
    assert other.val_loss != record.val_loss


def test_progress_is_heard(images: ImageSet) -> None:
    heard: list[tuple[int, int]] = []
    train(SMALL, images, replace(RECIPE, steps=4, evaluations=2), device=CPU, progress=lambda *done: heard.append(done))
    assert heard == [(2, 4), (4, 4)]


def test_images_that_leave_one_over_are_no_obstacle(images: ImageSet) -> None:
    """Batch norm takes statistics of two values at least, and at 32 px the last map is a single pixel."""
    single_pixel = ArchSpec(ConvStem(8), tuple(InvertedResidualStage(16, 2, 1, 2) for _ in range(4)), PoolHead())
    found = train(single_pixel, images, replace(RECIPE, steps=1, evaluations=1, batch_size=4, bn_images=17), device=CPU)
    assert found.failure is None and found.val_loss is not None
    sizes = [len(labels) for _, labels in plain_batches(Images(images.train, CPU), 32, 8, 17)]
    assert sum(sizes) == 17 and max(sizes) <= 8 and min(sizes) > 1


def test_a_loss_that_leaves_the_numbers_is_recorded(images: ImageSet) -> None:
    wild = train(SMALL, images, replace(RECIPE, learning_rate=1e30, clip=1e30), device=CPU)
    assert wild.failure is not None and wild.failure.kind == "nan"
    assert wild.val_loss is wild.top1 is None
    assert TrainingRecord.from_json(json.loads(json.dumps(wild.to_json()))) == wild


def test_a_device_without_memory_is_recorded(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore")

    monkeypatch.setattr(torch.nn.CrossEntropyLoss, "forward", full)
    found = train(SMALL, images, RECIPE, device=CPU)
    assert found.failure is not None
    assert (found.failure.kind, found.failure.message) == ("oom", "CUDA out of memory. Tried to allocate 20 GiB")


def test_other_channels_and_precisions_are_refused(images: ImageSet) -> None:
    with pytest.raises(InputError, match="`1` input channels"):
        train(replace(SMALL, in_channels=1), images, RECIPE, device=CPU)
    with pytest.raises(InputError, match="precision `int8`"):
        train(SMALL, images, replace(RECIPE, precision="int8"), device=CPU)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_too(images: ImageSet, precision: str) -> None:
    found = train(SMALL, images, replace(RECIPE, precision=precision), seed=3, device=CPU)
    assert found.failure is None
    assert found.precision == precision
    assert found.val_loss is not None and found.val_loss < 0.9 * math.log(3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_gpu_sees_the_same_images_and_learns(images: ImageSet) -> None:
    gpu = torch.device("cuda")
    here, there = (next(training_batches(Images(images.train, d), RECIPE, seed=1)) for d in (CPU, gpu))
    assert torch.equal(here[1], there[1].cpu())
    assert torch.allclose(here[0], there[0].cpu(), atol=1e-3)
    found = train(SMALL, images, RECIPE, seed=3, device=gpu)
    assert found.failure is None and found.device == torch.cuda.get_device_name()
    assert found.val_loss is not None and found.val_loss < 0.9 * math.log(3)


def test_every_image_once_per_epoch_and_the_same_for_all(images: ImageSet) -> None:
    recipe = replace(RECIPE, steps=12, flip=False, crop=1.0)
    one, two = (list(training_batches(Images(images.train, CPU), recipe, seed=5)) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))
    labels = torch.cat([labels for _, labels in one])
    assert labels.bincount().tolist() == np.bincount(images.train.labels).tolist()  # 12 x 16 = 192 images
    other = next(training_batches(Images(images.train, CPU), recipe, seed=6))
    assert not torch.equal(other[0], one[0][0])


def test_multi_scale_is_mobilevits_sampler(images: ImageSet) -> None:
    assert Recipe(steps=1, resolution=256, multi_scale=True).sides == MULTI_SCALE_SIDES
    assert Recipe(steps=1, resolution=128, multi_scale=True).sides == (64, 96, 128, 160)
    assert Recipe(steps=1, resolution=128).sides == (128,)
    recipe = replace(RECIPE, steps=40, resolution=64, batch_size=8, multi_scale=True)
    shapes = {tuple(batch.shape) for batch, _ in training_batches(Images(images.train, CPU), recipe, seed=0)}
    assert {s[2] for s in shapes} == set(recipe.sides) and len(recipe.sides) > 1
    for count, channels, height, width in shapes:
        assert channels == 3 and height == width
        assert count == max(2, round(8 * 64 * 64 / height / width))


def test_validation_sees_every_image_once_as_it_is(images: ImageSet) -> None:
    batches = list(plain_batches(Images(images.val, CPU), 32, 40, 1000))
    assert [len(labels) for _, labels in batches] == [40, 40, 16]
    assert torch.equal(torch.cat([labels for _, labels in batches]), torch.from_numpy(images.val.labels))
    some = torch.cat([labels for _, labels in plain_batches(Images(images.val, CPU), 32, 40, 12)])
    assert torch.equal(some, torch.from_numpy(images.val.labels[np.linspace(0, 95, 12).round().astype(int)]))
    centre = images.val.pixels[0, 2:34, 2:34].transpose(2, 0, 1) / 255
    expected = (torch.from_numpy(centre).float() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.allclose(batches[0][0][0], expected, atol=1e-4)
    assert batches[0][0].is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1.0), st.booleans())
def test_views_stay_inside_the_image(seed: int, crop: float, flip: bool) -> None:
    views = random_views(16, crop, flip, torch.Generator().manual_seed(seed))
    width, height = views.half_width.abs(), views.half_height
    assert bool((width <= 1).all() and (height <= 1).all() and (height > 0).all())
    assert bool((views.x.abs() + width <= 1 + 1e-6).all() and (views.y.abs() + height <= 1 + 1e-6).all())
    assert bool((width * height >= 0.86 * crop - 1e-6).all())  # A crop that is wider than the image is cut: 3/4 ** 0.5
    assert flip or bool((views.half_width > 0).all())


def test_a_view_is_what_interpolation_says() -> None:
    pixels = torch.randint(0, 255, (2, 10, 10, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mirrored = Views(torch.tensor([-1.0, 1.0]), torch.ones(2), torch.zeros(2), torch.zeros(2))
    plain, turned = render(pixels, plain_views(2, 10, 10), 10), render(pixels, mirrored, 10)
    assert torch.allclose(turned[0], plain[0].flip(-1), atol=1e-4)
    assert torch.allclose(turned[1], plain[1], atol=1e-4)
    quarter = Views(torch.full((2,), 0.5), torch.full((2,), 0.5), torch.full((2,), -0.5), torch.full((2,), -0.5))
    expected = torch.nn.functional.interpolate(plain[:, :, :5, :5], size=20, mode="bilinear", align_corners=False)
    inner = slice(2, 16)  # At its right and lower edge a crop sees its neighbours, and an image of its own does not.
    assert torch.allclose(render(pixels, quarter, 20)[..., inner, inner], expected[..., inner, inner], atol=1e-3)


def test_batch_norm_is_taken_from_the_averaged_weights(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is scored has statistics of its own activations: the same as one pass over the same images gives."""
    scored: list[torch.nn.Module] = []

    def keep(model: torch.nn.Module, batches: object) -> object:
        scored.append(model)
        return score_of(model, batches)  # type: ignore[arg-type]

    monkeypatch.setattr("mvsearch.accuracy.training.loop.score_of", keep)
    train(SMALL, images, replace(RECIPE, evaluations=1, bn_images=32), device=CPU)
    model = scored[0]
    (seen, _), *rest = plain_batches(Images(images.train, CPU), 32, 32, 32)
    assert not rest
    bn = model.module.stem.bn
    outputs: list[torch.Tensor] = []
    hook = model.module.stem.conv.register_forward_hook(lambda *a: outputs.append(a[2]))
    with torch.no_grad():
        model(seen)
    hook.remove()
    assert torch.allclose(bn.running_mean, outputs[0].mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(bn.running_var, outputs[0].var((0, 2, 3)), rtol=1e-3)


def test_score() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    score = score_of(torch.nn.Identity(), iter([(logits[:3], labels[:3]), (logits[3:], labels[3:])]))
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none").double()
    assert score.loss == pytest.approx(float(each.mean()))
    assert score.se == pytest.approx(float(each.std()) / 2)
    assert score.top1 == 75.0


def test_schedule() -> None:
    recipe = Recipe(steps=100, warmup=0.1, final_rate=0.01)
    rates = [rate_at(step, recipe) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0 == max(rates)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)
    assert rate_at(0, Recipe(steps=1)) == 1.0


def test_vectors_do_not_decay() -> None:
    groups = optimiser_of(build(SMALL), RECIPE, CPU).param_groups
    decays = {(p.ndim > 1): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {True: RECIPE.weight_decay, False: 0.0}


def test_a_recipe_is_known_by_its_key() -> None:
    assert Recipe(steps=10).key == Recipe(steps=10).key != Recipe(steps=11).key
    assert "10 steps of 128 images at 128 px" in Recipe(steps=10).describe()
