"""How models of several libraries are asked the same questions: what `checkup` calls.

A VAE or a diffusion model is known by its calls, never by its package: none of the packages is imported.
Times are 1..T as on paper; others count from 0, which is turned round here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowerbound.diffusion import Diffusion, l_simple
from lowerbound.likelihood import Bernoulli
from lowerbound.samplers import ancestral, ddim, dpm_solver
from lowerbound.schedule import Schedule
from lowerbound.vae import VAE

PREDICTS = {"eps": "eps", "epsilon": "eps", "pred_noise": "eps"}
PREDICTS |= {"v": "v", "v_prediction": "v", "pred_v": "v"}
PREDICTS |= {"x0": "x0", "sample": "x0", "pred_x0": "x0"}
Denoiser = Callable[[Tensor, Tensor], Tensor]


class Passed(NamedTuple):
    """One pass through a VAE. recon (B, ...), mean and logvar (B, K), z (B, K) or None if unseen."""

    recon: Tensor
    mean: Tensor
    logvar: Tensor
    z: Tensor | None


@dataclass
class VaeCalls:
    """How a VAE is asked.

    forward: x (B, ...) -> `Passed`, with a new draw of z
    decode: z (B, K) -> an image (B, ...), or None
    loss: (recon, x, mean, logvar) -> () or (B,), or None where it is not known
    complete: whether the loss is a negative log likelihood in full, its constants included
    bound: x -> the KL of each example (B,), as the model's bound has it, where there is one
    """

    name: str
    model: nn.Module
    forward: Callable[[Tensor], Passed]
    decode: Callable[[Tensor], Tensor] | None
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None
    complete: bool = False
    bound: Callable[[Tensor], Tensor] | None = None


def _as_it_is(x: Tensor) -> Tensor:
    return x


@dataclass
class DiffusionCalls:
    """How a diffusion model is asked, in the space that its network sees.

    alpha_bar: (T + 1,) float64, ᾱ_0 = 1 first; predict: x_t (B, ...), t (B,) in 1..T -> ε̂ (B, ...)
    low, high: the range that x has to have; prepare: from there to what the network sees, restore: back
    network: a context in which another denoiser stands in the network's place
    noised: (x_0, t, ε) -> x_t; loss: x -> () a dimension, in that context; samplers: n -> (n, ...), in it
    bound: x -> (KLs (T,) of t = 2..T and of the prior, and the variances that the steps back have)
    predicts: "eps", "v" or "x0"; plain: whether the loss is the mean squared error of what is predicted
    """

    name: str
    alpha_bar: Tensor
    predict: Denoiser
    network: Callable[[Denoiser], Any]
    predicts: str = "eps"
    low: float = -1.0
    high: float = 1.0
    prepare: Callable[[Tensor], Tensor] = field(default_factory=lambda: _as_it_is)
    restore: Callable[[Tensor], Tensor] = field(default_factory=lambda: _as_it_is)
    noised: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    loss: Callable[[Tensor], Tensor] | None = None
    samplers: dict[str, Callable[[int], Tensor]] | None = None
    bound: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    plain: bool = True


class _Stub(nn.Module):
    """A function in a network's place."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.call(*arguments, **options)


class _Output(NamedTuple):
    """What a network of diffusers returns: `.sample`, or the first of a tuple."""

    sample: Tensor


def output(said: Any) -> Tensor:
    """What a network said (B, ...), whether it stands in a tuple, in `.sample` or by itself."""
    out: Tensor = said.sample if hasattr(said, "sample") else said[0] if isinstance(said, tuple) else said
    return out


