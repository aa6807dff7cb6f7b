"""How models of several libraries are asked the same questions: what `checkup` calls.

A VAE or a diffusion model is known by its calls, never by its package: none of the packages is imported.
Times are 1..T as on paper; others count from 0, which is turned round here.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowerbound.diffusion import Diffusion, l_simple
from lowerbound.likelihood import Bernoulli
from lowerbound.samplers import ancestral, ddim, dpm_solver
from lowerbound.vae import VAE

_WORDS = {
    "eps": "eps epsilon noise pred_noise pred_eps eps_pred noise_pred",
    "v": "v velocity v_prediction pred_v v_pred",
    "x0": "x0 x_0 x_start start_x sample pred_x0 image data x",
}
PREDICTS = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
Denoiser = Callable[[Tensor, Tensor], Tensor]


class ForwardError(ValueError):
    """A model that cannot be called with x, in one line with the remedy. entry: of the page."""

    def __init__(self, says: str, entry: str = "clinic-range") -> None:
        super().__init__(says)
        self.entry = entry


class Passed(NamedTuple):
    """One pass through a VAE, in its own shapes: recon (B, ...), mean and logvar (B, ...), z or None."""

    recon: Tensor
    mean: Tensor
    logvar: Tensor
    z: Tensor | None


@dataclass
class VaeCalls:
    """How a VAE is asked.

    forward: x (B, ...) -> `Passed`, with a new draw of z
    decode: z (B, K) -> an image (B, ...), in the model's own shape, or None
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

    alpha_bar: (T + 1,) float64, ᾱ_0 = 1 first
    ask: x_t (B, ...), t (B,) in 1..T -> what the network says (B, ...): ε, v or x_0, as predicts tells
    network: a context in which another function of (x_t, t) stands in the network's place
    asking: another network -> how that one is asked, where a network alone can be given
    low, high: the range that x has to have; prepare: from there to what the network sees, restore: back
    noised: (x_0, t, ε) -> x_t; loss: x -> () a dimension, in that context; samplers: n -> (n, ...), in it
    bound: x -> (KLs (T,) of t = 2..T and of the prior, and the variances that the steps back have)
    predicts: "eps", "v" or "x0"; plain: whether the loss is the mean squared error of what is predicted
    """

    name: str
    alpha_bar: Tensor
    ask: Denoiser
    network: Callable[[Denoiser], Any]
    predicts: str = "eps"
    low: float = -1.0
    high: float = 1.0
    prepare: Callable[[Tensor], Tensor] = field(default_factory=lambda: _as_it_is)
    restore: Callable[[Tensor], Tensor] = field(default_factory=lambda: _as_it_is)
    noised: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    loss: Callable[[Tensor], Any] | None = None
    samplers: dict[str, Callable[[int], Any]] | None = None
    bound: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    plain: bool = True
    asking: Callable[[Any], Denoiser] | None = None


class _Stub(nn.Module):
    """A function in a network's place."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.call(*arguments, **options)


@contextmanager
def _standing_in(net: Any, call: Callable[..., Any]) -> Iterator[Any]:
    """What to call in a network's place: a module with `call` as its forward, wherever else it is held."""
    if not isinstance(net, nn.Module):
        yield call
        return
    before = net.__dict__.get("forward")
    net.__dict__["forward"] = call
    try:
        yield net
    finally:
        del net.__dict__["forward"]
        if before is not None:
            net.__dict__["forward"] = before


class _Output(NamedTuple):
    """What a network of diffusers returns: `.sample`, or the first of a tuple."""

    sample: Tensor


def output(said: Any, xt: Tensor) -> Tensor:
    """What a network predicts of x_t (B, ...): alone, in `.sample`, first in a tuple or a dictionary.

    Of twice as many channels, which hold a learned variance too, the first half. Raises ForwardError.
    """
    if not isinstance(said, Tensor):
        inside = getattr(said, "sample", None)
        several = said.values() if isinstance(said, dict) else said if isinstance(said, tuple | list) else []
        several = [inside, *several] if isinstance(inside, Tensor) else several
        tensors = [value for value in several if isinstance(value, Tensor)]
        if not tensors:
            raise ForwardError(f"the network returns {type(said).__name__}; give one that returns a tensor")
        said = tensors[0]
    if said.ndim == xt.ndim and said.shape[1] == 2 * xt.shape[1]:
        said = said[:, : xt.shape[1]]
    if said.shape != xt.shape:
        raise ForwardError(
            f"the network says {tuple(said.shape)} of an x_t {tuple(xt.shape)}; it must have its shape"
        )
    out: Tensor = said
    return out


