"""The checkup, on models as others write them: sound ones pass, planted faults are named.

Each sound one is tried with one of five seeds; with CHECKUP_SEEDS=all, after a change of the checkup, with all.

Toys of one and two dimensions, networks that predict v or x_0, VAEs that return what they like, losses that want
their own shapes. The denoisers are the best ones for the data, so that nothing has to be trained.
"""

import math
import os
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from lowerbound.clinic import checkup
from lowerbound.findings import LOOK, SKIPPED, WRONG
from oracles import generator
from torch import nn
from torch.nn import functional as F  # noqa: N812

ALL = os.environ.get("CHECKUP_SEEDS") == "all"
BETA = torch.linspace(1e-4, 0.02, 100, dtype=torch.float64) * 10
BAR = (1 - BETA).cumprod(0).float()
T = len(BAR)
COSINE = torch.cos((torch.arange(1, 101, dtype=torch.float64) / 100 + 0.008) / 1.008 * math.pi / 2) ** 2
ZERO = torch.cat([COSINE[:-1] / 0.99985, torch.zeros(1, dtype=torch.float64)]).float()  # no signal is left at T


def points(dimensions=2, n=256, seed=0):
    """Gaussian points (n, dimensions) of mean 0 and standard deviation 1."""
    return torch.randn(n, dimensions, generator=generator(seed))


def images(seed=0, channels=1):
    """Images (128, channels, 8, 8) in [−1, 1], both ends reached."""
    x = (0.3 * torch.randn(128, channels, 8, 8, generator=generator(seed))).clamp(-0.99, 0.99)
    x[:, :, 0] = x[:, :, 0].sign()
    return x


def by(a, t, x):
    return a[t].view(-1, *[1] * (x.ndim - 1))


def seeded(names):
    """Names with their seeds."""
    return [(name, seed) for i, name in enumerate(names) for seed in (range(5) if ALL else [i % 5])]


# Diffusion


class Ideal(nn.Module):
    """What is best to say of x_t for data x, number by number. `told` reads the t that it is given."""

    def __init__(self, x, bar=BAR, predicts="eps", told=lambda t: t, wrap=lambda out: out):
        super().__init__()
        self.mean, self.var, self.bar, self.predicts = x.mean(0), x.var(0), bar, predicts
        self.told, self.wrap, self.one = told, wrap, nn.Parameter(torch.ones(()))

    def forward(self, xt, t):
        a = by(self.bar, self.told(torch.as_tensor(t)).expand(len(xt)), xt)
        s = (xt - a.sqrt() * self.mean) / (a * self.var + 1 - a)
        eps, x0 = (1 - a).sqrt() * s, self.mean + a.sqrt() * self.var * s
        said = {"eps": eps, "x0": x0, "v": a.sqrt() * eps - (1 - a).sqrt() * x0}[self.predicts]
        return self.wrap(said * self.one)


class Early(Ideal):
    """Wrong of x_0 where almost nothing of it is left, as a loss of ε leaves it."""

    def forward(self, xt, t):
        return super().forward(xt, t) + xt * (by(self.bar, t.expand(len(xt)), xt) < 0.005)


def loss_of(bar=BAR, predicts="eps", tell=lambda t: t, read=lambda out: out, **wrong):
    """The usual loss of a network that predicts ε, v or x_0. wrong: draw, noise, signal, target in place of the right."""

    def loss(net, x):
        t = wrong.get("draw", lambda n: torch.randint(0, len(bar), (n,)))(len(x))
        eps = wrong.get("noise", torch.randn_like)(x)
        a = by(bar, t, x)
        xt = wrong.get("signal", torch.sqrt)(a) * x + (1 - a).sqrt() * eps
        right = {"eps": eps, "x0": x, "v": a.sqrt() * eps - (1 - a).sqrt() * x}[predicts]
        target = wrong["target"](x, eps, a, xt) if "target" in wrong else right
        return wrong.get("error", F.mse_loss)(read(net(xt, tell(t))), target)

    return loss


