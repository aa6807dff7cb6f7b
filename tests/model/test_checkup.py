"""The checkup: what it says of sound models and of planted faults, by stand-ins with other libraries' calls."""

import copy
import math
from types import SimpleNamespace

import lowerbound
import pytest
import torch
from lowerbound import zoo
from lowerbound.checkup_vae import kl_to_standard
from lowerbound.clinic import checkup
from lowerbound.findings import LOOK, RIGHT, SKIPPED, WRONG, Checkup, Finding
from lowerbound.schedule import Schedule
from lowerbound.zoo import Architecture
from oracles import generator
from torch import nn
from torch.nn import functional as F  # noqa: N812

SHAPE = (1, 8, 8)
T = 60
MEAN, STD = 0.0, 0.3
X = (MEAN + STD * torch.randn(128, *SHAPE, generator=generator(0))).clamp(-0.99, 0.99)
X[:, :, 0] = X[:, :, 0].sign()  # so that it fills [-1, 1]
UNIT = (X + 1) / 2


# A VAE as tutorials write it


class PlainVae(nn.Module):
    """Linear layers with a sigmoid at the end, whose first units copy pixels: as if it were trained."""

    def __init__(self, units=8, spread=1.0):
        super().__init__()
        self.units, self.scale = units, spread
        self.decoder = nn.Sequential(nn.Linear(units, 64), nn.Sigmoid())
        nn.init.normal_(self.decoder[0].weight, std=0.5, generator=generator(1))

    def encode(self, x):
        code = (x.flatten(1)[:, 20 : 20 + self.units] - 0.5) * 6 * self.scale
        return code, torch.full_like(code, -2.0)

    def reparameterize(self, mu, logvar):
        return mu + (0.5 * logvar).exp() * torch.randn_like(mu)

    def decode(self, z):
        return self.decoder(z).view(-1, *SHAPE)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def rate(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp())


def elbo(recon, x, mu, logvar):
    return (0.5 * ((recon - x) ** 2).flatten(1).sum(1) + rate(mu, logvar).sum(1)).mean()


def reduced(error, kl):
    """A loss whose two terms are reduced by these two functions of (B, D) and (B, K)."""
    return lambda recon, x, mu, logvar: (
        error(0.5 * ((recon - x) ** 2).flatten(1)) + kl(rate(mu, logvar))
    )  # fmt: skip


def of_rate(wrong):
    return lambda recon, x, mu, logvar: elbo(recon, x, 0 * mu, 0 * logvar) + wrong(mu, logvar).sum(1).mean()


def cross_entropy(recon, x, mu, logvar):
    error = -(x * recon.log() + (1 - x) * (1 - recon).log())
    return (error.flatten(1).sum(1) + rate(mu, logvar).sum(1)).mean()


def vae(loss=elbo, x=UNIT, model=None, **methods):
    return checkup(type("Planted", (PlainVae,), methods)() if model is None else model, x, loss=loss)


# pythae's calls


class Output(dict):
    """A dictionary whose entries are attributes, too."""

    __getattr__ = dict.__getitem__


class PythaeLike(nn.Module):
    """encoder, decoder, model_config and loss_function, as pythae's VAE has them."""

    def __init__(self):
        super().__init__()
        self.inside = PlainVae()
        self.encoder, self.decoder = Coder(self.inside), Back(self.inside)
        self.model_config = SimpleNamespace(reconstruction_loss="mse")

    def loss_function(self, recon_x, x, mu, log_var, z):
        value = elbo(recon_x.view_as(x), x, mu, log_var)
        return value, value, value

    def forward(self, inputs):
        code = self.encoder(inputs["data"])
        z = self.draw(code.embedding, (0.5 * code.log_covariance).exp())
        recon = self.decoder(z)["reconstruction"]
        self.loss_function(recon, inputs["data"], code.embedding, code.log_covariance, z)
        return Output(recon_x=recon, z=z)

    def draw(self, mu, std):
        return mu + std * torch.randn_like(std)