def _dressed(tensor: Tensor, form: Any) -> Any:
    """A prediction (B, ...) in the form in which a network answers, as `output` undresses it."""
    if isinstance(form, Tensor):
        wide = form.ndim == tensor.ndim and form.shape[1] == 2 * tensor.shape[1]
        return torch.cat([tensor, torch.zeros_like(tensor)], 1) if wide else tensor
    if isinstance(inside := getattr(form, "sample", None), Tensor):
        return _Output(_dressed(tensor, inside))
    names = list(form) if isinstance(form, dict) else list(range(len(form)))
    first = next(name for name in names if isinstance(form[name], Tensor))
    put = {name: _dressed(tensor, form[name]) if name == first else form[name] for name in names}
    if isinstance(form, dict):
        return put
    return type(form)(*put.values()) if hasattr(form, "_fields") else type(form)(put.values())


@dataclass(frozen=True)
class _Told:
    """How a network is told the step t of 1..T: as (t - 1 + first) / scale.

    floats: as a floating-point number; upright: as (B, 1) in place of (B,)
    """

    first: int = 0
    scale: int = 1
    floats: bool = False
    upright: bool = False

    def tell(self, t: Tensor, like: Tensor) -> Tensor:
        """What the network is told for t (B,), on the device of like."""
        value = t.to(like.device) - 1 + self.first
        value = value.to(like.dtype) / self.scale if self.floats else value
        return value[:, None] if self.upright else value

    def read(self, told: Any, n: int, T: int) -> Tensor:
        """The steps (n,) in 1..T for what n examples are told, which may be one number."""
        value = torch.as_tensor(told).detach().double().cpu().reshape(-1).expand(n)
        return ((value * self.scale).round().long() + 1 - self.first).clamp(1, T)


def _heard(net: Any, x: Tensor, T: int, uses: list[Callable[[Any], Any]]) -> _Told | None:
    """How a loss or a sampler tells a network the step, by what it calls it with. None if it calls none.

    Raises ForwardError if that is no t, t + 1 nor a fraction of T.
    """
    told: list[Tensor] = []

    def call(xt: Tensor, t: Any, *_: Any, **__: Any) -> Tensor:
        told.append(torch.as_tensor(t).detach())
        return torch.zeros_like(xt)

    for use in uses:
        # of shapes it may warn or fail: what the network's answer stands in is not known yet
        with warnings.catch_warnings(), suppress(Exception), _standing_in(net, call) as network:
            warnings.simplefilter("ignore")
            use(network)
        if told:
            break
    else:
        return None
    floats, upright = told[0].is_floating_point(), told[0].ndim == 2
    values = torch.cat([t.double().reshape(-1).cpu() for t in told])
    for scale in (1, T, T - 1, 1000) if floats else (1,):
        step = values * scale
        if float((step - step.round()).abs().max()) < 2e-3 and float(step.max()) < T + 0.5:
            first = int(float(step.max()) > T - 0.5 and float(step.min()) > 0.5)
            return _Told(first, scale, floats, upright)
    if not floats:
        return _Told(upright=upright)
    raise ForwardError(
        f"the network is told {float(values[0]):.4g}, which is none of the T = {T} steps: checkup knows t, "
        "t + 1 and t / T; give the network as lambda x, t: …, told steps",
        "clinic-told-level",
    )


def _tried(net: Any, x: Tensor, T: int, heard: _Told | None) -> tuple[Any, _Told]:
    """What a network answers, and how it is told the step: as was heard, or in the first way that it takes.

    Raises ForwardError, with the remedy, if it takes none.
    """
    known = [_Told(), _Told(floats=True), _Told(floats=True, upright=True), _Told(upright=True)]
    ways = [heard] if heard else known
    few, t, first = x[:2], torch.tensor([1, T]), None
    for way in ways:
        try:
            form = net(few, way.tell(t, few))
        except Exception as error:  # another's network may raise anything
            first = first or error
        else:
            output(form, few)
            return form, way
    assert first is not None
    raise _failed(first, few, lambda x: net(x, ways[0].tell(t, x)), "give it as lambda x, t: net(x, t, …)")


