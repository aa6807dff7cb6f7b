"""Fashion-MNIST, whole or as the bundled subset, and toys whose exact densities are known.

Images are uint8; models take float in [−1, 1], the centres of the 256 bins (`to_unit`, `to_uint8`).
`python -m lowerbound.data` rebuilds the bundled subset from the full set.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowerbound import entry

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SUBSET_PER_CLASS = {"train": 400, "test": 100}
SHA256 = {
    ("full", "train"): "1f243a60b4b748a44c48b9a6f6907be2a08bee3e4e226f0e86fbde8e147b745a",
    ("full", "test"): "9a494dc49efeb996f4076c469b31cd058152067b1594ba6ab85dd739fce3775e",
    ("subset", "train"): "cd8aac4335479288f7a283594bca26d63b294779bf9ec520e65b389c69e4abf0",
    ("subset", "test"): "557876127aaf141a638a6a7b29468259a2b6ccb4da45b4b92cfc3587832313fa",
}
DISK_ERRORS = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "ENOTDIR", "EEXIST")
    if hasattr(errno, name)
}


class Images(NamedTuple):
    """x: (N, 1, 28, 28) uint8; y: (N,) int64 class numbers, named by `CLASSES`."""

    x: Tensor
    y: Tensor


def to_unit(x: Tensor) -> Tensor:
    """uint8 levels 0..255, of any shape -> float32 bin centres in [−1, 1]. TypeError on another dtype."""
    if x.dtype != torch.uint8:
        raise TypeError(f"x must be uint8, got {x.dtype}; images already in [-1, 1] need no scaling")
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Float in [−1, 1], of any shape -> the nearest of the 256 levels, uint8; values outside are clipped.

    Raises TypeError if x is not float.
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be float in [-1, 1], got {x.dtype}; levels need no rounding")
    return ((x.detach().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def check(x: Tensor, y: Tensor | None = None) -> None:
    """Refuse what cannot be trained on: x must be uint8 images or float points (N, ...), y int64 (N,).

    Raises ValueError, with the remedy, for other dtypes or shapes and for values out of range. Warns of
    images in [0, 1].
    """
    entry.is_tensor(x)
    if not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise ValueError(
            f"x must be uint8 images or float points, got {x.dtype}; x.to(torch.uint8) if 0..255"
        )
    if x.ndim > 0 and x.numel() == 0:
        raise ValueError(f"x holds no examples, {tuple(x.shape)}; give at least one")
    if x.ndim in (0, 1, 3):
        raise ValueError(f"x must be (N, 1, 28, 28) or points (N, D), got {tuple(x.shape)}; try x[:, None]")
    if x.is_floating_point():
        if bad := int((~torch.isfinite(x)).sum()):
            raise ValueError(f"x holds {bad} values that are NaN or infinite; drop their rows")
        low, high = float(x.min()), float(x.max())
        if x.ndim == 4 and max(-low, high) > 1:
            raise ValueError(f"x must be in [-1, 1], got {low:g}..{high:g}; give uint8 images or to_unit(x)")
    entry.warn_of_half_range(x)
    if y is not None:
        entry.is_tensor(y, "y")
    if y is not None and y.shape[:1] == x.shape[:1] and y.ndim == 2:
        remedy = "use y[:, 0]" if y.shape[1] == 1 else "use y.argmax(1) if it is one-hot"
        raise ValueError(f"y must be ({len(x)},), got {tuple(y.shape)}; {remedy}")
    if y is not None and y.dtype != torch.int64:
        raise ValueError(f"y must be int64 class numbers, got {y.dtype}; y.long() if they are whole")
    if y is not None and y.shape != x.shape[:1]:
        raise ValueError(
            f"y must be ({len(x)},), one class for each image, got {tuple(y.shape)}; take both from one split"
        )


def cache_folder() -> Path:
    """Where downloads go: $LOWERBOUND_DATA, else ~/.cache/lowerbound."""
    return Path(os.environ.get("LOWERBOUND_DATA", "~/.cache/lowerbound")).expanduser()


def load(
    name: str, split: str, *, full: bool = False, fallback: bool = False, root: str | Path | None = None
) -> Images:
    """Load "fashion-mnist", split "train" or "test".

    full=False: the bundled subset, 4,000 train and 1,000 test images, balanced over the classes.
    full=True:  all 60,000 or 10,000, downloaded once by torchvision into root (see `cache_folder`).
    fallback:   with full=True, use the subset, and say so, when the download fails.

    Every path is checked against a SHA-256 of the pixels and labels.
    Raises ValueError for an unknown name or split or damaged data, ConnectionError when the full set
    is neither cached nor reachable, another OSError when root cannot be written.
    """
    if name != "fashion-mnist":
        raise ValueError(f"unknown data set {name!r}; there is 'fashion-mnist'")
    if split not in SUBSET_PER_CLASS:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if not full:
        return _verified(_bundled(split), "subset", split)
    folder = Path(root) if root is not None else cache_folder()
    try:
        return _verified(_full(split, folder), "full", split)
    except OSError as error:
        if not fallback:
            raise
        print(f"{error} Using the bundled subset instead.")
        return load(name, split)


def _bundled(split: str) -> Images:
    try:
        with (resources.files("lowerbound") / "assets" / f"fashion-mnist-{split}.npz").open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            return Images(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]).long())
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged("subset", split) from error


def _full(split: str, folder: Path) -> Images:
    from torchvision.datasets import FashionMNIST

    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = FashionMNIST(str(folder), train=split == "train", download=True)
    except (OSError, RuntimeError, ValueError, AssertionError, KeyError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise OSError(
                error.errno,
                f"{folder} cannot be written ({error.strerror}); set LOWERBOUND_DATA to a folder that can",
            ) from error
        if not isinstance(error, OSError) and "download" not in str(error).lower():
            raise _damaged("full", split) from error  # torchvision found the files and could not read them
        raise ConnectionError(
            f"Fashion-MNIST is not in {folder} and could not be fetched ({' '.join(str(error).split())}). "
            f"Connect once, or unpack its four files into {folder}/FashionMNIST/raw, or take the bundled "
            "subset: load(..., full=False), or --subset."
        ) from error
    return Images(files.data[:, None], files.targets.long())


def _digest(images: Images) -> str:
    digest = hashlib.sha256(images.x.numpy().tobytes())
    digest.update(images.y.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _verified(images: Images, kind: str, split: str) -> Images:
    if _digest(images) != SHA256[kind, split]:
        raise _damaged(kind, split)
    return images


def _damaged(kind: str, split: str) -> ValueError:
    again = f"delete its FashionMNIST folder (in {cache_folder()} unless you chose another) to fetch it again"
    remedy = again if kind == "full" else "reinstall the package"
    return ValueError(f"the {kind} {split} set of Fashion-MNIST is damaged; {remedy}")


def subset(images: Images, per_class: int) -> Images:
    """The first `per_class` images of each class, in their order: how the bundled subset is made."""
    picks = torch.cat([(images.y == k).nonzero()[:per_class, 0] for k in range(len(CLASSES))]).sort().values
    return Images(images.x[picks], images.y[picks])


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians: a toy whose density, at every noise level, is known exactly.

    means: (K, D) float64; std: of each component; weights: (K,), positive, sum 1
    """

    means: Tensor
    std: float
    weights: Tensor

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """Draw n points, (n, D) float32."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        eps = torch.randn(n, self.means.shape[1], generator=rng, dtype=torch.float64)
        return (self.means[k] + self.std * eps).float()

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log density of x (B, D). Returns (B,) nats, float64."""
        squared = ((x.double()[:, None] - self.means) ** 2).sum(2) / self.std**2  # (B, K)
        D = self.means.shape[1]
        log_joint = self.weights.log() - 0.5 * squared - D * math.log(self.std * math.sqrt(2 * math.pi))
        return torch.logsumexp(log_joint, 1)

    def noised(self, alpha_bar: float) -> Mixture:
        """The exact law of x_t = √ᾱ x_0 + √(1 − ᾱ) ε when x_0 follows this one."""
        std = math.sqrt(alpha_bar * self.std**2 + 1 - alpha_bar)
        return Mixture(math.sqrt(alpha_bar) * self.means, std, self.weights)


