"""What test_bad_input.py calls: functions of an empty folder that give the library something wrong."""

import contextlib
import io
import math
from dataclasses import replace
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import pytest
import torch
from lowerbound import checkpoint, data, train, zoo
from lowerbound import fit as fits
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.fit import Recipe, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.vae import VAE
from lowerbound.zoo import Architecture

RECIPE = Recipe(steps=2, batch=4)
POINTS = torch.linspace(-1, 1, 40).view(20, 2)
IMAGES = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
SMOKE = ["vae-smoke", "--subset", "--width", "8", "--steps", "2", "--batch", "4", "--quiet"]


def toy(width=8):
    return VAE(DenseEncoder(2, 2, width), DenseDecoder(2, 2, width), GaussianLikelihood)


def fitted(x=POINTS, recipe=RECIPE, model=None, **options):
    return fit(model or toy(), x, recipe, progress=False, **options)


def saved(folder: Path) -> Path:
    path = folder / "run.checkpoint"
    fitted(checkpoint=path)
    return path


def spoiled(change):
    """Continue a run from a checkpoint whose bytes are changed."""

    def call(folder):
        path = saved(folder)
        path.write_bytes(change(path.read_bytes()))
        fitted(checkpoint=path)

    return call


def other(**options):
    """Continue a run with something else than it was started with."""
    return lambda folder: fitted(checkpoint=saved(folder), **options)


def flipped(content):
    at = (
        content.find(b"precision") if b"precision" in content else len(content) // 2
    )  # what is read, not the padding between tensors
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def disk_full(folder):
    path = saved(folder)
    before = path.read_bytes()
    path.with_name("run.checkpoint.partial").symlink_to("/dev/full")
    try:
        checkpoint.write(path, {"losses": [0.0] * 10_000})
    finally:
        assert path.read_bytes() == before
        assert sorted(p.name for p in folder.iterdir()) == ["run.checkpoint", "run.csv"]


def loss_is_nan(folder):
    path, calls = folder / "run.checkpoint", []

    def loss(*arguments):
        calls.append(1)
        return default_loss(*arguments) * (math.nan if len(calls) == 3 else 1)

    try:
        fitted(recipe=replace(RECIPE, steps=4), loss=loss, checkpoint=path, every=1)
    finally:
        assert len(checkpoint.read(path)["steps"]) == 2


def log_on_a_full_disk(folder):
    (folder / "run.csv.partial").symlink_to("/dev/full")
    fitted(checkpoint=folder / "run.checkpoint")


def shared_by_three(folder):
    with mock.patch.multiple(fits, distributed=lambda: True, dist=mock.DEFAULT) as patched:
        patched["dist"].get_rank.return_value, patched["dist"].get_world_size.return_value = 0, 3
        fitted()


def raw(folder, cut=None, flip=None):
    """Files in the format of the download, but with the bundled images in them."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    images = data.load("fashion-mnist", "test")
    for split in ("train", "t10k"):
        for name, array in (("images-idx3", images.x[:, 0]), ("labels-idx1", images.y.to(torch.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            content = bytearray(header + array.numpy().tobytes())
            if flip is not None:
                content[flip] ^= 0xFF
            (raw / f"{split}-{name}-ubyte").write_bytes(content[:cut])


def download(**damage):
    """Files that would be accepted if they were not damaged."""

    def call(folder):
        images = data.load("fashion-mnist", "test")
        with mock.patch.dict(data.SHA256, {("full", "test"): data._digest(images)}):
            raw(folder)
            assert torch.equal(data.load("fashion-mnist", "test", full=True, root=folder).x, images.x)
            raw(folder, **damage)
            data.load("fashion-mnist", "test", full=True, root=folder)

    return call


def offline(folder):
    def refuse(*arguments, **options):
        raise URLError("Network is unreachable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchvision.datasets.mnist.download_and_extract_archive", refuse)
        data.load("fashion-mnist", "test", full=True, root=folder)


def under_a_file(folder):
    (folder / "file").write_text("")
    return folder / "file" / "below"


def cli(*options, command=SMOKE):
    """The command line; what it says on its error stream becomes the message."""

    def call(folder):
        said = io.StringIO()
        out = ["--out", str(folder)] if "--out" not in options else []
        given = [o(folder) if callable(o) else o for o in options]
        with contextlib.redirect_stderr(said), pytest.raises(SystemExit) as end:
            train.main([*command, *out, *map(str, given)])
        assert end.value.code in (1, 2)
        raise SystemExit(said.getvalue().rstrip("\n"))

    return call


def twice(folder):
    with contextlib.redirect_stdout(io.StringIO()):
        train.main([*SMOKE, "--out", str(folder)])
    before = (folder / "vae-smoke.checkpoint").read_bytes()
    try:
        cli()(folder)
    finally:
        assert (folder / "vae-smoke.checkpoint").read_bytes() == before


def exported(change):
    def call(folder):
        zoo.export(zoo.build(Architecture("vae", width=8)), "tiny", Architecture("vae", width=8), {}, folder)
        change(folder)
        zoo.load("tiny", folder)

    return call


def ddpm(T=10):
    return zoo.build(Architecture("ddpm", width=8, T=T))


def at(t):
    x = torch.zeros(2, 1, 28, 28)
    return lambda _: ddpm().q_sample(x, torch.tensor([1, t]), x)


def recipe(**numbers):
    return lambda _: Recipe(**numbers)


def with_row(x, at, value):
    return x.index_fill(0, torch.tensor([at]), value)


LABELS, LEVELS = torch.zeros(8, dtype=torch.int64), torch.full((2, 1, 28, 28), 7, dtype=torch.uint8)
SCALE = r"data\.to_unit\(x\)"
REMOVE = r"delete .*run\.checkpoint, or choose another folder"
