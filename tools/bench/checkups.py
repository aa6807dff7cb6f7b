"""`python -m tools.bench.checkups`: what `lowerbound.checkup` finds in models of several libraries.

Each library has sound models, which must pass, and faults that are planted from outside, by a subclass, a
wrapper or a setting: the library's own files stay as they are. A fault is named when the checkup has a
finding whose entry of the page “What went wrong?” is the fault's. In this library those lines of the table of
planted errors are planted that change how a model is trained, sampled or bounded.

It writes results/checkups.json and takes some minutes; each case is kept in _build/bench, so that a run that
was stopped goes on. The environment is that of `make bench`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lowerbound import __version__, checkup, data, zoo
from lowerbound.findings import Checkup
from lowerbound.zoo import Architecture
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.bench.settings import KEPT
from tools.jobs import ROOT, cached, environment, write
from tools.reproduce.fault_table import FAULTS, Fault

OUT = Path("results/checkups.json")
STEPS, BATCH = 300, 32
SOURCES = ("adapters", "findings", "checkup_vae", "checkup_diffusion", "clinic")  # a change of these asks anew


@dataclass(frozen=True)
class Case:
    """A model to look at. expected: the entry that names its fault; none for a sound one."""

    name: str
    look: Callable[[], Checkup]
    expected: tuple[str, ...] = ()


@cache
def images() -> Tensor:
    """The bundled training images at half their size, (4000, 1, 14, 14) in [0, 1]."""
    return F.avg_pool2d(data.load("fashion-mnist", "train").x.float() / 255, 2)


def few() -> Tensor:
    """Images in [−1, 1]."""
    return 2 * images()[:256] - 1


def trained(model: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor], steps: int = STEPS) -> Any:
    """The model after some steps of Adam, in eval mode."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        value = loss(x[torch.randint(0, len(x), (BATCH,))])
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def averaged(model: nn.Module, x: Tensor, loss: Callable[[Any, Tensor], Tensor], decay: float) -> Any:
    """The running average of a model's weights, from its first ones, over 60 more steps. Not warmed up."""
    first, moving = deepcopy(model), deepcopy(model).train()
    for layer in first.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    share = decay**STEPS
    with torch.no_grad():
        for old, new in zip(first.parameters(), moving.parameters(), strict=True):
            old.lerp_(new, 1 - share)
    return first.eval()


# diffusers