def sampler_of(shape, bar=BAR, predicts="eps", tell=lambda t: t, read=lambda out: out, start=torch.randn, turn=lambda x: x):
    """DDIM through every step."""

    def sample(net, n):
        x = start(n, *shape)
        for i in reversed(range(len(bar))):
            a, b = bar[i], bar[i - 1] if i else torch.ones(())
            said = read(net(x, tell(torch.full((n,), i))))
            x0 = {"eps": lambda: (x - (1 - a).sqrt() * said) / a.sqrt(), "x0": lambda: said, "v": lambda: a.sqrt() * x - (1 - a).sqrt() * said}[predicts]()  # noqa: B023
            eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
            x = b.sqrt() * x0 + (1 - b).sqrt() * eps
        return turn(x)

    return sample


def diffusion(x, seed=0, bar=BAR, predicts="eps", tell=lambda t: t, told=lambda t: t, wrap=lambda o: o, read=lambda o: o, **wrong):
    """A checkup of the ideal network with its loss and its sampler; `wrong` goes to these two."""
    sampling = {name: wrong.pop(name) for name in ("start", "turn") if name in wrong}
    return checkup(
        wrong.pop("net", None) or Ideal(x, bar, predicts, told, wrap), x, schedule=wrong.pop("schedule", bar), seed=seed,
        predicts=wrong.pop("word", predicts), loss=loss_of(bar, predicts, tell, read, **wrong),
        sampler=sampler_of(x.shape[1:], bar, predicts, tell, read, **sampling),
    )  # fmt: skip


Answer = namedtuple("Answer", "eps weight")


