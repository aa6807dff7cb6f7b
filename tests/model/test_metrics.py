"""Metrics: units, bounds that rise, distances that grow."""

import math

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