@cache
def unet(kind: str = "epsilon", beta_schedule: str = "linear") -> Any:
    """A small UNet2DModel, trained for the loop of the library's tutorial."""
    from diffusers import DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    net = UNet2DModel(
        sample_size=14, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(16, 32),
        norm_num_groups=8, down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = DDPMScheduler(1000, beta_schedule=beta_schedule, prediction_type=kind)
    return trained(net, 2 * images() - 1, lambda x: tutorial_loss(scheduler)(net, x))


def tutorial_loss(scheduler: Any, told: int = 0, first: int = 0, target: str = "") -> Callable[[Any, Tensor], Tensor]:
    """The loss of the training tutorial; with `told`, `first` or `target`, with a fault in it."""

    def loss(net: Any, x: Tensor) -> Tensor:
        noise = torch.randn_like(x)
        t = torch.randint(first, len(scheduler.alphas_cumprod), (len(x),))
        xt = scheduler.add_noise(x, noise, t)
        wanted = noise if scheduler.config.prediction_type == "epsilon" else scheduler.get_velocity(x, noise, t)
        wanted = {"": wanted, "image": x, "other noise": torch.randn_like(x)}[target]
        said = net(xt, (t + told).clamp(0, len(scheduler.alphas_cumprod) - 1)).sample
        return F.mse_loss(said, wanted)

    return loss


def diffusers() -> list[Case]:
    """UNet2DModel with DDPMScheduler and DDIMScheduler."""
    from diffusers import DDIMScheduler, DDPMScheduler

    def look(net: Any = None, scheduler: Any = None, x: Tensor | None = None, **options: Any) -> Checkup:
        scheduler = scheduler or DDPMScheduler(1000)
        options = {"loss": tutorial_loss(scheduler)} | options
        return checkup(net or unet(), few() if x is None else x, schedule=scheduler, **options)

    def ddim(steps: int, cut: int = 0, **settings: Any) -> Any:
        scheduler = DDIMScheduler(1000, **settings)
        scheduler.set_timesteps(steps)
        scheduler.timesteps = scheduler.timesteps[cut:]
        return scheduler

    class Variance(DDPMScheduler):
        def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
            a = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
            return a.sqrt() * original_samples + (1 - a) * noise

    class Early(DDPMScheduler):
        def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
            return super().add_noise(original_samples, noise, (timesteps - 1).clamp(min=0))

    class Grainy(DDPMScheduler):
        def step(self, model_output: Tensor, timestep: int, sample: Tensor, **options: Any) -> Any:
            out = super().step(model_output, timestep, sample, **options)
            if timestep == 0:
                out.prev_sample = out.prev_sample + self.betas[0] ** 0.5 * torch.randn_like(sample)
            return out

    class Undivided(DDPMScheduler):
        def step(self, model_output: Tensor, timestep: int, sample: Tensor, **options: Any) -> Any:
            a = self.alphas_cumprod[timestep]
            return super().step(model_output * (1 - a).sqrt(), timestep, sample, **options)

    class Told(nn.Module):
        def __init__(self, turn: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.net, self.turn = unet(), turn

        def forward(self, x: Tensor, t: Tensor) -> Any:
            return self.net(x, self.turn(t))

    linear = DDPMScheduler(1000)
    cosine_s = [min(1 - float(a), 0.999) for a in _cosine_alphas(0.08)]
    velocity = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    return [
        Case("DDPM, linear", look),
        Case("DDIM of 50 steps", lambda: look(scheduler=ddim(50))),
        Case("DDIM of 20 steps, trailing", lambda: look(scheduler=ddim(20, timestep_spacing="trailing"))),
        Case("cosine, v", lambda: look(unet("v_prediction", "squaredcos_cap_v2"), velocity)),
        Case("guidance by a scale", lambda: look(guidance=lambda c, n, s: n + s * (c - n))),
        Case("EMA warmed up", lambda: look(average=averaged(unet(), images(), tutorial_loss(linear), 0.98))),
        Case("data in [0, 1]", lambda: look(x=images()[:256]), ("clinic-range",)),
        Case("data in 0..255", lambda: look(x=255 * images()[:256]), ("clinic-range",)),
        Case("NaN in the data", lambda: look(x=_with_nan(few())), ("clinic-nan",)),
        Case("T = 100, β kept", lambda: look(scheduler=DDPMScheduler(100)), ("clinic-other-t",)),
        Case("ε for v", lambda: look(scheduler=DDPMScheduler(1000, prediction_type="v_prediction")), ("clinic-loss-flat",)),
        Case("trained on linear, used with cosine", lambda: look(scheduler=DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")), ("clinic-told-level",)),
        Case("told the index in the grid", lambda: look(Told(lambda t: t // 20)), ("clinic-loss-flat",)),
        Case("told T − t", lambda: look(Told(lambda t: 999 - t)), ("clinic-loss-flat",)),
        Case("variance for its root", lambda: look(scheduler=Variance(1000)), ("clinic-forward",)),
        Case("noise one step early", lambda: look(scheduler=Early(1000)), ("clinic-forward",)),
        Case("told t + 1 in training", lambda: look(loss=tutorial_loss(linear, told=1)), ("clinic-told-level",)),
        Case("the first half of t never drawn", lambda: look(loss=tutorial_loss(linear, first=500)), ("clinic-told-level",)),
        Case("compared with the image", lambda: look(loss=tutorial_loss(linear, target="image")), ("clinic-loss-target",)),
        Case("compared with other noise", lambda: look(loss=tutorial_loss(linear, target="other noise")), ("clinic-loss-target",)),
        Case("DDIM from the middle", lambda: look(scheduler=ddim(50, cut=25)), ("clinic-ddim-start",)),
        Case("DDIM of 2 steps, leading", lambda: look(scheduler=ddim(2)), ("clinic-ddim-start",)),
        Case("noise at the last step", lambda: look(scheduler=Grainy(1000)), ("clinic-last-noise",)),
        Case("ε̂ scaled by √(1 − ᾱ)", lambda: look(scheduler=Undivided(1000)), ("clinic-grey", "clinic-noise")),
        Case("ᾱ_T = 0 with ε", lambda: look(scheduler=ddim(50, rescale_betas_zero_snr=True)), ("clinic-cosine-nan",)),
        Case("cosine with s = 0.08", lambda: look(scheduler=DDPMScheduler(1000, trained_betas=cosine_s)), ("clinic-cosine-shift",)),
        Case("EMA not warmed up", lambda: look(average=averaged(unet(), images(), tutorial_loss(linear), 0.9999)), ("clinic-ema",)),
        Case("guidance without its one", lambda: look(guidance=lambda c, n, w: w * (c - n)), ("clinic-guidance",)),
    ]  # fmt: skip


def _cosine_alphas(s: float) -> Tensor:
    f = torch.cos((torch.linspace(0, 1, 1001, dtype=torch.float64) + s) / (1 + s) * torch.pi / 2) ** 2
    return f[1:] / f[:-1]


def _with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[3, 0, 0, 0] = float("nan")
    return x


# denoising-diffusion-pytorch


@cache
def gaussian_diffusion(**settings: Any) -> Any:
    """GaussianDiffusion around a small Unet, trained by its own loss on images in [0, 1]."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    torch.manual_seed(0)
    net = Unet(dim=16, dim_mults=(1, 2), channels=1, attn_heads=2, attn_dim_head=8)
    model = GaussianDiffusion(net, image_size=14, timesteps=1000, **settings)
    return trained(model, images(), model)


def denoising_diffusion() -> list[Case]:
    """Unet and GaussianDiffusion."""
    import denoising_diffusion_pytorch.denoising_diffusion_pytorch as source
    from denoising_diffusion_pytorch import GaussianDiffusion

    def look(model: Any, x: Tensor | None = None, **options: Any) -> Checkup:
        return checkup(model, images()[:256] if x is None else x, **options)

    def made(kind: type = GaussianDiffusion, **settings: Any) -> Any:
        base = gaussian_diffusion(objective="pred_noise", beta_schedule="linear")
        options = {"image_size": 14, "timesteps": 1000, "objective": "pred_noise", "beta_schedule": "linear"}
        return kind(base.model, **(options | settings)).eval()

    class Variance(GaussianDiffusion):
        def q_sample(self, x_start: Tensor, t: Tensor, noise: Tensor | None = None) -> Tensor:
            noise = torch.randn_like(x_start) if noise is None else noise
            a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
            return a.sqrt() * x_start + (1 - a) * noise

    class OneStep(GaussianDiffusion):
        def q_sample(self, x_start: Tensor, t: Tensor, noise: Tensor | None = None) -> Tensor:
            noise = torch.randn_like(x_start) if noise is None else noise
            b = self.betas[t].view(-1, 1, 1, 1)
            return (1 - b).sqrt() * x_start + b.sqrt() * noise

    class Grainy(GaussianDiffusion):
        def p_sample(self, x: Tensor, t: int, x_self_cond: Tensor | None = None) -> Any:
            image, start = super().p_sample(x, t, x_self_cond)
            return image + self.betas[t] ** 0.5 * torch.randn_like(x) * (t == 0), start

    class Middle(GaussianDiffusion):
        def p_sample_loop(self, shape: Any, return_all_timesteps: bool = False) -> Tensor:
            image = torch.randn(shape)
            for t in reversed(range(self.num_timesteps // 2)):
                image, _ = self.p_sample(image, t)
            return self.unnormalize(image)

    class OtherNoise(GaussianDiffusion):
        def p_losses(self, x_start: Tensor, t: Tensor, noise: Tensor | None = None, **_: Any) -> Tensor:
            xt = self.q_sample(x_start, t, torch.randn_like(x_start))
            return F.mse_loss(self.model(xt, t, None), torch.randn_like(x_start))

    class ToldLater(GaussianDiffusion):
        def p_losses(self, x_start: Tensor, t: Tensor, noise: Tensor | None = None, **_: Any) -> Tensor:
            noise = torch.randn_like(x_start)
            later = (t + 1).clamp(max=self.num_timesteps - 1)
            return F.mse_loss(self.model(self.q_sample(x_start, t, noise), later, None), noise)

    def exchanged() -> Any:
        model = made()
        kept, model.posterior_mean_coef1 = model.posterior_mean_coef1.clone(), model.posterior_mean_coef2.clone()
        model.posterior_mean_coef2 = kept
        return model

    def kept_betas() -> Any:
        original = source.linear_beta_schedule
        source.linear_beta_schedule = lambda timesteps: torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64)
        try:
            return made(timesteps=100)
        finally:
            source.linear_beta_schedule = original

    def said(objective: str) -> Any:
        return made(objective=objective)

    def average(decay: float) -> Any:
        return averaged(made(), images(), lambda model, x: model(x), decay)

    noise = {"objective": "pred_noise", "beta_schedule": "linear"}
    return [
        Case("as it is by default: sigmoid, v", lambda: look(gaussian_diffusion())),
        Case("linear, ε", lambda: look(gaussian_diffusion(**noise))),
        Case("linear, ε, DDIM of 50 steps", lambda: look(made(sampling_timesteps=50))),
        Case("cosine, image", lambda: look(gaussian_diffusion(objective="pred_x0", beta_schedule="cosine"))),
        Case("EMA warmed up", lambda: look(made(), average=average(0.98))),
        Case("data in [−1, 1], scaled twice", lambda: look(made(), few()), ("clinic-range",)),
        Case("data in 0..255", lambda: look(made(), 255 * images()[:256]), ("clinic-range",)),
        Case("data in [0, 1], not scaled", lambda: look(made(auto_normalize=False)), ("clinic-range",)),
        Case("T = 100, β kept", lambda: look(kept_betas()), ("clinic-other-t",)),
        Case("cosine with s = 0.08", lambda: look(made(beta_schedule="cosine", schedule_fn_kwargs={"s": 0.08})), ("clinic-cosine-shift",)),
        Case("ε for v", lambda: look(said("pred_v")), ("clinic-loss-flat",)),
        Case("ε for the image", lambda: look(said("pred_x0")), ("clinic-loss-flat",)),
        Case("trained on linear, used with cosine", lambda: look(made(beta_schedule="cosine")), ("clinic-told-level",)),
        Case("variance for its root", lambda: look(made(Variance)), ("clinic-forward",)),
        Case("noise of one step", lambda: look(made(OneStep)), ("clinic-forward",)),
        Case("noise at the last step", lambda: look(made(Grainy)), ("clinic-last-noise",)),
        Case("chain from the middle", lambda: look(made(Middle)), ("clinic-ddim-start",)),
        Case("compared with other noise", lambda: look(made(OtherNoise)), ("clinic-loss-target",)),
        Case("told t + 1 in training", lambda: look(made(ToldLater)), ("clinic-told-level",)),
        Case("posterior's coefficients exchanged", lambda: look(exchanged()), ("clinic-grey", "clinic-noise")),
        Case("EMA not warmed up", lambda: look(made(), average=average(0.9999)), ("clinic-ema",)),
    ]  # fmt: skip


# pythae


@cache
def pythae_vae(loss: str = "mse", weight: float = 1.0, binary: bool = False) -> Any:
    """Pythae's VAE with its own networks, trained by its own loss, the KL times a weight."""
    model = pythae_of(loss)
    x = (images() > 0.5).float() if binary else images()
    return trained(model, x, lambda b: (o := model({"data": b})).recon_loss + weight * o.reg_loss)


def pythae_of(loss: str = "mse", kind: Any = None) -> Any:
    """Pythae's VAE, or a subclass of it, with random weights."""
    from pythae.models import VAE, VAEConfig

    torch.manual_seed(0)
    return (kind or VAE)(VAEConfig(input_dim=(1, 14, 14), latent_dim=8, reconstruction_loss=loss)).eval()


def pythae() -> list[Case]:
    """VAE and BetaVAE."""
    from pythae.models import VAE, BetaVAE, BetaVAEConfig

    x, binary = images()[:256], (images()[:256] > 0.5).float()

    def with_method(name: str, method: Any) -> Checkup:
        model = pythae_of("mse", type("Planted", (VAE,), {name: method}))
        model.load_state_dict(pythae_vae().state_dict())
        return checkup(model, x)

    def rate(mu: Tensor, log_var: Tensor) -> Tensor:
        return -0.5 * (1 + log_var - mu**2 - log_var.exp())

    def loss(reduce: Callable[[Tensor, Tensor], Tensor]) -> Any:
        def loss_function(self: Any, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> Any:
            error = 0.5 * (recon_x.reshape(len(x), -1) - x.reshape(len(x), -1)) ** 2
            both = reduce(error, rate(mu, log_var))
            return both, both, both

        return loss_function

    def of_rate(wrong: Callable[[Tensor, Tensor], Tensor]) -> Any:
        def loss_function(self: Any, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> Any:
            error = 0.5 * ((recon_x.reshape(len(x), -1) - x.reshape(len(x), -1)) ** 2).sum(1)
            both = (error + wrong(mu, log_var).sum(1)).mean()
            return both, both, both

        return loss_function

    def gauss(scale: Callable[[Tensor], Tensor]) -> Any:
        return lambda self, mu, std: (mu + scale(std) * (eps := torch.randn_like(std)), eps)

    def beta_vae(beta: float) -> Any:
        torch.manual_seed(0)
        model = BetaVAE(BetaVAEConfig(input_dim=(1, 14, 14), latent_dim=8, beta=beta))
        return trained(model, images(), lambda b: model({"data": b}).loss)

    return [
        Case("squared error", lambda: checkup(pythae_vae(), x)),
        Case("cross-entropy on black and white", lambda: checkup(pythae_vae("bce", binary=True), binary)),
        Case("BetaVAE, β = 4, which is meant", lambda: checkup(beta_vae(0.25), x)),
        Case("both means", lambda: with_method("loss_function", loss(lambda d, r: d.mean() + r.mean())), ("clinic-beta",)),
        Case("mean over pixels", lambda: with_method("loss_function", loss(lambda d, r: (d.mean(1) + r.sum(1)).mean())), ("clinic-beta",)),
        Case("mean over units", lambda: with_method("loss_function", loss(lambda d, r: (d.sum(1) + r.mean(1)).mean())), ("clinic-beta",)),
        Case("error summed over the batch, KL averaged", lambda: with_method("loss_function", loss(lambda d, r: d.sum() + r.sum(1).mean())), ("clinic-beta",)),
        Case("KL subtracted", lambda: with_method("loss_function", of_rate(lambda m, v: -rate(m, v))), ("clinic-sign",)),
        Case("log σ for log σ²", lambda: with_method("loss_function", of_rate(lambda m, v: rate(m, 2 * v))), ("clinic-sign",)),
        Case("KL the other way round", lambda: with_method("loss_function", of_rate(lambda m, v: 0.5 * ((1 + m**2) / v.exp() - 1 + v))), ("clinic-sign",)),
        Case("no KL", lambda: with_method("loss_function", of_rate(lambda m, v: 0 * m)), ("clinic-samples-bad",)),
        Case("variance for the deviation", lambda: with_method("_sample_gauss", gauss(lambda s: s**2)), ("clinic-reparameterise",)),
        Case("noise not scaled", lambda: with_method("_sample_gauss", gauss(torch.ones_like)), ("clinic-reparameterise",)),
        Case("no noise", lambda: with_method("_sample_gauss", gauss(torch.zeros_like)), ("clinic-reparameterise",)),
        Case("cross-entropy on grey", lambda: checkup(pythae_vae("bce"), x), ("clinic-bce-grey",)),
        Case("cross-entropy on [−1, 1]", lambda: checkup(pythae_vae("bce"), 2 * x - 1), ("clinic-negative-loss",)),
        Case("data in [−1, 1], a sigmoid at the end", lambda: checkup(pythae_vae(), 2 * x - 1), ("clinic-range",)),
        Case("data in 0..255", lambda: checkup(pythae_vae(), 255 * x), ("clinic-range",)),
        Case("float64", lambda: checkup(pythae_vae(), x.double()), ("clinic-range",)),
        Case("trained with the KL a hundredfold", lambda: checkup(pythae_vae(weight=100.0), x), ("clinic-kl-zero",)),
        Case("trained with a thousandth of the KL", lambda: checkup(pythae_vae(weight=1e-3), x), ("clinic-samples-bad",)),
    ]  # fmt: skip


# this library

OWN = {
    "variance where a standard deviation belongs": ("clinic-reparameterise",),
    "no noise in the sample": ("clinic-reparameterise",),
    "z = μ + σ²ε": ("clinic-reparameterise",),
    "KL averaged": ("clinic-beta",),
    "KL without its half": ("clinic-sign", "clinic-beta"),
    "KL the other way round": ("clinic-sign",),
    "rate rewarded": ("clinic-sign",),
    "bins twice as wide": ("clinic-negative-loss",),
    "bins closed at the ends": ("clinic-negative-loss",),
    "a density where a probability belongs": ("clinic-negative-loss",),
    "another last beta": ("clinic-other-t",),
    "β kept when T changes": ("clinic-other-t",),
    "cosine not squared": ("clinic-cosine-shift", "clinic-other-t"),
    "variance √(1 − ᾱ)": ("clinic-forward",),
    "std 1 − ᾱ": ("clinic-forward",),
    "noise scaled by β_t": ("clinic-forward",),
    "noise subtracted": ("clinic-forward",),
    "ᾱ as a product to T": ("clinic-forward",),
    "ᾱ one index early": ("clinic-forward",),
    "posterior stored in descending t": ("clinic-grey", "clinic-noise"),
    "posterior's coefficients exchanged": ("clinic-grey", "clinic-noise"),
    "noise not rooted in x̂₀": ("clinic-grey", "clinic-noise"),
    "x0 not divided by its root": ("clinic-grey", "clinic-noise"),
    "network told another noise level": ("clinic-told-level",),
    "step back as wide as √σ": ("clinic-grey", "clinic-noise"),
    "L_T dropped": ("clinic-bits",),
    "signal's variance at the last step": ("clinic-bits",),
    "KL with its ratio turned over": ("clinic-bits", "clinic-sign"),
    "absolute error in the simple loss": ("clinic-loss-target",),
    "noise at the last step": ("clinic-last-noise",),
    "too much noise in DDIM": ("clinic-noise", "clinic-last-noise"),
    "w with the other sign": ("clinic-guidance",),
    "w for 1 + w": ("clinic-guidance",),
    "no class for the class": ("clinic-guidance",),
}
OF_T = {"another last beta", "β kept when T changes"}


@contextmanager
def planted(fault: Fault | None) -> Iterator[None]:
    """A line of the table of planted errors, in the functions of the library as they are loaded."""
    if fault is None:
        yield
        return
    module = importlib.import_module(f"lowerbound.{fault.file.removesuffix('.py').replace('/', '.')}")
    changed = dict(vars(module))
    exec(compile(fault.edited((ROOT / fault.path).read_text(encoding="utf-8")), str(fault.path), "exec"), changed)
    if fault.scope:
        old, new = _function(vars(module), fault.scope), _function(changed, fault.scope)
        kept = {part: getattr(old, part) for part in ("__code__", "__defaults__", "__kwdefaults__")}
        for part in kept:
            setattr(old, part, getattr(new, part))
        try:
            yield
        finally:
            for part, value in kept.items():
                setattr(old, part, value)
    else:
        kept = {name: value for name, value in vars(module).items() if isinstance(value, int | float)}
        vars(module).update({name: changed[name] for name in kept})
        try:
            yield
        finally:
            vars(module).update(kept)


def _function(namespace: dict[str, Any], scope: str) -> Any:
    first, *rest = scope.split(".")
    value = namespace[first]
    for name in rest:
        value = vars(value)[name]
    return inspect.unwrap(getattr(value, "fget", value))


def own() -> list[Case]:
    """The VAE and the diffusion model of this library."""
    x = data.to_unit(data.load("fashion-mnist", "train").x[:128])

    def guide(c: Tensor, n: Tensor, w: float) -> Tensor:
        from lowerbound.guidance import Guided

        net = _Answers(c, n)
        return Guided(net, torch.zeros(len(c), dtype=torch.int64), w)(torch.zeros_like(c), torch.zeros(len(c)))

    def look(fault: Fault | None = None) -> Checkup:
        vae = fault is not None and fault.file in ("gaussian.py", "likelihood.py", "vae.py")
        with planted(fault), torch.no_grad():
            torch.manual_seed(0)
            if vae and fault.name != "KL with its ratio turned over":
                model = zoo.build(Architecture("vae", width=8, latents=8))
                model.encoder.layers[-1].bias[8:] -= 2  # σ of a trained model's codes, not 1
                return checkup(model, x, trained=False)
            linear = fault is not None and fault.name in OF_T
            model = zoo.build(Architecture("ddpm", width=8, T=100, schedule="linear" if linear else "cosine"))
            return checkup(model, x, trained=False, guidance=guide)

    sound = [
        Case("vae-fashion", lambda: checkup(zoo.load("vae-fashion"), x)),
        Case("ddpm-fashion", lambda: checkup(zoo.load("ddpm-fashion"), x, guidance=guide)),
        Case("ddpm-fashion in 20 steps", lambda: checkup(zoo.load("ddpm-fashion").respaced(20), x)),
        Case("ddpm-fashion-classes", lambda: checkup(zoo.load("ddpm-fashion-classes"), x)),
        Case("log SNR linear, the bound, untrained", lambda: checkup(
            zoo.build(Architecture("ddpm", width=8, schedule="log-snr-linear", objective="bound")), x, trained=False)),
    ]  # fmt: skip
    by_name = {fault.name: fault for fault in FAULTS}
    return [*sound, *(Case(name, lambda f=by_name[name]: look(f), entries) for name, entries in OWN.items())]  # type: ignore[misc]


class _Answers(nn.Module):
    """A network with one answer given the class and another without it."""

    def __init__(self, given: Tensor, alone: Tensor) -> None:
        super().__init__()
        self.given, self.alone = given, alone

    def forward(self, xt: Tensor, log_snr: Tensor, y: Tensor) -> Tensor:
        return torch.where(y[:, None] < 0, self.alone[:1], self.given[:1])


SUITES: dict[str, tuple[str, Callable[[], list[Case]]]] = {
    "lowerbound": ("lowerbound", own),
    "diffusers": ("diffusers", diffusers),
    "denoising_diffusion_pytorch": ("denoising-diffusion-pytorch", denoising_diffusion),
    "pythae": ("pythae", pythae),
}


def judged(case: Case) -> dict[str, Any]:
    """What the checkup said of a case: its alarms, and whether they name the fault."""
    found = case.look()
    alarms = [f for f in found.findings if f.state in ("wrong", "look")]
    named = [f for f in alarms if f.entry in case.expected]
    state = ""
    if case.expected:
        state = "named" if any(f.state == "wrong" for f in named) else "look" if named else "noticed" if alarms else "missed"
    wrong = [f.check for f in alarms if f.state == "wrong"]
    row = {"case": case.name, "expected": list(case.expected), "outcome": state, "wrong": wrong}
    row |= {"look": [f.check for f in alarms if f.state == "look"]}
    row |= {"not_checked": [f.check for f in found.findings if f.state == "not checked"]}
    row["says"] = (named or alarms)[0].says if alarms else ""
    return row


def _text(name: str) -> str:
    return (ROOT / "lib" / "lowerbound" / f"{name}.py").read_text(encoding="utf-8")


def kept(library: str, case: Case) -> Path:
    """Where the row of a case is kept, so that a run that was stopped goes on."""
    words = "".join(c if c.isalnum() else "-" for c in case.name)
    return KEPT / "checkups" / library / f"{'fault' if case.expected else 'sound'}-{words}.json"


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m tools.bench.checkups [LIBRARY …] [--case WORDS] [--out FILE]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.checkups", description=main.__doc__)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(SUITES)}; by default all")
    parser.add_argument("--case", default="", metavar="WORDS", help="cases whose name holds these words; writes nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    if unknown := set(args.libraries) - set(SUITES):
        parser.error(f"no library {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    warnings.filterwarnings("ignore")  # of the libraries, about their own dependencies
    content = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {"how": {}, "libraries": {}}
    for key in args.libraries or SUITES:
        name, cases = SUITES[key]
        rows, seconds = [], 0.0
        for case in cases():
            if args.case in case.name:
                rows.append(cached(kept(key, case), [case.name, *map(_text, SOURCES)], partial(judged, case), replace=True))
                seconds += json.loads(kept(key, case).read_text(encoding="utf-8"))["seconds"]
                print(f"{name}: {case.name}: {rows[-1]['outcome'] or 'sound'}; {', '.join(rows[-1]['wrong'])}", flush=True)
        faults, sound = [r for r in rows if r["expected"]], [r for r in rows if not r["expected"]]
        counts = {outcome: sum(r["outcome"] == outcome for r in faults) for outcome in ("named", "look", "noticed", "missed")}
        content["libraries"][key] = {
            "name": name, "version": metadata.version(name) if key != "lowerbound" else __version__,
            "commit": environment()["commit"], "planted": len(faults), **counts, "sound": len(sound), "false_alarms": sum(bool(r["wrong"]) for r in sound),
            "seconds": round(seconds), "list": rows,
        }  # fmt: skip
    about = environment()
    content["how"] = {"command": "python -m tools.bench.checkups", **{k: about[k] for k in ("commit", "torch", "hardware")}}
    content["how"]["measured"] = time.strftime("%Y-%m-%d")
    if not args.case:
        write(args.out, content)


if __name__ == "__main__":
    main()
