"""Models by name: build one from its architecture, save it with a card, load a trained one.

Weights are safetensors, never pickle; the card beside them is JSON and says what made them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from lowerbound import schedule as schedules
from lowerbound.checkpoint import atomically
from lowerbound.classifier import Classifier
from lowerbound.dense import CodeDenoiser
from lowerbound.diffusion import Diffusion, l_bound, l_simple
from lowerbound.fit import Recipe
from lowerbound.latent import DiffusionPrior
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.nets import Decoder, Encoder, Ladder, UNet
from lowerbound.vae import VAE, HierarchicalVAE

SCHEDULES = {
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "log-snr-linear": schedules.log_snr_linear,
}
OBJECTIVES = {"simple": l_simple, "bound": l_bound}
REPLACE = "reinstall the package or train it again"


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a model for 28×28 images; strings here, objects in the library.

    model: "vae", "hvae", "ddpm", "prior" (of the codes of a VAE) or "classifier"; width: channels at 14×14
    latents, beta: of a VAE; depth: layers of a hierarchical VAE, with `latents` channels each; of a prior,
        whose width is that of its layers, the blocks
    T, schedule, objective, classes: of a DDPM or a prior (classes = 0 hides them from it)

    Raises ValueError for a number out of range or a name that is not known.
    """

    model: str
    width: int = 64
    latents: int = 64
    beta: float = 1.0
    T: int = 1000
    schedule: str = "cosine"
    objective: str = "simple"
    classes: int = 0
    depth: int = 1

    def __post_init__(self) -> None:
        rules = {
            "model": (
                self.model in ("vae", "hvae", "ddpm", "prior", "classifier"),
                "'vae', 'hvae', 'ddpm', 'prior' or 'classifier'",
            ),
            "width": (self.width >= 2 and self.width % 2 == 0, "even and at least 2"),
            "latents": (self.latents >= 1, "at least 1"),
            "beta": (0 <= self.beta < math.inf, "0 or more"),
            "depth": (
                self.depth >= 1 and (self.model in ("hvae", "prior") or self.depth == 1),
                "at least 1, and 1 unless the model is an hvae or a prior",
            ),
            "T": (self.T >= 1, "at least 1"),
            "schedule": (self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            "objective": (self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}"),
            "classes": (
                self.classes >= 0 and (self.model in ("ddpm", "prior") or self.classes == 0),
                "0 or more, and 0 unless the model is a ddpm or a prior",
            ),
        }
        for name, (right, rule) in rules.items():
            if not right:
                raise ValueError(f"{name} must be {rule}, got {getattr(self, name)!r}")


_HVAE = Architecture("hvae", width=48, latents=4, depth=6)
SMOKE = Recipe(steps=20, warmup=5)
_VAE, _DDPM, _CLASSIFIER = Architecture("vae"), Architecture("ddpm"), Architecture("classifier", width=48)
_DDPM_CLASSES = Architecture("ddpm", classes=10)
SHORT = Recipe(steps=500, lr=3e-3, warmup=50, ema=0.99, precision="auto")
LONG = Recipe(steps=9_000, lr=3e-3, warmup=500, precision="auto")
LONGER = Recipe(steps=20_000, batch=256, lr=3e-3, warmup=500, ema=0.9995, precision="auto")

PRESETS: dict[str, tuple[Architecture, Recipe]] = {
    "vae-smoke": (Architecture("vae", width=16, latents=8), SMOKE),
    "hvae-smoke": (Architecture("hvae", width=16, latents=2, depth=2), SMOKE),
    "ddpm-smoke": (Architecture("ddpm", width=16), SMOKE),
    "ddpm-classes-smoke": (Architecture("ddpm", width=16, classes=10), SMOKE),
    "classifier-smoke": (Architecture("classifier", width=16), SMOKE),
    "vae-short": (_VAE, SHORT),
    "hvae-short": (_HVAE, SHORT),
    "ddpm-short": (_DDPM, SHORT),
    "ddpm-classes-short": (_DDPM_CLASSES, SHORT),
    "classifier-short": (_CLASSIFIER, SHORT),
    "vae-cpu": (_VAE, Recipe(steps=7_000, precision="auto")),
    "hvae-cpu": (_HVAE, Recipe(steps=7_000, precision="auto")),
    "ddpm-cpu": (_DDPM, LONG),
    "ddpm-classes-cpu": (_DDPM_CLASSES, LONG),
    "classifier-cpu": (_CLASSIFIER, Recipe(steps=6_000, batch=128, lr=3e-3, warmup=500, precision="auto")),
    "vae-gpu": (_VAE, Recipe(steps=20_000, batch=256, precision="auto")),
    "hvae-gpu": (_HVAE, Recipe(steps=20_000, batch=256, precision="auto")),
    "ddpm-gpu": (_DDPM, LONGER),
    "ddpm-classes-gpu": (_DDPM_CLASSES, LONGER),
    "classifier-gpu": (_CLASSIFIER, Recipe(steps=20_000, batch=256, precision="auto")),
}
"""What can be trained by name: a model, and a recipe that suits a machine.

smoke: seconds, to see that everything works; short: five to ten minutes on two slow cores;
cpu: below 20 minutes on two cores with bfloat16; gpu: three to eight minutes on an H200, measured, and
about ten on a T4, by an estimate from its floating-point operations.
"""


def build(architecture: Architecture) -> nn.Module:
    """A new model with random weights."""
    a = architecture
    if a.model == "vae":
        return VAE(Encoder(a.latents, a.width), Decoder(a.latents, a.width), beta=a.beta)
    if a.model == "hvae":
        return HierarchicalVAE(Ladder(a.depth, a.latents, a.width))
    if a.model == "classifier":
        return Classifier(a.width)
    schedule, objective = SCHEDULES[a.schedule](a.T), OBJECTIVES[a.objective]
    if a.model == "prior":
        denoiser, shape = CodeDenoiser(a.latents, a.width, a.depth, a.classes), (a.latents,)
        return DiffusionPrior(
            Diffusion(denoiser, schedule, shape, GaussianLikelihood, objective, clip=False)
        )
    net = UNet(width=a.width, classes=a.classes)
    return Diffusion(net, schedule, objective=objective)


def parameters(model: nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(p.numel() for p in model.parameters())


def names(folder: Path | None = None) -> list[str]:
    """The trained models in folder; by default, those that ship with the package."""
    return sorted(path.stem for path in (folder or _assets()).glob("*.safetensors"))


def card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """What a trained model is: architecture, preset, data, seed, steps, commit, hardware, time, metrics.

    folder: where it was saved, the package's own by default. Raises FileNotFoundError for an unknown name,
    ValueError for a damaged card.
    """
    path = (folder or _assets()) / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no trained model {name!r} in {path.parent}; there is: {', '.join(names(folder)) or 'none'}"
        )
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged; {REPLACE}") from error
    return loaded


def load(name: str, folder: Path | None = None, device: str | torch.device = "cpu") -> Any:
    """A trained model in eval mode, float32, of the class that its card names: what `build` returns.

    Raises FileNotFoundError for an unknown name, ValueError if the weights are not those of the card.
    """
    about = card(name, folder)
    path = (folder or _assets()) / f"{name}.safetensors"
    try:
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != about["weights"]["sha256"]:
            raise ValueError("the checksum differs")
        model = build(Architecture(**about["architecture"]))
        model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is not the file its card describes; {REPLACE}") from error
    return model.to(device).eval()


def export(
    model: nn.Module, name: str, architecture: Architecture, about: dict[str, Any], folder: Path
) -> Path:
    """Write NAME.safetensors (float16) and its card NAME.json; `about` is merged into the card.

    Returns the path of the weights. Raises OSError if they cannot be written; what was there is then kept.
    """
    path = folder / f"{name}.safetensors"
    weights = save({k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()})
    described = {
        "name": name,
        "architecture": asdict(architecture),
        "weights": {
            "sha256": hashlib.sha256(weights).hexdigest(),
            "dtype": "float16",
            "parameters": parameters(model),
        },
        **about,
    }
    for end, content in (("safetensors", weights), ("json", f"{json.dumps(described, indent=2)}\n".encode())):
        with atomically(folder / f"{name}.{end}") as file:
            file.write(content)
    return path


def _assets() -> Path:
    return Path(str(resources.files("lowerbound") / "assets"))
