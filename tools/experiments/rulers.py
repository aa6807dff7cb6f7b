"""What samples are judged by, and what each ruler sees: its report card comes before its verdicts.

To add a ruler is to add an entry to `RULERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.classifier import features
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tools.experiments.run_dir import RunDir

CLASSIFIER = "classifier-fashion-long"
NEIGHBOURS = 5000  # images of each kind, among which neighbours are sought


class Reference:
    """The images that samples are compared with: uint8 (N, 1, 28, 28), and what rulers make of them."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir = run_dir
        self.test, self.train = run_dir.images("test").x, run_dir.images("train").x

    @staticmethod
    @cache
    def of(run_dir: RunDir) -> Reference:
        """That of a folder, made once in each process."""
        return Reference(run_dir)

    @cached_property
    def classifier(self) -> Any:
        """The classifier, on the device."""
        return zoo.load(CLASSIFIER, device=self.run_dir.device)

    @cached_property
    def labels(self) -> Tensor:
        """Features of the test images by the classifier. (N, F)."""
        return features(self.classifier, self.test)

    @cached_property
    def pyramid(self) -> Tensor:
        """Pyramid features of the test images, each in units of its standard deviation. (N, F)."""
        return metrics.pyramid_features(self.test) / self.scale

    @cached_property
    def scale(self) -> Tensor:
        """Standard deviations of the test images' pyramid features (F,), 0.02 where it would be less.

        So corners that are always black do not rule: 0.02 is two and a half grey levels.
        """
        return metrics.pyramid_features(self.test).std(0).clamp(min=0.02)

    def scaled(self, images: Tensor) -> Tensor:
        """Pyramid features of samples, in the same units."""
        return metrics.pyramid_features(images) / self.scale


def _label_distance(images: Tensor, reference: Reference) -> float:
    return metrics.feature_distances(reference.labels, features(reference.classifier, images))["frechet"]


def _pyramid_distance(images: Tensor, reference: Reference) -> float:
    return metrics.feature_distances(reference.pyramid, reference.scaled(images))["frechet"]


def _told_apart(images: Tensor, reference: Reference) -> tuple[float, float]:
    n = min(len(images), len(reference.test))
    said = metrics.two_sample(reference.test[:n], images[:n])
    return said["bits"], said["error"]


def _sharpness(images: Tensor, reference: Reference) -> float:
    test = metrics.sharpness(reference.test).mean()
    return float(metrics.sharpness(images).mean() / test)


def _nearer(images: Tensor, reference: Reference) -> float:
    n = min(NEIGHBOURS, len(images), len(reference.test), len(reference.train))
    return metrics.nearer_to(images[:n], reference.train[:n], reference.test[:n])


def _precision(images: Tensor, reference: Reference) -> float:
    return _within(images, reference)[0]


def _recall(images: Tensor, reference: Reference) -> float:
    return _within(images, reference)[1]


def _within(images: Tensor, reference: Reference) -> tuple[float, float]:
    n = min(NEIGHBOURS, len(images), len(reference.test))
    return metrics.precision_recall(reference.pyramid[:n], reference.scaled(images[:n]))


@dataclass(frozen=True)
class Ruler:
    """A number for a set of samples, or the number and its standard error.

    best: what it says of perfect ones; about: in a line, for the page; most: the highest that it can say
    """

    label: str
    best: str
    measure: Callable[[Tensor, Reference], float | tuple[float, float]]
    about: str
    most: float | None = None


RULERS: dict[str, Ruler] = {
    "labels": Ruler("Fréchet, classifier", "low", _label_distance, "features of a classifier of garments"),
    "pyramid": Ruler("Fréchet, pyramid", "low", _pyramid_distance, "means and edges at three scales"),
    "told": Ruler("two-sample test, bits", "low", _told_apart, "what a network learns to tell apart", 1.0),
    "sharpness": Ruler("sharpness", "one", _sharpness, "energy of the Laplacian over that of test images"),
    "nearer": Ruler("nearer to training", "half", _nearer, "nearest neighbour: training against test image"),
    "precision": Ruler("precision", "high", _precision, "samples among test images, in the pyramid"),
    "recall": Ruler("recall", "high", _recall, "test images among samples, in the pyramid"),
}


