"""How good samples are: one classifier, one set of test images, training images as the reference."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.bound import Bound
from torch import Tensor

from tools.experiments.run_dir import RunDir
from tools.jobs import Job

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


class SampleQuality:
    """Distances between samples and the test images in the features of the classifier that ships."""

    def __init__(self, run_dir: RunDir) -> None:
        self.classifier = zoo.load(CLASSIFIER, device=run_dir.device)
        self.test = metrics.features(self.classifier, run_dir.images("test").x)

    @staticmethod
    @cache
    def of(run_dir: RunDir) -> SampleQuality:
        """That of a folder, made once in each process."""
        return SampleQuality(run_dir)

    def distances(self, images: Tensor) -> dict[str, float]:
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


def reference(count: int, run_dir: RunDir) -> dict[str, Any]:
    """The distances of `count` training images in the place of samples."""
    images = run_dir.images("train").x
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    return SampleQuality.of(run_dir).distances(images[order])


def reference_job(count: int, run_dir: RunDir) -> Job:
    """The job of the reference, which experiments with as many samples share."""
    return run_dir.job(f"floor-{count}", reference, count)