def bimodal(distance: float = 1.0, std: float = 0.2) -> Mixture:
    """Two equal bumps at ±distance on the line, (K, D) = (2, 1)."""
    means = torch.tensor([[-distance], [distance]], dtype=torch.float64)
    return Mixture(means, std, torch.full((2,), 0.5, dtype=torch.float64))


def ring(modes: int = 8, radius: float = 1.5, std: float = 0.12) -> Mixture:
    """`modes` equal bumps on a circle in the plane, (K, D) = (modes, 2)."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    means = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return Mixture(means, std, torch.full((modes,), 1 / modes, dtype=torch.float64))


def spiral(n: int, rng: torch.Generator | None = None, noise: float = 0.05) -> Tensor:
    """N points on a spiral of two turns in the plane, about unit variance. (n, 2) float32."""
    u = torch.rand(n, generator=rng).sqrt() * 4 * math.pi
    points = torch.stack([u.cos(), u.sin()], 1) * u[:, None] / (2 * math.pi)
    return points + noise * torch.randn(n, 2, generator=rng)


def _write_subset(folder: Path) -> None:
    for split, per_class in SUBSET_PER_CLASS.items():
        images = subset(load("fashion-mnist", split, full=True), per_class)
        np.savez_compressed(
            folder / f"fashion-mnist-{split}.npz", x=images.x.numpy(), y=images.y.numpy().astype(np.uint8)
        )
        print(f"{split}: {len(images.y)} images, SHA-256 {_digest(images)}")


if __name__ == "__main__":
    _write_subset(Path(__file__).parent / "assets")
