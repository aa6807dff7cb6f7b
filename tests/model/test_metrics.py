"""Metrics: units, bounds that rise, distances that grow."""

import math

import numpy as np
import pytest
import torch
from lowerbound import data, metrics
from lowerbound.bound import Bound
from lowerbound.classifier import Classifier, accuracy
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.vae import VAE
from oracles import generator
from torch import nn


class Counted(nn.Module):
    """A model whose bound is the mean pixel, in nats a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.device = nn.Parameter(torch.zeros(()))

    def bound(self, x, rng):
        return Bound(x.flatten(1).sum(1), torch.zeros(len(x), 1))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return data.load("fashion-mnist", "test").x[:300]


def test_bits_per_dim_is_a_mean_over_all_images_with_its_standard_error(images):
    mean, error = metrics.bits_per_dim(Counted(), images, batch=70)
    each = data.to_unit(images).double().flatten(1).mean(1) / math.log(2)
    assert mean == pytest.approx(float(each.mean()), rel=1e-5)
    assert error == pytest.approx(float(each.std()) / math.sqrt(300), rel=1e-5)


@pytest.mark.usefixtures("unshaped")
def test_bits_per_dim_refuses_images_already_scaled(images):
    with pytest.raises(TypeError, match="uint8"):
        metrics.bits_per_dim(Counted(), data.to_unit(images))


def test_the_importance_bound_rises_with_k():
    torch.manual_seed(0)
    vae = VAE(DenseEncoder(2, 2, 8), DenseDecoder(2, 2, 8), GaussianLikelihood).double()
    x = data.ring().sample(1, generator()).double().expand(4000, 2)
    means = [float(metrics.log_prob_importance(vae, x, k, generator(k)).mean()) for k in (1, 4, 32)]
    assert means[0] < means[1] < means[2]
    with torch.no_grad():
        elbo = -vae.bound(x, generator(50)).nats()
    assert means[0] == pytest.approx(float(elbo.mean()), abs=5 * float(elbo.std()) / math.sqrt(4000) + 1e-9)


def test_active_units_counts_the_latents_whose_mean_moves():
    class Half(nn.Module):
        def forward(self, x):
            return torch.cat([x, 0.05 * x, torch.zeros_like(x)], 1), torch.zeros(len(x), 3)

    vae = VAE(Half(), DenseDecoder(1, 3))
    x = torch.randn(500, 1, generator=generator())
    assert metrics.active_units(vae, x) == 1
    assert metrics.active_units(vae, x, threshold=1e-4) == 2


def test_accuracy_is_the_share_of_right_guesses(images):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.device = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return nn.functional.one_hot(torch.zeros(len(x), dtype=torch.int64), 10).float()

    y = torch.cat([torch.zeros(75), torch.ones(225)]).long()
    assert accuracy(First(), data.Images(images, y), batch=128) == 0.25


def test_distances_are_nothing_to_itself_and_grow_with_noise(images):
    torch.manual_seed(0)
    classifier = Classifier(8, num_features=8).eval()
    noise = torch.randn(images.shape, generator=generator())
    values = []
    for level in (0.0, 0.2, 0.8):
        fake = data.to_uint8(data.to_unit(images) + level * noise)
        values.append(metrics.distances(classifier, images, fake))
    assert abs(values[0]["frechet"]) < 1e-6 * (1 + values[2]["frechet"])
    assert values[0]["frechet"] < values[1]["frechet"] < values[2]["frechet"]
    assert values[0]["kernel"] < values[1]["kernel"] < values[2]["kernel"]
    assert abs(values[0]["kernel"]) < 0.05 * values[2]["kernel"]


def test_distances_leave_the_global_generator_alone_and_repeat(images):
    classifier = Classifier(8, num_features=8).eval()
    before = torch.get_rng_state()
    first = metrics.distances(classifier, images[:100], images[100:200])
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert metrics.distances(classifier, images[:100], images[100:200]) == first


def test_frechet_is_the_formula_of_two_gaussians(images):
    classifier = Classifier(8, num_features=4).eval()
    a, b = images[:150], images[150:]
    with torch.no_grad():
        fa, fb = (classifier.features(data.to_unit(x)).double() for x in (a, b))
    ca, cb = torch.cov(fa.T), torch.cov(fb.T)
    roots = torch.linalg.eigvals(ca @ cb).sqrt().real.sum()
    expected = float(((fa.mean(0) - fb.mean(0)) ** 2).sum() + ca.trace() + cb.trace() - 2 * roots)
    assert metrics.distances(classifier, a, b)["frechet"] == pytest.approx(expected, rel=1e-4)


# ---- distances between sets


def _cloud(n: int, dims: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return shift + scale * torch.randn(n, dims, generator=generator(seed), dtype=torch.float64)


def _frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + Tr(A + B − 2 (A^½ B A^½)^½), by eigenvalues."""
    A, B = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    roots = np.sqrt(np.linalg.eigvalsh(root @ B @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A) + np.trace(B) - 2 * roots)