def _failed(error: Exception, x: Tensor, call: Callable[[Tensor], Any], otherwise: str) -> ForwardError:
    """The error of a model's first pass in one line, with the shape of x that it does take, if any."""
    says = f"on x {tuple(x.shape)}: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    side = math.isqrt(x[0].numel())
    other = {"x.flatten(1)": x.flatten(1), "x[:, None]": x[:, None], "x.unsqueeze(-1)": x[..., None]}
    if side**2 == x[0].numel():
        other[f"x.view(-1, 1, {side}, {side})"] = x.reshape(-1, 1, side, side)
    if x.ndim == 4:
        other |= {
            "x.permute(0, 3, 1, 2)": x.permute(0, 3, 1, 2),
            "x.expand(-1, 3, -1, -1)": x[:, :1].expand(-1, 3, -1, -1),
        }
        other |= {"x.mean(1, keepdim=True)": x.mean(1, keepdim=True)}
    for words, value in other.items():
        with suppress(Exception):
            call(value)
            return ForwardError(f"{says}; it takes {words}")
    entry = "clinic-negative-loss" if "between 0 and 1" in str(error) else "clinic-range"
    return ForwardError(f"{says}; {otherwise}", entry)


def column(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """values[t] (B,), shaped to multiply like (B, ...) and in its dtype."""
    return values.to(like)[t.to(like.device)].view(-1, *[1] * (like.ndim - 1))


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
        return _diffusers(model, schedule, x, loss, sampler, predicts)
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
            "prior": model.prior,
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


_ROLES = {
    "recon": "recon recons reconx xrecon reconstruction reconstructions reconstructed reconstructedx "
    "xreconstructed xreconst xhat xrec rec output out decoded logits xlogits reconlogits prediction y yhat",
    "mean": "mu mean zmean zmu muz loc zloc means qmu qmean embedding meanz",
    "logvar": "logvar logvarz logvariance zlogvar qlogvar zlogvariance logsigma2 logsigmasq logsigmasquared "
    "logcovariance lv",
    "z": "z latent latents code codes zsample sampled sampledz",
    "deviation": "std sigma stddev zstd zsigma scale zscale logstd logsigma logscale",
}
_ROLE = {word: role for role, words in _ROLES.items() for word in words.split()}


def _leaves(out: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """The tensors that a model returned, whatever they stand in, each with its role by its name, or ""."""
    if isinstance(out, Tensor):
        return [(_ROLE.get(name.lower().replace("_", ""), ""), out)]
    if isinstance(out, torch.distributions.Distribution):
        return [("mean", out.mean), ("logvar", 2 * out.stddev.log())]
    if isinstance(out, tuple | list):
        names = getattr(out, "_fields", [""] * len(out))
        return [leaf for key, value in zip(names, out, strict=True) for leaf in _leaves(value, key)]
    held = out if isinstance(out, dict) else getattr(out, "__dict__", {})
    return [leaf for key, value in held.items() for leaf in _leaves(value, str(key))]


def _plain_vae(model: nn.Module, x: Tensor, loss: Any) -> VaeCalls:
    def passed(x: Tensor) -> tuple[list[tuple[str, Tensor]], list[Tensor]]:
        with _decoded(model) as seen:
            return _leaves(model(x)), seen

    few, mode = x[:4], model.training
    model.eval()
    try:
        (first, seen), (second, _) = passed(few), passed(few)
    except Exception as error:  # another's model may raise anything
        raise _failed(error, few, model, "try model(x[:4]) by itself") from error
    finally:
        model.train(mode)
    recon, mean, logvar, drawn = _roles(first, [v for _, v in second], few, seen, type(model).__name__)
    size = first[mean][1].numel() // len(few)

    def forward(x: Tensor) -> Passed:
        leaves, seen = passed(x)
        told = [] if drawn is None else [leaves[drawn][1]]
        codes = [z for z in [*seen, *told] if z.numel() == size * len(x)]
        return Passed(leaves[recon][1], leaves[mean][1], leaves[logvar][1], codes[0] if codes else None)

    codes = [z for z in seen if z.numel() == size * len(few)]
    shape = (codes[0] if codes else first[mean][1]).shape[1:]
    decoder = getattr(model, "decode", None) or getattr(model, "decoder", None)

    def decode(z: Tensor) -> Tensor:
        assert decoder is not None
        return _leaves(decoder(z.reshape(-1, *shape)))[0][1]

    return VaeCalls(type(model).__name__, model, forward, decode if callable(decoder) else None, loss)


def _roles(
    first: list[tuple[str, Tensor]], second: list[Tensor], x: Tensor, seen: list[Tensor], name: str
) -> tuple[int, int, int, int | None]:
    """Which of the tensors of a pass are recon, mean, logvar and z: by name, else by shape and order.

    second: of another pass; what differs there holds noise, and is no mean. Raises ValueError.
    """
    roles = {role: i for i, (role, _) in reversed(list(enumerate(first))) if role}
    if "mean" in roles and "deviation" in roles and "logvar" not in roles:
        raise ForwardError(
            "the model returns a deviation; return logvar = 2 * log(std) in its place", "clinic-sign"
        )
    values = [value for _, value in first]
    moves = [not torch.equal(a, b) for a, b in zip(values, second, strict=True)]

    def among(v: Tensor, others: list[Tensor]) -> bool:
        return any(v.numel() == o.numel() and torch.equal(v.flatten(), o.flatten()) for o in others)

    free = [i for i, v in enumerate(values) if v.ndim >= 2 and len(v) == len(x) and not among(v, [x])]
    images = [
        i
        for i in free
        if values[i].numel() == x.numel() and i not in (roles.get("mean"), roles.get("logvar"))
    ]
    drawn = [i for i in images if moves[i] and not among(values[i], seen)]
    recon = roles.get("recon", next(iter([*drawn, *images]), None))
    if recon is not None and {"mean", "logvar"} <= roles.keys():
        return recon, roles["mean"], roles["logvar"], roles.get("z")
    codes = [i for i in free if i != recon]
    still = [i for i in codes if not moves[i]]
    still = [i for i in still if not among(values[i], [values[j] for j in still if j < i])]
    for some in (still, codes):
        for a, b in pairwise(some):
            if recon is not None and values[a].shape == values[b].shape:
                moved = (i for i in codes if moves[i] and values[i].shape == values[a].shape)
                return recon, a, b, roles.get("z", next((i for i in moved if i not in (a, b)), None))
    raise ValueError(
        f"checkup does not know {name}: its forward must return (recon, mu, logvar), "
        "or give schedule= if it is the network of a diffusion model"
    )


@contextmanager
def _decoded(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the model's method `decode`, and its module `decoder`, are called with."""
    seen: list[Tensor] = []
    decoder, decode = getattr(model, "decoder", None), getattr(model, "decode", None)
    with ExitStack() as after:
        if callable(decode) and not isinstance(decode, nn.Module):

            def seeing(z: Tensor, *arguments: Any, **options: Any) -> Any:
                seen.append(z)
                return decode(z, *arguments, **options)

            before = model.__dict__.get("decode")
            model.__dict__["decode"] = seeing
            after.callback(
                lambda: (
                    model.__dict__.pop("decode") if before is None else model.__dict__.update(decode=before)
                )
            )
        if isinstance(decoder, nn.Module):
            handle = decoder.register_forward_pre_hook(lambda _, arguments: seen.extend(arguments[:1]))
            after.callback(handle.remove)
        yield seen


def _own_diffusion(model: Diffusion) -> DiffusionCalls:
    s = model.schedule
    levels = s.log_snr[1:].cpu()

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[None]:
        def call(xt: Tensor, level: Tensor, y: Tensor | None = None) -> Tensor:
            t = 1 + (levels - level.cpu().double()[:, None]).abs().argmin(1).to(xt.device)
            return denoiser(xt, t)

        with _standing_in(model.net, call):
            yield

    def loss(x: Tensor) -> Tensor:
        return model.loss(x) / x[0].numel()

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
    probe = model.normalize(torch.tensor([0.0, 1.0]))
    scale, shift = float(probe[1] - probe[0]), float(probe[0])
    return DiffusionCalls(
        f"{type(model).__name__} of denoising-diffusion-pytorch",
        alpha_bar,
        lambda xt, t: output(model.model(xt, t - 1), xt),
        _in_its_place(model.model, len(alpha_bar) - 1, _Told(), torch.zeros(1, 1)),
        PREDICTS[model.objective],
        (-1 - shift) / scale,
        (1 - shift) / scale,
        prepare=model.normalize,
        restore=lambda x: (x - shift) / scale,
        noised=lambda x0, t, eps: model.q_sample(x0, t - 1, eps),
        loss=lambda x: model(x),
        samplers={"sample": lambda n: model.normalize(model.sample(batch_size=n))},
    )


def _in_its_place(net: Any, T: int, told: _Told, form: Any) -> Callable[[Denoiser], Any]:
    """A context in which a function of (x_t, t) stands in a network's place, and answers in its form."""

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[Any]:
        def call(xt: Tensor, t: Any, *_: Any, **__: Any) -> Any:
            return _dressed(denoiser(xt, told.read(t, len(xt), T)), form)

        with _standing_in(net, call) as standing:
            yield standing

    return network


def _network(
    net: Any, alpha_bar: Tensor, x: Tensor, loss: Any, sampler: Any, predicts: str
) -> DiffusionCalls:
    """A network that is called as net(x_t, t), and the ᾱ of its steps. Raises ForwardError."""
    T = len(alpha_bar) - 1
    many = x[torch.arange(max(64, min(8 * T, 200_000 // x[0].numel()))) % len(x)]
    uses = [lambda n: loss(n, many)] if loss is not None else []
    uses += [lambda n: sampler(n, 2)] if sampler is not None else []
    form, told = _tried(net, x, T, _heard(net, x, T, uses))
    inside, held = _in_its_place(net, T, told, form), [net]

    @contextmanager
    def network(denoiser: Denoiser) -> Iterator[None]:
        with inside(denoiser) as standing:
            held.append(standing)
            try:
                yield
            finally:
                held.pop()

    def asking(other: Any) -> Denoiser:
        return lambda xt, t: output(other(xt, told.tell(t, xt)), xt)

    return DiffusionCalls(
        type(net).__name__,
        alpha_bar,
        asking(net),
        network,
        predicts,
        loss=None if loss is None else lambda x: loss(held[-1], x),
        samplers=None if sampler is None else {"sampler": lambda n: sampler(held[-1], n)},
        asking=asking,
    )


def _diffusers(net: Any, scheduler: Any, x: Tensor, loss: Any, sampler: Any, predicts: str) -> DiffusionCalls:
    """A network of diffusers, or one called like it, and a scheduler of alphas_cumprod and add_noise."""
    kind = getattr(getattr(scheduler, "config", None), "prediction_type", predicts)
    if kind not in PREDICTS:
        raise ValueError(f"checkup knows ε, v and x_0; the scheduler's prediction_type is {kind!r}")
    alpha_bar, own = _read(scheduler.alphas_cumprod), sampler is None and hasattr(scheduler, "step")

    def walk(network: Any, n: int) -> Tensor:
        s = copy.deepcopy(scheduler)
        if getattr(s, "num_inference_steps", None) is None:
            s.set_timesteps(len(alpha_bar) - 1)
        xt = torch.randn(n, *x.shape[1:]).to(x) * getattr(s, "init_noise_sigma", 1.0)
        for t in s.timesteps:
            said = network(s.scale_model_input(xt, t) if hasattr(s, "scale_model_input") else xt, t)
            said = said if isinstance(said, Tensor) else said[0]
            xt = s.step(said, t, xt).prev_sample
        return xt

    calls = _network(net, alpha_bar, x, loss, walk if own else sampler, PREDICTS[kind])
    calls.name = f"{type(net).__name__} with {type(scheduler).__name__}"
    calls.noised = lambda x0, t, eps: scheduler.add_noise(x0, eps, t - 1)
    if own and calls.samplers:
        calls.samplers = {"the scheduler's steps": calls.samplers["sampler"]}
    return calls


def _plain_diffusion(
    net: Any, schedule: Any, x: Tensor, loss: Any, sampler: Any, predicts: str
) -> DiffusionCalls:
    """A network that is called as net(x_t, t), and the ᾱ of its T steps."""
    return _network(net, _read(schedule), x, loss, sampler, predicts)


def _read(schedule: Any) -> Tensor:
    """ᾱ of the steps with ᾱ_0 = 1 before it, (T + 1,) float64, from what holds it. Raises ValueError."""
    for name in (
        "alpha_bar",
        "alphas_cumprod",
        "alphas_bar",
        "alpha_bars",
        "alpha_hat",
        "alphas_hat",
        "alpha_cumprod",
    ):
        schedule = getattr(schedule, name, schedule)
    try:
        values = torch.as_tensor(schedule).detach().double().cpu().flatten()
    except Exception as error:
        raise ValueError(
            f"schedule must be ᾱ of the steps (T,), or hold alphas_cumprod; got {type(schedule).__name__}"
        ) from error
    if len(values) < 2:
        raise ValueError(f"schedule must be ᾱ of all T steps, (T,), got {tuple(values.shape)}")
    if float(values[-1]) >= float(values[0]):
        raise ValueError(
            f"schedule must be ᾱ, which falls from near 1; it goes from {float(values[0]):.3g} to "
            f"{float(values[-1]):.3g}: for β use (1 - beta).cumprod(0), for a reversed ᾱ .flip(0)"
        )
    return values if float(values[0]) == 1 else _from_one(values)


def _from_one(alphas_cumprod: Tensor) -> Tensor:
    """ᾱ_1 … ᾱ_T (T,) with ᾱ_0 = 1 before it, (T + 1,) float64."""
    values = alphas_cumprod.detach().double().cpu()
    return torch.cat([torch.ones(1, dtype=torch.float64), values])