def column(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """values[t] (B,), shaped to multiply like (B, ...) and in its dtype."""
    return values.to(like)[t.to(like.device)].view(-1, *[1] * (like.ndim - 1))


def to_eps(said: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor, predicts: str) -> Tensor:
    """ε̂ from what a network says of x_t (B, ...) at t (B,): ε itself, v or x_0. (B, ...)."""
    signal, noise = column(alpha_bar.sqrt(), t, xt), column((1 - alpha_bar).sqrt(), t, xt)
    if predicts == "eps":
        return said
    return noise * xt + signal * said if predicts == "v" else (xt - signal * said) / noise


def from_eps(eps: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor, predicts: str) -> Tensor:
    """What a network that predicts ε, v or x_0 would say for this ε̂ (B, ...). (B, ...)."""
    signal, noise = column(alpha_bar.sqrt(), t, xt), column((1 - alpha_bar).sqrt(), t, xt)
    if predicts == "eps":
        return eps
    return (eps - noise * xt) / signal if predicts == "v" else (xt - noise * eps) / signal


def known(
    model: Any, x: Tensor, schedule: Any = None, loss: Any = None, sampler: Any = None, predicts: str = "eps"
) -> VaeCalls | DiffusionCalls:
    """The calls of a model, by what it has. Arguments as for `checkup`; x (B, ...).

    Raises ValueError, with the calls that are understood, for a model that has none of them.
    """
    if predicts not in PREDICTS:
        raise ValueError(f"predicts must be 'eps', 'v' or 'x0', got {predicts!r}")
    if isinstance(model, Diffusion):
        return _own_diffusion(model)
    if isinstance(model, VAE):
        return _own_vae(model)
    if schedule is None and hasattr(model, "unet") and hasattr(model, "scheduler"):  # a pipeline
        model, schedule = model.unet, model.scheduler
    if hasattr(schedule, "alphas_cumprod") and hasattr(schedule, "add_noise"):
        return _diffusers(model, schedule, x, loss, sampler)
    if schedule is not None:
        return _plain_diffusion(model, schedule, x, loss, sampler, PREDICTS[predicts])
    if all(hasattr(model, name) for name in ("p_losses", "alphas_cumprod", "model_predictions", "model")):
        return _gaussian_diffusion(model)
    if all(hasattr(model, name) for name in ("encoder", "decoder", "model_config", "loss_function")):
        return _pythae(model, loss)
    if isinstance(model, nn.Module):
        return _plain_vae(model, x, loss)
    raise ValueError(
        f"checkup does not know {type(model).__name__}: give a VAE whose forward returns (recon, mu, "
        "logvar), a diffusion model, or a network with schedule="
    )


def _own_vae(model: VAE) -> VaeCalls:
    def forward(x: Tensor) -> Passed:
        q, seen = model.posterior(x), []
        handle = model.decoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        try:
            model.bound(x)
        finally:
            handle.remove()
        return Passed(model.decode(seen[0]).mean, q.mean, q.logvar.expand_as(q.mean), seen[0])

    def loss(recon: Tensor, x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
        bare = copy.copy(model)
        bare.__dict__["_modules"] = {
            "encoder": _Stub(lambda _: (mean, logvar)),
            "decoder": _Stub(lambda _: (recon, torch.full_like(recon, -2.0))),
        }
        return bare.loss(x)

    def rate(x: Tensor) -> Tensor:
        bound = model.bound(x)
        return bound.nats() - bound.distortion

    complete = model.likelihood is not Bernoulli
    return VaeCalls(
        "VAE of this library",
        model,
        forward,
        lambda z: model.decode(z).mean,
        loss if complete else None,
        complete,
        rate,
    )


def _pythae(model: Any, loss: Any) -> VaeCalls:
    def forward(x: Tensor) -> Passed:
        codes: list[Any] = []
        handle = model.encoder.register_forward_hook(lambda *hooked: codes.append(hooked[2]))
        try:
            out = model({"data": x})
        finally:
            handle.remove()
        mean, logvar = codes[0]["embedding"], codes[0]["log_covariance"]
        return Passed(out["recon_x"].view_as(x), mean, logvar, out["z"])

    def own_loss(recon: Tensor, x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
        first: Tensor = model.loss_function(recon, x, mean, logvar, mean)[0]
        return first

    return VaeCalls(
        f"{type(model).__name__} of pythae",
        model,
        forward,
        lambda z: model.decoder(z)["reconstruction"],
        loss or own_loss,
    )


def _plain_vae(model: nn.Module, x: Tensor, loss: Any) -> VaeCalls:
    def read(out: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = (
            list(out.values())
            if isinstance(out, dict)
            else list(out)
            if isinstance(out, tuple | list)
            else []
        )
        tensors = [v for v in values if isinstance(v, Tensor) and v is not x]
        images = [v for v in tensors if v.numel() == x.numel() and v.shape[:1] == x.shape[:1]]
        codes = [v for v in tensors if v.ndim >= 2 and not any(v is image for image in images[:1])]
        pairs = [(a, b) for a, b in pairwise(codes) if a.shape == b.shape]
        if not images or not pairs:
            raise ValueError(
                f"checkup does not know {type(model).__name__}: its forward must return (recon, mu, logvar), "
                "or give schedule= if it is the network of a diffusion model"
            )
        return images[0].reshape(x.shape), pairs[0][0].flatten(1), pairs[0][1].flatten(1)

    def forward(x: Tensor) -> Passed:
        with _decoded(model) as seen:
            recon, mean, logvar = read(model(x), x)
        z = seen[0].flatten(1) if seen and seen[0].numel() == mean.numel() else None
        return Passed(recon, mean, logvar, z)

    decode = getattr(model, "decode", None) or getattr(model, "decoder", None)
    with torch.no_grad():
        read(model(x[:2]), x[:2])
    return VaeCalls(type(model).__name__, model, forward, decode, loss)


@contextmanager
def _decoded(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the model's `decode`, or its module `decoder`, is called with."""
    seen: list[Tensor] = []
    decoder = getattr(model, "decoder", None)
    if isinstance(decoder, nn.Module):
        handle = decoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        try:
            yield seen
        finally:
            handle.remove()
    elif callable(decode := getattr(model, "decode", None)):

        def seeing(z: Tensor, *arguments: Any, **options: Any) -> Any:
            seen.append(z)
            return decode(z, *arguments, **options)

        before = model.__dict__.get("decode")
        model.__dict__["decode"] = seeing
        try:
            yield seen
        finally:
            del model.__dict__["decode"]
            if before is not None:
                model.__dict__["decode"] = before
    else:
        yield seen


def _own_diffusion(model: Diffusion) -> DiffusionCalls:
    s = model.schedule
    where: list[Diffusion] = [model]

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[None]:
        levels = s.log_snr[1:].cpu()

        def call(xt: Tensor, level: Tensor, y: Tensor | None = None) -> Tensor:
            t = 1 + (levels - level.cpu().double()[:, None]).abs().argmin(1).to(xt.device)
            return denoiser(xt, t)

        whole, model.net = model.net, _Stub(call)
        try:
            yield
        finally:
            model.net = whole

    def loss(x: Tensor) -> Tensor:
        return where[0].loss(x).mean() / x[0].numel()

    def bound(x: Tensor) -> tuple[Tensor, Tensor]:
        return model.bound(x).rates.mean(0).double(), model.variance(s).double()

    def chain(sampler: Any) -> Callable[[int], Tensor]:
        return lambda n: model.sample(n, sampler=sampler)

    return DiffusionCalls(
        "Diffusion of this library",
        s.alpha_bar.cpu(),
        model.predict_eps,
        network,
        low=-1.0 if model.clip else -torch.inf,
        high=1.0 if model.clip else torch.inf,
        noised=model.q_sample,
        loss=loss,
        samplers={f.__name__: chain(f) for f in (ancestral, ddim, dpm_solver)},
        bound=bound,
        plain=model.objective is l_simple,
    )


def _gaussian_diffusion(model: Any) -> DiffusionCalls:
    """denoising-diffusion-pytorch's GaussianDiffusion, and what is made like it."""
    alpha_bar = _from_one(model.alphas_cumprod)
    predicts = PREDICTS[model.objective]

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[None]:
        def call(xt: Tensor, t: Tensor, *_: Any, **__: Any) -> Tensor:
            return from_eps(denoiser(xt, t + 1), xt, t + 1, alpha_bar, predicts)

        whole, model.model = model.model, _Stub(call)
        try:
            yield
        finally:
            model.model = whole

    probe = model.normalize(torch.tensor([0.0, 1.0]))
    scale, shift = float(probe[1] - probe[0]), float(probe[0])
    low, high = ((-1 - shift) / scale, (1 - shift) / scale)
    return DiffusionCalls(
        f"{type(model).__name__} of denoising-diffusion-pytorch",
        alpha_bar,
        lambda xt, t: to_eps(model.model(xt, t - 1), xt, t, alpha_bar, predicts),
        network,
        predicts,
        low,
        high,
        prepare=model.normalize,
        restore=lambda x: (x - shift) / scale,
        noised=lambda x0, t, eps: model.q_sample(x0, t - 1, eps),
        loss=lambda x: model(x),
        samplers={"sample": lambda n: model.normalize(model.sample(batch_size=n))},
    )


def _in_its_place(
    within: list[Any], alpha_bar: Tensor, predicts: str, wrap: Callable[[Tensor], Any] = _as_it_is
) -> Callable[[Denoiser], Any]:
    """A context in which a denoiser stands last in `within`: called with times from 0, it says `predicts`."""

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[None]:
        def call(xt: Tensor, t: Any, *_: Any, **__: Any) -> Any:
            times = torch.as_tensor(t).reshape(-1).expand(len(xt)).long().cpu() + 1
            return wrap(from_eps(denoiser(xt, times), xt, times, alpha_bar, predicts))

        within.append(_Stub(call))
        try:
            yield
        finally:
            within.pop()

    return network


def _diffusers(net: Any, scheduler: Any, x: Tensor, loss: Any, sampler: Any) -> DiffusionCalls:
    """A network of diffusers, or one called like it, and a scheduler of alphas_cumprod and add_noise."""
    alpha_bar = _from_one(scheduler.alphas_cumprod)
    T, predicts = len(alpha_bar) - 1, PREDICTS[scheduler.config.prediction_type]
    within: list[Any] = [net]
    network = _in_its_place(within, alpha_bar, predicts, _Output)

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        return to_eps(output(net(xt, t.to(xt.device) - 1)), xt, t, alpha_bar, predicts)

    def walk(n: int) -> Tensor:
        s = copy.deepcopy(scheduler)
        if getattr(s, "num_inference_steps", None) is None:
            s.set_timesteps(T)
        xt = torch.randn(n, *x.shape[1:]) * getattr(s, "init_noise_sigma", 1.0)
        for t in s.timesteps:
            scaled = s.scale_model_input(xt, t) if hasattr(s, "scale_model_input") else xt
            xt = s.step(within[-1](scaled, t).sample, t, xt).prev_sample
        return xt

    own = f"{type(net).__name__} with {type(scheduler).__name__}"
    return DiffusionCalls(
        own,
        alpha_bar,
        predict,
        network,
        predicts,
        noised=lambda x0, t, eps: scheduler.add_noise(x0, eps, t - 1),
        loss=None if loss is None else lambda x: loss(within[-1], x),
        samplers={"the scheduler's steps": walk}
        if sampler is None
        else {"sampler": lambda n: sampler(within[-1], n)},
    )


def _plain_diffusion(
    net: Any, schedule: Any, x: Tensor, loss: Any, sampler: Any, predicts: str
) -> DiffusionCalls:
    """A network that is called as net(x_t, t), t from 0, and the ᾱ of its T steps."""
    given = schedule.alpha_bar if isinstance(schedule, Schedule) else torch.as_tensor(schedule)
    alpha_bar = given.double().cpu() if float(given[0]) == 1 else _from_one(given)
    within: list[Any] = [net]
    network = _in_its_place(within, alpha_bar, predicts)

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        return to_eps(net(xt, t.to(xt.device) - 1), xt, t, alpha_bar, predicts)

    return DiffusionCalls(
        type(net).__name__,
        alpha_bar,
        predict,
        network,
        predicts,
        loss=None if loss is None else lambda x: loss(within[-1], x),
        samplers=None if sampler is None else {"sampler": lambda n: sampler(within[-1], n)},
    )


def _from_one(alphas_cumprod: Tensor) -> Tensor:
    """ᾱ_1 … ᾱ_T (T,) with ᾱ_0 = 1 before it, (T + 1,) float64."""
    values = alphas_cumprod.detach().double().cpu()
    return torch.cat([torch.ones(1, dtype=torch.float64), values])