def _kernel(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate of MMD² with the kernel (x·y/D + 1)³, sets of one size."""
    n, D = a.shape
    aa, bb, ab = ((u @ v.T / D + 1) ** 3 for u, v in ((a, a), (b, b), (a, b)))
    within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (n * (n - 1))
    return float(within - 2 * ab.mean())


def distances_are_the_formulas(n: int, dims: int) -> None:
    mix = _cloud(dims, dims, 9)
    real, fake = _cloud(n, dims, 1) @ mix, _cloud(n, dims, 2, 1.4, 0.3)
    found = metrics.feature_distances(real, fake)
    assert found["frechet"] == pytest.approx(_frechet(real.numpy(), fake.numpy()), rel=1e-6)
    assert found["kernel"] == pytest.approx(_kernel(real.numpy(), fake.numpy()), rel=1e-6)
    assert found["kernel_std"] == pytest.approx(0, abs=1e-9 * found["kernel"])  # every subset is the set


@pytest.mark.parametrize(("n", "dims"), [(60, 3), (200, 12)])
def test_distances_are_their_formulas(n, dims):
    distances_are_the_formulas(n, dims)


def test_distances_of_two_sizes_and_of_a_set_to_itself():
    real, fake = _cloud(80, 4, 1), _cloud(50, 4, 2, 0.7)
    assert metrics.feature_distances(real, fake)["frechet"] == pytest.approx(
        _frechet(real.numpy(), fake.numpy()), rel=1e-6
    )
    itself = metrics.feature_distances(real, real)
    assert itself["frechet"] == pytest.approx(0, abs=1e-8)
    assert abs(itself["kernel"]) < 0.1 * metrics.feature_distances(real, real + 1)["kernel"]


def test_distances_do_not_depend_on_the_global_generator_and_leave_it_alone():
    real, fake = _cloud(30, 4, 1), _cloud(1100, 4, 2)
    before = torch.get_rng_state()
    first = metrics.feature_distances(real, fake)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert metrics.feature_distances(real, fake) == first
    assert metrics.feature_distances(real, fake, seed=1) != first
    assert first["kernel_std"] > 0


@pytest.mark.parametrize("sizes", [(1, 9), (9, 1)])
def test_distances_of_less_than_two_are_refused(sizes):
    with pytest.raises(ValueError, match="2 images of each kind or more, got {} and {}".format(*sizes)):
        metrics.feature_distances(_cloud(sizes[0], 3, 1), _cloud(sizes[1], 3, 2))


def _share_within(points: list, members: list, k: int) -> float:
    """Kynkäänniemi et al. 2019, Eq. (1), point by point."""
    inside = 0
    for point in points:
        for i, member in enumerate(members):
            others = sorted(math.dist(member, other) for j, other in enumerate(members) if j != i)
            if math.dist(point, member) <= others[k - 1]:
                inside += 1
                break
    return inside / len(points)


def precision_and_recall_are_a_double_loop(n: int, m: int, dims: int, k: int) -> None:
    real, fake = _cloud(n, dims, 1), _cloud(m, dims, 2, 1.5, 0.5)
    precision, recall = metrics.precision_recall(real, fake, k)
    assert precision == _share_within(fake.tolist(), real.tolist(), k)
    assert recall == _share_within(real.tolist(), fake.tolist(), k)
    assert 0 < precision < 1
    assert 0 < recall < 1
    assert precision != recall


@pytest.mark.parametrize(("n", "m", "dims", "k"), [(40, 30, 3, 1), (20, 24, 3, 2), (50, 35, 2, 3)])
def test_precision_and_recall_are_a_double_loop(n, m, dims, k):
    precision_and_recall_are_a_double_loop(n, m, dims, k)


@pytest.mark.parametrize("scale", [0.0, 1e-3])
def test_collapsed_samples_are_precise_and_cover_nothing(scale):
    real = _cloud(300, 4, 1)
    precision, recall = metrics.precision_recall(
        real, _cloud(300, 4, 2, scale) + real[real.norm(dim=1).argmin()]
    )
    assert precision == 1
    assert recall < 0.02


def test_samples_that_are_too_wide_are_imprecise_and_cover_everything():
    precision, recall = metrics.precision_recall(_cloud(300, 4, 1), _cloud(300, 4, 2, 4.0))
    assert precision < 0.1
    assert recall > 0.95


def test_a_set_lies_within_itself_and_not_within_one_far_away():
    real = _cloud(50, 3, 1)
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.precision_recall(real, real + 100) == (0, 0)


@pytest.mark.parametrize("sizes", [(5, 20), (20, 5)])
def test_too_few_for_k_neighbours_are_refused(sizes):
    real, fake = (_cloud(n, 3, n) for n in sizes)
    with pytest.raises(ValueError, match="more than k = 5 images of each kind, got {} and {}".format(*sizes)):
        metrics.precision_recall(real, fake)
    metrics.precision_recall(real, fake, k=4)


# ---- rulers without the head of a classifier


def _images(n: int) -> torch.Tensor:
    return data.load("fashion-mnist", "train").x[:n]


def test_the_pyramid_is_a_mean_and_what_the_finer_scales_leave():
    x = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    flat = metrics.pyramid_features(x)
    assert flat.shape == (1, 147)
    assert torch.equal(flat[:, :49], torch.full((1, 49), -1.0).double())
    assert torch.equal(flat[:, 49:], torch.zeros(1, 98).double())
    x[0, 0, 4:6, 8:10] = torch.tensor([[255, 0], [0, 0]], dtype=torch.uint8)  # in the cell (1, 2) of 7×7
    coarse, fine, middle = metrics.pyramid_features(x).view(3, 7, 7)
    assert float(coarse[1, 2]) == pytest.approx(-1 + 2 / 16)
    assert float(fine[1, 2]) == pytest.approx((1.5 + 3 * 0.5) / 16)
    assert float(middle[1, 2]) == pytest.approx((0.375 + 3 * 0.125) / 4)
    assert int((fine != 0).sum()) == int((middle != 0).sum()) == 1


def test_sharpness_is_the_energy_of_the_laplacian_and_falls_with_blur():
    x = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    x[0, 0, 10, 10] = 255  # a difference of 2: −8 in the middle, 2 at each of its four neighbours
    assert float(metrics.sharpness(x)) == pytest.approx((8**2 + 4 * 2**2) / 26**2, rel=1e-5)
    images = _images(50)
    blurred = nn.functional.avg_pool2d(images.float(), 3, stride=1, padding=1).to(torch.uint8)
    assert bool((metrics.sharpness(blurred) < metrics.sharpness(images)).all())


def test_copies_are_nearer_to_what_they_copy():
    first, second = _images(200)[:100], _images(200)[100:]
    assert metrics.nearer_to(first, first, second) == 1
    assert metrics.nearer_to(second, first, second) == 0
    assert metrics.nearer_to(first[:5], first, first) == 0.5
    with pytest.raises(ValueError, match="as large, got 100 and 99"):
        metrics.nearer_to(first, first, second[1:])


def _spoiled(fault: str, x: torch.Tensor) -> torch.Tensor:
    if fault == "noise":
        grain = 8 * torch.randn(x.shape, generator=generator(4))
        return (x + grain).round().clamp(0, 255).to(torch.uint8)
    if fault == "blur":
        weights = torch.outer(*[torch.tensor([0.1065, 0.787, 0.1065])] * 2)  # a Gaussian of half a pixel
        unit = nn.functional.pad(data.to_unit(x), (1, 1, 1, 1), value=-1.0)
        return data.to_uint8(nn.functional.conv2d(unit, weights[None, None]))
    return {"levels": x // 32 * 32 + 16, "mirrored": x.flip(3), "none": x}[fault]


@pytest.mark.parametrize(
    ("fault", "least"), [("noise", 0.3), ("blur", 0.3), ("levels", 0.5), ("mirrored", 0.01)]
)
def test_a_fault_that_an_eye_sees_is_told(fault, least):
    images = _images(1200)
    found = metrics.two_sample(images[:600], _spoiled(fault, images[600:]))
    assert found["bits"] > max(least, 3 * found["error"])
    assert found["accuracy"] > 0.55


def test_two_halves_of_one_set_are_not_told_apart():
    images = _images(800)
    found = [metrics.two_sample(images[:400], images[400:], seed, epochs=3) for seed in range(4)]
    for each in found:
        assert each["bits"] < 3 * each["error"] + 0.01
        assert 0.35 < each["accuracy"] < 0.65
    before = torch.get_rng_state()
    assert metrics.two_sample(images[:400], images[400:], epochs=3) == found[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_each_part_of_the_test_holds_as_many_real_as_fake_images(monkeypatch):
    """Of two sets of one level each, so that a part says by its mean how many of each it holds."""
    seen = []
    whole = metrics._told
    monkeypatch.setattr(metrics, "_told", lambda net, x, y: seen.append((x, y)) or whole(net, x, y))
    dark, light = (torch.full((40, 1, 28, 28), level, dtype=torch.uint8) for level in (0, 255))
    metrics.two_sample(light, dark, epochs=1)
    for x, y in seen:
        assert len(x) == 20
        assert float(x.mean()) == pytest.approx(0, abs=1e-6)
        assert torch.equal(x[:, 0, 0, 0] > 0, y > 0.5)


def test_the_error_is_that_of_the_mean_over_the_images_that_judge():
    class Given(nn.Module):
        def forward(self, x):
            return x[:, 0, 0, :1]

    logits = torch.tensor([0.3, -1.0, 2.0, 0.1])
    x, y = logits.view(4, 1, 1, 1).expand(4, 1, 2, 2), torch.tensor([1.0, 0.0, 1.0, 0.0])
    bits, error, right = metrics._told(Given(), x, y)
    each = [math.log2(1 + math.exp(-v if label else v)) for v, label in zip(logits.tolist(), y, strict=True)]
    assert bits == pytest.approx(sum(each) / 4)
    assert error == pytest.approx(float(np.std(each, ddof=1)) / 2)
    assert right == 0.75


def test_what_is_told_is_judged_on_images_that_neither_trained_nor_chose():
    """A network that learns its images by heart tells random labels apart on those alone."""
    images = _images(64)
    found = [metrics.two_sample(images[:32], images[32:], seed, epochs=12)["bits"] for seed in range(6)]
    assert sum(found) / len(found) < 0.25


@pytest.mark.parametrize("sizes", [(4, 4), (20, 21)])
def test_too_few_or_unequal_samples_are_refused(sizes):
    with pytest.raises(ValueError, match="as many real as fake"):
        metrics.two_sample(_images(sizes[0]), _images(sizes[1]))
