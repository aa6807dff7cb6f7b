"""What samples are judged by: one classifier, one set of test images, the floor beside every number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from lowerbound import data, metrics, zoo
from lowerbound.bound import Bound
from lowerbound.experiments.units import Place, Unit

CLASSIFIER = "classifier-fashion"


def described(bound: Bound, dims: int = 784) -> dict[str, Any]:
    """A bound in bits/dim, whole and in its parts, with its standard error over the images."""
    whole = bound.bits_per_dim(dims).double()
    parts = {"distortion": bound.distortion, "rate": bound.rate}
    return {
        "bits_per_dim": float(whole.mean()),
        "standard_error": float(whole.std() / math.sqrt(len(whole))),
        "images": len(whole),
        **{name: float(part.double().mean()) / (dims * math.log(2)) for name, part in parts.items()},
        "each": [float(v) for v in whole[:500]],
    }


def timed(draw: Callable[[int], Tensor], count: int, batch: int = 250) -> tuple[Tensor, float]:
    """`count` samples from draw(n), as uint8 on the CPU, and the seconds that one took.

    On a CPU these are seconds of processor time, which other work on the machine does not lengthen much.
    """
    first = draw(1)
    data.to_uint8(first.cpu())  # warmed up, and waited for
    clock = time.process_time if first.device.type == "cpu" else time.perf_counter
    start = clock()
    parts = [draw(min(batch, count - i)) for i in range(0, count, batch)]
    levels = data.to_uint8(torch.cat(parts).cpu())
    return levels, (clock() - start) / count


class Ruler:
    """Distances between samples and the test images in the features of the classifier that ships."""

    def __init__(self, place: Place) -> None:
        self.classifier = zoo.load(CLASSIFIER, device=place.device)
        self.test = metrics.features(self.classifier, place.images("test").x)

    @staticmethod
    @cache
    def of(place: Place) -> Ruler:
        """The ruler of a place, made once in each process."""
        return Ruler(place)

    def judge(self, images: Tensor) -> dict[str, float]:
        """Fréchet and kernel distance, precision and recall of uint8 images (N, 1, 28, 28)."""
        features = metrics.features(self.classifier, images)
        k = min(len(features), len(self.test))
        precision, recall = metrics.precision_recall(self.test[:k], features[:k])
        return {
            **metrics.feature_distances(self.test, features),
            "precision": precision,
            "recall": recall,
            "samples": len(images),
        }


def floor(count: int, place: Place) -> dict[str, Any]:
    """The judgement of `count` training images in the place of samples."""
    images = place.images("train").x
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    return Ruler.of(place).judge(images[order])


def floor_unit(count: int) -> Unit:
    """The unit of the floor, which experiments with as many samples share."""
    return Unit(f"floor-{count}", partial(floor, count))