def half(out):
    return out[:, : out.shape[1] // 2]


SOUND = {
    "1-d": lambda s: diffusion(points(1, seed=s), s),
    "2-d": lambda s: diffusion(points(2, seed=s), s),
    "2-d, v": lambda s: diffusion(points(2, seed=s), s, predicts="v"),
    "2-d, x_0": lambda s: diffusion(points(2, seed=s), s, predicts="x0"),
    "2-d, x_0, cosine": lambda s: diffusion(points(2, seed=s), s, COSINE.float(), "x0"),
    "3-d, few examples": lambda s: diffusion(points(3, 40, seed=s), s),
    "2-d, x_0, not learned where it hardly counts": lambda s: diffusion(x := points(seed=s), s, predicts="x0", net=Early(x, predicts="x0")),
    "images, v": lambda s: diffusion(images(s), s, predicts="v"),
    "images, x_0": lambda s: diffusion(images(s), s, predicts="x0"),
    "v, no signal at T": lambda s: diffusion(images(s), s, ZERO, "v"),
    "x_0, no signal at T": lambda s: diffusion(points(2, seed=s), s, ZERO, "x0"),
    "latents of deviation 1": lambda s: diffusion(torch.randn(64, 4, 8, 8, generator=generator(s)), s),
    "t / T": lambda s: diffusion(points(seed=s), s, tell=lambda t: t / T, told=lambda t: (t * T).round().long()),
    "(t + 1) / T upright": lambda s: diffusion(points(seed=s), s, tell=lambda t: ((t + 1) / T)[:, None], told=lambda t: (t[:, 0] * T).round().long() - 1),
    "t / (T - 1)": lambda s: diffusion(points(seed=s), s, tell=lambda t: t / (T - 1), told=lambda t: (t * (T - 1)).round().long()),
    "t from 1": lambda s: diffusion(points(seed=s), s, tell=lambda t: t + 1, told=lambda t: t - 1),
    "a tuple": lambda s: diffusion(images(s), s, wrap=lambda o: (o, None), read=lambda o: o[0]),
    "an object with .sample": lambda s: diffusion(images(s), s, wrap=lambda o: SimpleNamespace(sample=o), read=lambda o: o.sample),
    "a named tuple": lambda s: diffusion(images(s), s, wrap=lambda o: Answer(o, 1), read=lambda o: o.eps),
    "offset noise": lambda s: diffusion(images(s), s, noise=lambda x: torch.randn_like(x) + 0.1 * torch.randn(len(x), 1, 1, 1)),
    "a dictionary": lambda s: diffusion(images(s), s, wrap=lambda o: {"out": o}, read=lambda o: o["out"]),
    "learned variance": lambda s: diffusion(images(s, 3), s, wrap=lambda o: torch.cat([o, o * 0], 1), read=half),
    "absolute error": lambda s: diffusion(points(seed=s), s, error=F.l1_loss),
    "Huber's error": lambda s: diffusion(points(seed=s), s, error=F.smooth_l1_loss),
    "a sum": lambda s: diffusion(images(s), s, error=lambda o, x: F.mse_loss(o, x, reduction="sum")),
    "t more often in the middle": lambda s: diffusion(images(s), s, draw=lambda n: (torch.randn(n).sigmoid() * T).long()),
    "one t for the batch": lambda s: diffusion(points(seed=s), s, draw=lambda n: torch.randint(0, T, (1,)).expand(n)),
    "samples to look at": lambda s: diffusion(images(s), s, turn=lambda x: (x.clamp(-1, 1) + 1) / 2),
    "a trajectory": lambda s: diffusion(points(seed=s), s, turn=lambda x: (x, [0])),
    "a lambda": lambda s: checkup(lambda x, t: Ideal(points(seed=s))(x, t).detach(), points(seed=s), schedule=BAR, loss=loss_of(), seed=s),
    "a loss that holds the network": lambda s: checkup(n := Ideal(points(seed=s)), points(seed=s), schedule=BAR, loss=lambda _, x: loss_of()(n, x), seed=s),
}  # fmt: skip


@pytest.mark.parametrize(("name", "seed"), seeded(SOUND))
def test_nothing_is_wrong_with_a_sound_diffusion_model(name, seed):
    found = SOUND[name](seed)
    assert found.wrong == [], found
    assert [f.check for f in found.findings if f.state == SKIPPED and f.check != "sampler"] == [], found


def repeated(n, *shape):
    return torch.randn(1, *shape).expand(n, *shape)


FAULTS = {
    "no root on the signal": (lambda x: diffusion(x, signal=lambda a: a), "clinic-told-level"),
    "no root on the signal, 2-d": (lambda _: diffusion(points(), signal=lambda a: a), "clinic-told-level"),
    "only even t": (lambda x: diffusion(x, draw=lambda n: 2 * torch.randint(0, T // 2, (n,))), "clinic-told-level"),
    "ten levels": (lambda x: diffusion(x, draw=lambda n: torch.linspace(0, T - 1, 10).long()[torch.randint(0, 10, (n,))]), "clinic-told-level"),
    "the first third alone": (lambda _: diffusion(points(1), draw=lambda n: torch.randint(0, T // 3, (n,))), "clinic-told-level"),
    "told t + 1": (lambda _: diffusion(points(), net=Ideal(points()), tell=lambda t: (t + 1).clamp(max=T - 1)), "clinic-told-level"),
    "one ε for the batch": (lambda x: diffusion(x, noise=lambda x: torch.randn_like(x[:1]).expand_as(x)), "clinic-forward"),
    "one ε for the channels": (lambda _: diffusion(images(0, 3), noise=lambda x: torch.randn_like(x[:, :1]).expand_as(x)), "clinic-forward"),
    "rand for randn": (lambda x: diffusion(x, noise=torch.rand_like), "clinic-told-level"),
    "v against ε": (lambda x: diffusion(x, predicts="v", target=lambda x, e, a, xt: e), "clinic-loss-target"),
    "v against its negative": (lambda _: diffusion(points(), predicts="v", target=lambda x, e, a, xt: (1 - a).sqrt() * x - a.sqrt() * e), "clinic-loss-target"),
    "v without roots": (lambda x: diffusion(x, predicts="v", target=lambda x, e, a, xt: a * e - (1 - a) * x), "clinic-loss-target"),
    "v with its factors exchanged": (lambda _: diffusion(points(), predicts="v", target=lambda x, e, a, xt: (1 - a).sqrt() * e - a.sqrt() * x), "clinic-loss-target"),
    "x_0 against ε": (lambda _: diffusion(points(), predicts="x0", target=lambda x, e, a, xt: e), "clinic-loss-target"),
    "x_0 against x_t": (lambda x: diffusion(x, predicts="x0", target=lambda x, e, a, xt: xt), "clinic-loss-target"),
    "x_0 against x_0 halved": (lambda x: diffusion(x, predicts="x0", target=lambda x, e, a, xt: x / 2), "clinic-loss-target"),
    "ε against -ε": (lambda _: diffusion(points(1), target=lambda x, e, a, xt: -e), "clinic-loss-target"),
    "the network does not matter": (lambda x: diffusion(x, error=lambda o, x: x.pow(2).mean() + 0 * o.mean()), "clinic-loss-target"),
    "samples of one start": (lambda _: diffusion(points(), start=repeated), "clinic-same"),
    "samples of one start, images": (lambda x: diffusion(x, start=repeated), "clinic-same"),
    "samples without channels": (lambda x: diffusion(x, turn=lambda x: x[:, 0]), "clinic-range"),
    "samples turned": (lambda _: diffusion(points(3), turn=lambda x: x.T), "clinic-range"),
    "x_T with half the width": (lambda _: diffusion(points(1), start=lambda *s: torch.randn(*s) / 2), "clinic-ddim-start"),
    "unscaled latents": (lambda _: diffusion(5.5 * torch.randn(64, 4, 8, 8, generator=generator())), "clinic-range"),
    "α for ᾱ": (lambda x: checkup(Ideal(x), x, schedule=1 - BETA), "clinic-other-t"),
    "says another shape": (lambda x: checkup(lambda x, t: x[:, :, 1:], x, schedule=BAR), "clinic-range"),
    "told what is no step": (lambda x: diffusion(x, tell=lambda t: torch.rand(len(t)), told=lambda t: t.long()), "clinic-told-level"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_diffusion_model_is_named(name):
    make, entry = FAULTS[name]
    found = make(images())
    assert entry in {finding.entry for finding in found.wrong}, found


@pytest.mark.parametrize("word", ["noise", "epsilon", "x_0", "velocity", "x_start", "sample"])
def test_what_a_network_predicts_has_several_names(word):
    kind = {"noise": "eps", "epsilon": "eps", "velocity": "v"}.get(word, "x0")
    assert diffusion(points(), predicts=kind, word=word).wrong == []


@pytest.mark.parametrize(
    "schedule",
    [BAR[:, None], BAR.view(-1, 1, 1, 1), BAR.tolist(), BAR.numpy(), SimpleNamespace(alphas_cumprod=BAR)],
)
def test_a_schedule_is_read_from_what_holds_it(schedule):
    assert diffusion(points(), schedule=schedule).wrong == []


@pytest.mark.parametrize(
    ("schedule", "message"),
    [(BETA, r"for β use \(1 - beta\)"), (BAR.flip(0), r"\.flip\(0\)"), ("linear", "got str"), (0.5, "all T steps")],
)
def test_a_schedule_that_is_none_is_refused_with_the_remedy(schedule, message):
    with pytest.raises(ValueError, match=message):
        checkup(Ideal(points()), points(), schedule=schedule)


def test_what_cannot_be_called_is_told_with_the_remedy():
    x = images()
    flat = nn.Sequential(nn.Flatten(0, -1), nn.Linear(3, 3))
    for model, given, options, words in (
        (lambda x, t, y: x, x, {"schedule": BAR}, "lambda x, t: net(x, t, …)"),
        (lambda x, t: (x.view(-1, 64) @ torch.ones(64, 64)), x, {"schedule": BAR}, "it must have its shape"),
        (Tutorial(), x, {}, "it takes x.flatten(1)"),
        (flat, x, {}, "try model(x[:4]) by itself"),
        (lambda x, t: None, x, {"schedule": BAR}, "returns NoneType"),
    ):
        (found,) = checkup(model, given, **options).wrong
        assert found.check == "forward pass"
        assert words in found.says


def test_a_loss_or_sampler_that_ignores_the_network_is_told():
    net = lambda x, t: x  # noqa: E731
    found = checkup(net, points(), schedule=BAR, loss=lambda _, x: x.sum(), sampler=lambda _, n: torch.randn(n, 2), trained=False)
    says = [f.says for f in found.findings if f.state == SKIPPED]
    assert all("does not call the network" in s for s in says)
    assert len(says) == 2


# VAEs


class Tutorial(nn.Module):
    """Linear layers on flat images (N, 64) in [0, 1], as PyTorch's example; its units copy pixels."""

    def __init__(self, units=4, last=None, give=lambda recon, mu, logvar, z: (recon, mu, logvar), scale=6.0):
        super().__init__()
        self.units, self.give, self.scale, self.first = units, give, scale, nn.Linear(64, 64)
        self.decoder = nn.Sequential(nn.Linear(units, 64), nn.Sigmoid() if last is None else last)
        nn.init.normal_(self.decoder[0].weight, std=0.5, generator=generator(1))

    def encode(self, x):
        code = ((x @ torch.eye(64))[:, 20 : 20 + self.units] - 0.5) * self.scale
        return code, torch.full_like(code, -2.0)

    def noise(self, mu):
        return torch.randn_like(mu)

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + (0.5 * logvar).exp() * self.noise(mu)
        return self.give(self.decoder(z), mu, logvar, z)


class Official(Tutorial):
    """As PyTorch's example: images in, flat reconstructions out."""

    def encode(self, x):
        return super().encode(x.view(-1, 64))


class Deep(Tutorial):
    """A method `decode` before the module `decoder`, as in PyTorch-VAE: z is not what the module gets."""

    def __init__(self):
        super().__init__()
        self.decoder_input = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.decoder_input.weight)

    def decode(self, z):
        return self.decoder(self.decoder_input(z))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + (0.5 * logvar).exp() * self.noise(mu)), x, mu, logvar


class Toy(nn.Module):
    """Points (N, 2) with two units: every tensor has the same size."""

    def __init__(self, give):
        super().__init__()
        self.decoder, self.give = nn.Linear(2, 2), give

    def forward(self, x):
        mu, logvar = x * 0.9, torch.full_like(x, -2.0)
        z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
        return self.give(self.decoder(z), mu, logvar, z)


def kld(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def bce_sum(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x.view(-1, 64), reduction="sum") + kld(mu, logvar)


def squared(beta=1.0, rate=lambda m, v: -0.5 * (1 + v - m**2 - v.exp())):
    def loss(recon, x, mu, logvar):
        error = 0.5 * (recon.flatten(1) - x.flatten(1)).pow(2).sum(1)
        return (error + beta * rate(mu, logvar).flatten(1).sum(1)).mean()

    return loss


def flat(seed=0):
    return (images(seed).flatten(1) + 1) / 2


Named = namedtuple("Named", "z mu logvar recon")
OUTPUTS = {
    "z first": lambda r, m, v, z: (z, m, v, r),
    "z between": lambda r, m, v, z: (r, z, m, v),
    "z last": lambda r, m, v, z: (r, m, v, z),
    "codes inside": lambda r, m, v, z: (r, (m, v)),
    "a list": lambda r, m, v, z: [r, m, v],
    "a dictionary in another order": lambda r, m, v, z: {"z": z, "logvar": v, "mu": m, "x_hat": r},
    "a dictionary with another name": lambda r, m, v, z: {"sampled": z, "z_mean": m, "z_log_var": v, "reconstruction": r},
    "an object": lambda r, m, v, z: SimpleNamespace(log_var=v, latent=z, mean=m, recon_x=r),
    "a named tuple": lambda r, m, v, z: Named(z, m, v, r),
    "a distribution": lambda r, m, v, z: (torch.distributions.Normal(m, (0.5 * v).exp()), r),
}  # fmt: skip
SOUND_VAE = {
    **{name: lambda s, g=give: checkup(Tutorial(give=g), flat(s), loss=squared(), seed=s) for name, give in OUTPUTS.items()},
    **{f"{name}, 2-d": lambda s, g=give: checkup(Toy(g), points(seed=s), loss=squared(), seed=s) for name, give in OUTPUTS.items()},
    "PyTorch's example": lambda s: checkup(Official(scale=2.0), flat(s).round().view(-1, 1, 8, 8), loss=bce_sum, seed=s),
    "decode before decoder": lambda s: checkup(Deep(), flat(s), loss=squared(), seed=s),
    "β = 1e-6": lambda s: checkup(Tutorial(), flat(s), loss=squared(1e-6), seed=s),
    "β = 1e-9": lambda s: checkup(Tutorial(), flat(s), loss=squared(1e-9), seed=s),
    "logits": lambda s: checkup(Tutorial(last=nn.Identity(), scale=2.0), flat(s).round(), seed=s, loss=lambda r, x, m, v: F.binary_cross_entropy_with_logits(r, x, reduction="sum") + kld(m, v)),
    "a loss in a dictionary": lambda s: checkup(Tutorial(), flat(s), seed=s, loss=lambda *a: {"loss": squared()(*a), "kl": 0}),
    "free bits": lambda s: checkup(Tutorial(), flat(s), seed=s, loss=squared(rate=lambda m, v: (-0.5 * (1 + v - m**2 - v.exp())).clamp(min=0.5))),
    "a capacity": lambda s: checkup(Tutorial(), flat(s), seed=s, loss=lambda r, x, m, v: squared(0.0)(r, x, m, v) + (kld(m, v) / len(m) - 5).abs()),
}  # fmt: skip


@pytest.mark.parametrize(("name", "seed"), seeded(SOUND_VAE))
def test_nothing_is_wrong_with_a_sound_vae(name, seed):
    found = SOUND_VAE[name](seed)
    assert found.wrong == [], found
    skipped = [f.check for f in found.findings if f.state == SKIPPED]
    assert skipped == [], found


@pytest.mark.parametrize("name", ["free bits", "a capacity"])
def test_free_bits_are_pointed_at(name):
    (found,) = [f for f in SOUND_VAE[name](0).findings if f.check == "KL term"]
    assert (found.state, found.entry) == (LOOK, "clinic-kl-zero")


def test_a_small_decoder_is_not_taken_for_a_tanh():
    torch.manual_seed(0)
    model = Toy(OUTPUTS["z last"])
    nn.init.normal_(model.decoder.weight, std=0.005)
    nn.init.zeros_(model.decoder.bias)
    assert "tanh" not in repr(checkup(model, points()))


FAULTS_VAE = {
    "flat images in [−1, 1] for a sigmoid": (lambda: checkup(Tutorial(), 2 * flat() - 1, loss=squared()), "clinic-range"),
    "flat images in [−1, 1] for a ReLU": (lambda: checkup(Tutorial(last=nn.ReLU()), 2 * flat() - 1, loss=squared()), "clinic-range"),
    "bool": (lambda: checkup(Tutorial(), flat() > 0.5), "clinic-range"),
    "uint8 of 0 and 1": (lambda: checkup(Tutorial(), flat().round().byte()), "clinic-range"),
    "two sigmoids": (lambda: checkup(Tutorial(), flat().round(), loss=lambda r, x, m, v: F.binary_cross_entropy_with_logits(r, x, reduction="sum") + kld(m, v)), "clinic-grey"),
    "one ε for the batch": (lambda: checkup(type("Planted", (Tutorial,), {"noise": lambda self, m: torch.randn_like(m[:1])})(), flat()), "clinic-reparameterise"),
    "one ε for the units": (lambda: checkup(type("Planted", (Tutorial,), {"noise": lambda self, m: torch.randn_like(m[:, :1])})(), flat()), "clinic-reparameterise"),
    "z first, KL of z": (lambda: checkup(Tutorial(give=OUTPUTS["z first"]), flat(), loss=squared(rate=lambda m, v: -0.5 * (1 + 2 * v - m**2 - v.exp()))), "clinic-sign"),
    "small β, KL subtracted": (lambda: checkup(Tutorial(), flat(), loss=squared(-1e-6)), "clinic-sign"),
    "small β, log σ": (lambda: checkup(Tutorial(), flat(), loss=squared(1e-6, lambda m, v: -0.5 * (1 + 2 * v - m**2 - (2 * v).exp()))), "clinic-sign"),
    "a deviation": (lambda: checkup(Tutorial(give=lambda r, m, v, z: {"recon": r, "mu": m, "std": v.exp()}), flat()), "clinic-sign"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS_VAE)
def test_a_fault_of_a_vae_is_named(name):
    make, entry = FAULTS_VAE[name]
    found = make()
    assert entry in {finding.entry for finding in found.wrong}, found


@pytest.mark.parametrize("x", [flat() > 0.5, flat().round().byte(), (255 * flat()).byte()])
def test_numbers_that_are_no_floats_are_wrong_in_their_type_alone(x):
    found = checkup(Tutorial(scale=3.0), x)
    assert [f.check for f in found.findings if f.state == WRONG] == ["type of the data"], found


def test_a_model_without_weights_has_no_type_of_its_own():
    x = points().double()
    ideal = Ideal(x, BAR.double()).requires_grad_(False)
    assert checkup(lambda x, t: ideal(x, t), x, schedule=BAR.double()).wrong == []
