"""The two forward-only proxies: their definitions on hand-made layers, and what comes of networks that fail."""

import numpy as np
import pytest
import torch
from torch import nn

from mvsearch.accuracy.validation import proxies
from mvsearch.accuracy.validation.proxies import meco, naswot, noise_images, score_network
from mvsearch.spec.published import network


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_noise_falls_as_one_over_frequency():
    images = noise_images(64, 8, seed=1)
    assert images.shape == (8, 3, 64, 64) and images.dtype == np.float32
    assert images.std(axis=(1, 2, 3)) == pytest.approx(1, abs=1e-4)
    amplitude = np.abs(np.fft.fft2(images)).mean(axis=(0, 1))
    assert amplitude[0, 4] / amplitude[0, 16] == pytest.approx(4, rel=0.3)
    assert (noise_images(64, 8, seed=1) == images).all()
    assert (noise_images(64, 8, seed=2) != images).any()


def test_naswot_counts_agreements():
    layers = nn.Sequential(nn.ReLU())
    images = torch.tensor([[1.0, -1, 1, 1], [1, 1, -1, 1], [-1, -1, -1, -1]]).reshape(3, 1, 2, 2)
    kernel = torch.tensor([[4.0, 2, 1], [2, 4, 1], [1, 1, 4]])
    assert naswot(layers, images) == pytest.approx(float(torch.logdet(kernel)))
    assert naswot(layers, images[:1].repeat(2, 1, 1, 1)) == -np.inf  # two images of one code


def test_naswot_takes_any_activation_of_the_family():
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    values = [naswot(nn.Sequential(a), images) for a in (nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.ReLU6())]
    assert values == [values[0]] * 4


def test_meco_is_the_least_eigenvalue_of_the_first_image():
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    identity = nn.Conv2d(3, 3, 1, bias=False)
    identity.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
    expected = np.linalg.eigvalsh(np.corrcoef(images[0].reshape(3, -1).numpy()))[0]
    assert meco(nn.Sequential(identity), images) == pytest.approx(expected, abs=1e-6)
    assert meco(nn.Sequential(identity, identity), images) == pytest.approx(2 * expected, abs=1e-6)
    wide = nn.Conv2d(3, 64, 1)  # more channels than positions
    assert meco(nn.Sequential(wide), images) == 0
    constant = nn.Conv2d(3, 2, 1, bias=False)
    constant.weight.data[0] = 0
    assert meco(nn.Sequential(constant), images) == 0


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_0.5", "mobilevitv3_xxs"])
def test_every_kind_is_scored_the_same_again(name):
    images = noise_images(64, 4)
    for proxy in proxies.PROXIES:
        score = score_network(proxy, network(name), images)
        assert score.value is not None and np.isfinite(score.value) and score.seconds > 0
        assert score_network(proxy, network(name), images).value == score.value
        assert score_network(proxy, network(name), images, seed=1).value != score.value


def test_what_is_not_finite_has_no_score():
    images = noise_images(64, 4)
    images[:] = np.nan
    assert score_network("meco", network("mobilevitv3_xxs"), images).value is None
    same = np.repeat(noise_images(64, 1), 4, axis=0)
    assert score_network("naswot", network("mobilevitv3_xxs"), same).value is None


def test_nothing_needs_a_gradient(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_: pytest.fail("a gradient"))
    seen = []
    monkeypatch.setitem(
        proxies.PROXIES, "spy", lambda net, x: seen.append(any(p.grad is not None for p in net.parameters())) or 1.0
    )
    score_network("spy", network("mobilevitv3_xxs"), noise_images(64, 2))
    assert seen == [False]