def judge(images: Tensor, run_dir: RunDir) -> dict[str, float]:
    """What every ruler says of uint8 images (N, 1, 28, 28), by name; its standard error as NAME_error."""
    reference, said = Reference.of(run_dir), {}
    for name, ruler in RULERS.items():
        value = ruler.measure(images, reference)
        if isinstance(value, tuple):
            value, said[f"{name}_error"] = value
        said[name] = value
    return said


# ---- the report card


def described(run_dir: RunDir) -> dict[str, Any]:
    """What the rulers are called and say at best, and the kinds of fault, for whoever reads results."""
    said = {
        n: {"label": r.label, "best": r.best, "most": r.most, "about": r.about} for n, r in RULERS.items()
    }
    return {"rulers": said, "kinds": list(FAULTS)}


def _blurred(x: Tensor, std: float) -> Tensor:
    offsets = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * std**2))
    kernel = kernel / kernel.sum()
    unit = F.pad(data.to_unit(x), (4, 4, 4, 4), value=-1.0)
    rows = F.conv2d(unit, kernel.view(1, 1, 1, -1))
    return data.to_uint8(F.conv2d(rows, kernel.view(1, 1, -1, 1)))


def _noisy(x: Tensor, levels: float, rng: torch.Generator) -> Tensor:
    return (x + levels * torch.randn(x.shape, generator=rng)).round().clamp(0, 255).to(torch.uint8)


def _repeated(x: Tensor, distinct: int) -> Tensor:
    return x[:distinct].repeat(-(-len(x) // distinct), 1, 1, 1)[: len(x)]


# A fault: training images, their classes and a generator -> what is judged. Those of one kind get worse.
FAULTS: dict[str, list[tuple[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]]]] = {
    "blur": [
        ("blur, 0.5 px", lambda x, y, rng: _blurred(x, 0.5)),
        ("blur, 1 px", lambda x, y, rng: _blurred(x, 1.0)),
    ],
    "noise": [
        ("noise, 8 levels", lambda x, y, rng: _noisy(x, 8, rng)),
        ("noise, 16 levels", lambda x, y, rng: _noisy(x, 16, rng)),
    ],
    "grey": [
        ("32 grey levels", lambda x, y, rng: (x // 8) * 8 + 4),
        ("8 grey levels", lambda x, y, rng: (x // 32) * 32 + 16),
    ],
    "mirrored": [("mirrored", lambda x, y, rng: x.flip(3))],
    "repeated": [
        ("500 images, repeated", lambda x, y, rng: _repeated(x, 500)),
        ("50 images, repeated", lambda x, y, rng: _repeated(x, 50)),
    ],
    "classes": [
        ("two classes missing", lambda x, y, rng: _repeated(x[y < 8], int((y < 8).sum()))[: len(x)]),
        ("half the classes missing", lambda x, y, rng: x[y < 5]),
    ],
    "copy": [("a copy of the training set", lambda x, y, rng: x)],
}


def drawn(run_dir: RunDir, seed: int, count: int) -> data.Images:
    """`count` training images in the place of samples; seed −1: the first, which "nearer" compares with."""
    images = run_dir.images("train")
    late = torch.arange(NEIGHBOURS if run_dir.full else 0, len(images.x))
    order = (
        late[torch.randperm(len(late), generator=torch.Generator().manual_seed(seed))] if seed >= 0 else None
    )
    rows = order[:count] if order is not None else torch.arange(count)
    return data.Images(images.x[rows], images.y[rows])


def floor(seed: int, count: int, run_dir: RunDir) -> dict[str, Any]:
    """What the rulers say of training images: as good as samples can be, learned by heart or not."""
    return {"seed": seed, "samples": count, **judge(drawn(run_dir, seed, count).x, run_dir)}


def spoiled(kind: str, which: int, count: int, run_dir: RunDir) -> dict[str, Any]:
    """What the rulers say of training images with a fault."""
    label, spoil = FAULTS[kind][which]
    enough = min(2 * count, len(run_dir.images("train").x) - (NEIGHBOURS if run_dir.full else 0))
    images = drawn(run_dir, -1, count) if kind == "copy" else drawn(run_dir, 1000 + which, enough)
    rng = torch.Generator().manual_seed(which)
    judged = judge(spoil(images.x, images.y, rng)[:count], run_dir)
    return {"fault": label, "kind": kind, "samples": count, **judged}