class Coder(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.code = vae.encode

    def forward(self, x):
        mean, logvar = self.code(x)
        return Output(embedding=mean, log_covariance=logvar)


class Back(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, z):
        return Output(reconstruction=self.vae.decode(z))


def pythae(x=UNIT, **methods):
    return checkup(type("Planted", (PythaeLike,), methods)(), x)


# Diffusion: the network that is best for Gaussian pixels, told t from 0


def betas(steps=T):
    return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps


def kept(beta):
    return (1 - beta).cumprod(0).float()


class Best(nn.Module):
    """The best guess of ε for the data X, pixel by pixel; `turn` changes what t it takes itself to be told."""

    def __init__(self, alphas_cumprod=None, turn=lambda t: t, wrap=None):
        super().__init__()
        self.a = kept(betas()) if alphas_cumprod is None else alphas_cumprod
        self.turn, self.wrap, self.one = turn, wrap, nn.Parameter(torch.ones(()))

    def forward(self, x, t, *_):
        a = self.a[self.turn(torch.as_tensor(t).expand(len(x)))].view(-1, 1, 1, 1)
        eps = (1 - a).sqrt() * (x - a.sqrt() * X.mean(0)) / (a * X.var(0) + 1 - a) * self.one
        return eps if self.wrap is None else self.wrap(sample=eps)


class Scheduler:
    """alphas_cumprod, add_noise, timesteps and step, as diffusers' DDIMScheduler has them."""

    def __init__(self, beta=None, predicts="epsilon"):
        self.alphas_cumprod = kept(betas() if beta is None else beta)
        self.config = SimpleNamespace(prediction_type=predicts)
        self.num_inference_steps = None

    def set_timesteps(self, steps):
        self.num_inference_steps = steps
        ends = torch.linspace(len(self.alphas_cumprod) - 1, -1, steps + 1)
        self.timesteps = ends[:-1].round().long()

    def add_noise(self, x, noise, t):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x + (1 - a).sqrt() * noise

    def step(self, eps, t, x):
        i = int((self.timesteps == t).nonzero()[0])
        a = self.alphas_cumprod[t]
        rest = self.timesteps[i + 1 :]
        b = self.alphas_cumprod[rest[0]] if len(rest) else torch.tensor(1.0)
        x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()
        return SimpleNamespace(prev_sample=b.sqrt() * x0 + (1 - b).sqrt() * eps)


def training_loss(scheduler, told=0, first=0, image=False):
    def loss(net, x):
        t, noise = torch.randint(first, len(scheduler.alphas_cumprod), (len(x),)), torch.randn_like(x)
        xt = scheduler.add_noise(x, noise, t)
        later = (t + told).clamp(max=len(scheduler.alphas_cumprod) - 1)
        return F.mse_loss(net(xt, later).sample, x if image else noise)

    return loss


def diffusers(net=None, scheduler=None, x=X, **options):
    scheduler = scheduler or Scheduler()
    net = net or Best(wrap=SimpleNamespace)
    return checkup(net, x, schedule=scheduler, **({"loss": training_loss(scheduler)} | options))


def stepped(cut=0, steps=T, **methods):
    scheduler = type("Planted", (Scheduler,), methods)()
    scheduler.set_timesteps(steps)
    scheduler.timesteps = scheduler.timesteps[cut:]
    return scheduler


def grainy(self, eps, t, x):
    out = Scheduler.step(self, eps, t, x)
    out.prev_sample = out.prev_sample + 0.05 * torch.randn_like(x) * (t == self.timesteps[-1])
    return out


# GaussianDiffusion's calls


class GaussianDiffusionLike(nn.Module):
    """model, objective, q_sample, p_losses, model_predictions and sample, as GaussianDiffusion has them."""

    def __init__(self, objective="pred_noise", scaled=True):
        super().__init__()
        self.model, self.objective, self.shape = Best(), objective, SHAPE
        self.register_buffer("betas", betas().float())
        self.register_buffer("alphas_cumprod", kept(betas()))
        self.normalize = (lambda x: 2 * x - 1) if scaled else (lambda x: x)
        self.unnormalize = (lambda x: (x + 1) / 2) if scaled else (lambda x: x)

    def q_sample(self, x_start, t, noise):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x_start + (1 - a).sqrt() * noise

    def p_losses(self, x_start, t):
        noise = torch.randn_like(x_start)
        return F.mse_loss(self.model(self.q_sample(x_start, t, noise), t, None), noise)

    def forward(self, x):
        return self.p_losses(self.normalize(x), torch.randint(0, len(self.betas), (len(x),)))

    def model_predictions(self, x, t):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        eps = self.model(x, t, None)
        return eps, (x - (1 - a).sqrt() * eps) / a.sqrt()

    def sample(self, batch_size):
        x = torch.randn(batch_size, *self.shape)
        for t in reversed(range(len(self.betas))):
            _, x0 = self.model_predictions(x, torch.full((batch_size,), t))
            a, b = self.alphas_cumprod[t], self.betas[t]
            before = self.alphas_cumprod[t - 1] if t else torch.ones(())
            mean = before.sqrt() * b / (1 - a) * x0 + (1 - b).sqrt() * (1 - before) / (1 - a) * x
            x = mean + self.width(b, before, a) * torch.randn_like(x) * (t > 0)
        return self.unnormalize(x)

    def width(self, b, before, a):
        return (b * (1 - before) / (1 - a)).sqrt()


def gaussian_diffusion(x=UNIT, objective="pred_noise", scaled=True, **methods):
    return checkup(type("Planted", (GaussianDiffusionLike,), methods)(objective, scaled), x)


def own(**options):
    architecture = {"model": "ddpm", "width": 8, "T": T} | options
    images = torch.randint(0, 256, (16, 1, 28, 28), generator=generator()).float() / 127.5 - 1
    return checkup(zoo.build(Architecture(**architecture)), images, trained=False)


SOUND = {
    "plain VAE": vae,
    "plain VAE, cross-entropy on black and white": lambda: vae(cross_entropy, UNIT.round(), PlainVae(spread=0.3)),
    "pythae's calls": pythae,
    "diffusers' calls": diffusers,
    "diffusers' calls, few steps": lambda: diffusers(scheduler=stepped(steps=12)),
    "GaussianDiffusion's calls": gaussian_diffusion,
    "a network and ᾱ": lambda: checkup(Best(), X, schedule=kept(betas())),
    "VAE of the library": lambda: own(model="vae", T=1000),
    "Diffusion of the library": own,
    "Diffusion of the library, the bound": lambda: own(schedule="log-snr-linear", objective="bound"),
    "guidance by w": lambda: diffusers(guidance=lambda c, n, w: c + w * (c - n)),
    "guidance by a scale": lambda: diffusers(guidance=lambda c, n, s: n + s * (c - n)),
    "EMA": lambda: diffusers(average=Best(wrap=SimpleNamespace), decay=0.99, steps=2000),
}  # fmt: skip
NO_UNITS = {"encode": lambda self, x: (x.flatten(1)[:, :8] * 0, x.flatten(1)[:, :8] * 0)}
FAULTS = {
    "uint8": (lambda: vae(x=(255 * UNIT).to(torch.uint8)), "clinic-range"),
    "float64": (lambda: vae(x=UNIT.double()), "clinic-range"),
    "0..255": (lambda: vae(x=255 * UNIT), "clinic-range"),
    "[-1, 1] for a sigmoid": (lambda: vae(x=X), "clinic-range"),
    "NaN": (lambda: vae(x=UNIT.index_fill(0, torch.tensor([3]), math.nan)), "clinic-nan"),
    "one colour": (lambda: vae(x=UNIT * 0 + 0.5), "clinic-range"),
    "both means": (lambda: vae(reduced(torch.mean, torch.mean)), "clinic-beta"),
    "mean over pixels": (lambda: vae(reduced(torch.mean, lambda r: r.sum(1).mean())), "clinic-beta"),
    "mean over units": (lambda: vae(reduced(lambda d: d.sum(1).mean(), torch.mean)), "clinic-beta"),
    "sum over the batch": (lambda: vae(reduced(torch.sum, lambda r: r.sum(1).mean())), "clinic-beta"),
    "KL subtracted": (lambda: vae(of_rate(lambda m, v: -rate(m, v))), "clinic-sign"),
    "log σ": (lambda: vae(of_rate(lambda m, v: rate(m, 2 * v))), "clinic-sign"),
    "KL the other way": (lambda: vae(of_rate(lambda m, v: ((1 + m**2) / v.exp() - 1 + v) / 2)), "clinic-sign"),
    "another KL": (lambda: vae(of_rate(lambda m, v: m.abs() + v**2)), "clinic-sign"),
    "no KL": (lambda: vae(of_rate(lambda m, v: 0 * m)), "clinic-samples-bad"),
    "error with the wrong sign": (lambda: vae(reduced(lambda d: -d.sum(1).mean(), lambda r: r.sum(1).mean())), "clinic-sign"),
    "cross-entropy on grey": (lambda: vae(cross_entropy), "clinic-bce-grey"),
    "cross-entropy outside [0, 1]": (lambda: vae(cross_entropy, X), "clinic-negative-loss"),
    "z = μ + σ²ε": (lambda: vae(reparameterize=lambda self, m, v: m + v.exp() * torch.randn_like(m)), "clinic-reparameterise"),
    "no noise": (lambda: vae(reparameterize=lambda self, m, v: m), "clinic-reparameterise"),
    "ε not scaled": (lambda: vae(reparameterize=lambda self, m, v: m + torch.randn_like(m)), "clinic-reparameterise"),
    "collapse": (lambda: vae(**NO_UNITS), "clinic-kl-zero"),
    "codes far from the prior": (lambda: vae(model=PlainVae(spread=9.0)), "clinic-samples-bad"),
    "logvar that runs off": (lambda: vae(encode=lambda self, x: (x.flatten(1)[:, :8], x.flatten(1)[:, :8] * 0 + 100)), "clinic-nan"),
    "pythae: z = μ": (lambda: pythae(draw=lambda self, mu, std: mu), "clinic-reparameterise"),
    "pythae: mean": (lambda: pythae(loss_function=lambda self, r, x, m, v, z: (F.mse_loss(r.view_as(x), x) / 2 + rate(m, v).mean(),)), "clinic-beta"),
    "[0, 1]": (lambda: diffusers(x=UNIT), "clinic-range"),
    "β kept": (lambda: diffusers(scheduler=Scheduler(betas() * T / 1000)), "clinic-other-t"),
    "ᾱ_T = 0": (lambda: diffusers(scheduler=Scheduler(torch.cat([betas()[:-1], torch.ones(1)]))), "clinic-cosine-nan"),
    "β below 0": (lambda: diffusers(scheduler=Scheduler(betas() * torch.linspace(-0.1, 1, T))), "clinic-other-t"),
    "ε for v": (lambda: diffusers(scheduler=Scheduler(predicts="v_prediction")), "clinic-loss-flat"),
    "told T − t": (lambda: diffusers(Best(wrap=SimpleNamespace, turn=lambda t: T - 1 - t)), "clinic-loss-flat"),
    "another schedule": (lambda: diffusers(Best(wrap=SimpleNamespace, turn=lambda t: (t * 0.7).long())), "clinic-told-level"),
    "variance for its root": (lambda: diffusers(scheduler=stepped(add_noise=lambda self, x, e, t: self.alphas_cumprod[t].view(-1, 1, 1, 1).sqrt() * x + (1 - self.alphas_cumprod[t]).view(-1, 1, 1, 1) * e)), "clinic-forward"),
    "one step early": (lambda: diffusers(scheduler=stepped(add_noise=lambda self, x, e, t: Scheduler.add_noise(self, x, e, (t - 1).clamp(min=0)))), "clinic-forward"),
    "told t + 1": (lambda: diffusers(loss=training_loss(Scheduler(), told=1)), "clinic-told-level"),
    "half of t never drawn": (lambda: diffusers(loss=training_loss(Scheduler(), first=T // 2)), "clinic-told-level"),
    "compared with the image": (lambda: diffusers(loss=training_loss(Scheduler(), image=True)), "clinic-loss-target"),
    "starts in the middle": (lambda: diffusers(scheduler=stepped(cut=T // 2)), "clinic-ddim-start"),
    "noise at the last step": (lambda: diffusers(scheduler=stepped(step=grainy)), "clinic-last-noise"),
    "EMA": (lambda: diffusers(decay=0.9999, steps=1000), "clinic-ema"),
    "EMA of random weights": (lambda: diffusers(average=Best(wrap=lambda sample: SimpleNamespace(sample=torch.zeros_like(sample)))), "clinic-ema"),
    "guidance without its one": (lambda: diffusers(guidance=lambda c, n, w: w * (c - n)), "clinic-guidance"),
    "guidance backwards": (lambda: diffusers(guidance=lambda c, n, w: c - w * (c - n)), "clinic-guidance"),
    "scaled twice": (lambda: gaussian_diffusion(X), "clinic-range"),
    "not scaled": (lambda: gaussian_diffusion(scaled=False), "clinic-range"),
    "ε for the image": (lambda: gaussian_diffusion(objective="pred_x0"), "clinic-loss-flat"),
    "steps twice as wide": (lambda: gaussian_diffusion(width=lambda self, b, before, a: 2 * b.sqrt()), "clinic-noise"),
    "other noise": (lambda: gaussian_diffusion(p_losses=lambda self, x, t: F.mse_loss(self.model(self.q_sample(x, t, torch.randn_like(x)), t, None), torch.randn_like(x))), "clinic-loss-target"),
    "NaN from the network": (lambda: diffusers(Best(wrap=lambda sample: SimpleNamespace(sample=sample * math.nan))), "clinic-nan"),
}  # fmt: skip


@pytest.mark.usefixtures("unshaped")
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_wrong_with_a_sound_model(name):
    found = SOUND[name]()
    assert found.wrong == [], found
    asked = ("schedule", "loss", "sampler")
    skipped = [f.check for f in found.findings if f.state == SKIPPED]
    assert all(check in asked for check in skipped), found
    assert len(found.findings) - len(skipped) >= 4


@pytest.mark.usefixtures("unshaped")
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name):
    make, entry = FAULTS[name]
    found = make()
    assert entry in {finding.entry for finding in found.wrong}, found


def test_a_cosine_schedule_that_is_not_that_of_its_paper_is_pointed_out():
    def look(f):
        return checkup(Best(f[1:].float()), X, schedule=Schedule(f), trained=False)

    u = torch.linspace(0, 1, 101, dtype=torch.float64)
    for s, power, state in ((0.08, 2, LOOK), (0.008, 1, LOOK), (0.008, 2, RIGHT)):
        f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** power
        f = torch.cat([f[:1] / f[:1], (f[1:] / f[:-1]).clamp(min=1e-3).cumprod(0)])
        assert [(x.state, x.entry) for x in look(f).findings if x.check == "schedule"] == [
            (state, "" if state == RIGHT else "clinic-cosine-shift")
        ]


def test_a_model_and_the_callers_noise_are_left_as_they_were():
    model = zoo.build(Architecture("ddpm", width=8, T=T))
    model.eval().net.register_buffer("counter", torch.zeros(3))
    images = torch.rand(8, 1, 28, 28) * 2 - 1
    before, net = copy.deepcopy(model.state_dict()), model.net
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = checkup(model, images, trained=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.net is net
    assert not model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert first == checkup(model, images, trained=False)


def test_it_is_read_as_text_and_as_a_table():
    found = vae(reduced(torch.mean, torch.mean))
    line = next(line for line in repr(found).splitlines() if line.startswith("✗ weight of the KL"))
    assert "β = 8" in " ".join(repr(found).split())  # 64 pixels over 8 units
    assert "book/clinic.html#clinic-beta" in repr(found)
    assert repr(found).splitlines()[0] == "Planted: 8 right, 1 wrong"
    assert "64 pixels" in line
    table = found._repr_html_()
    assert table.count("<tr>") == len(found.findings) + 1
    assert "<script" not in Checkup("a", (Finding("<script>", WRONG, "b"),))._repr_html_()


def test_it_is_had_from_the_package():
    assert lowerbound.checkup is checkup


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (nn.Linear(64, 64), X.flatten(1), r"forward must return \(recon, mu, logvar\)"),
        (object(), X, "does not know object: give a VAE"),
        (PlainVae(), X[0, 0, 0], "batch of at least 2"),
        (PlainVae(), [1, 2], "got list"),
        (PlainVae(), X * math.nan, "free of NaN"),
    ],
)
def test_what_it_cannot_look_at_is_told(model, x, message):
    with pytest.raises(ValueError, match=message):
        checkup(model, x)


def test_the_closed_form_of_the_kl_is_torchs():
    mean, logvar = torch.randn(20, 3, generator=generator()), torch.randn(20, 3, generator=generator(1))
    q = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    torch.testing.assert_close(
        kl_to_standard(mean, logvar),
        torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros(3), torch.ones(3))),
    )
