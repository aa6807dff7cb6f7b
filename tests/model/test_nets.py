"""What the U-Net says before it is trained, and at the ends of the noise levels."""

import pytest
import torch
from lowerbound import schedule
from lowerbound.diffusion import Diffusion
from lowerbound.nets import UNet
from oracles import full, generator
from torch import nn


def images(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, 28, 28, generator=generator())


@pytest.mark.parametrize("classes", [0, 10])
def test_a_fresh_network_says_that_v_is_0(classes):
    """Its head starts at zero, so ε̂ = √(1 − ᾱ) x_t and x̂_0 = √ᾱ x_t: at t = T too, where 1/√ᾱ is 2e4."""
    torch.manual_seed(0)
    model = Diffusion(UNet(width=8, classes=classes), schedule.cosine(1000), clip=False)
    for t in (1, 300, 900, 1000):
        xt, alpha_bar = images(), float(model.schedule.alpha_bar[t])
        with torch.no_grad():
            eps, x0 = model.predict_eps(xt, full(2, t)), model.predict_x0(xt, full(2, t))
        torch.testing.assert_close(eps, (1 - alpha_bar) ** 0.5 * xt, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(x0, alpha_bar**0.5 * xt, rtol=1e-3, atol=4e-3)  # half a grey level


@pytest.mark.parametrize("log_snr", [-20.0, 0.0, 20.0])
def test_the_image_follows_from_what_the_network_says_of_v(log_snr):
    """ε̂ = √(1 − ᾱ) x_t + √ᾱ v̂ gives x̂_0 = √ᾱ x_t − √(1 − ᾱ) v̂, finite at both ends."""
    torch.manual_seed(0)
    net = UNet(width=8)
    nn.init.normal_(net.head.weight, std=0.1)
    net, xt = net.double(), images().double()
    level = torch.full((2,), log_snr, dtype=torch.float64)
    signal, noise = torch.sigmoid(level[0]).sqrt(), torch.sigmoid(-level[0]).sqrt()
    v = []
    net.head.register_forward_hook(lambda module, args, out: v.append(nn.functional.pixel_shuffle(out, 2)))
    with torch.no_grad():
        eps = net(xt, level)
    assert torch.isfinite(eps).all()
    assert v[0].std() > 0.1
    x0 = (xt - noise * eps) / signal
    torch.testing.assert_close(x0, signal * xt - noise * v[0], rtol=1e-6, atol=1e-6)
