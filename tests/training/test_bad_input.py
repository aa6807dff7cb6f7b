"""What is wrong, and the one line that says so and what to do: a table. Run as a script it prints it."""

import math
import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import (
    IMAGES,
    LABELS,
    LEVELS,
    POINTS,
    RECIPE,
    REMOVE,
    SCALE,
    at,
    cli,
    ddpm,
    disk_full,
    download,
    exported,
    fitted,
    flipped,
    log_on_a_full_disk,
    loss_is_nan,
    offline,
    other,
    recipe,
    shared_by_three,
    spoiled,
    toy,
    twice,
    under_a_file,
    with_row,
)
from lowerbound import checkpoint, data, samplers, zoo
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.diffusion import Diffusion
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.vae import VAE
from lowerbound.zoo import Architecture


def _wider(card: Path) -> None:
    card.write_text(card.read_text().replace('"width": 8', '"width": 16'))


# what is wrong: (call with a folder, type of the error, pattern of its message)
BAD = {
    "checkpoint: truncated": (spoiled(lambda c: c[: len(c) // 2]), ValueError, f"is damaged.*{REMOVE}"),
    "checkpoint: empty": (spoiled(lambda c: b""), ValueError, f"is damaged.*{REMOVE}"),
    "checkpoint: one bit flipped": (spoiled(flipped), ValueError, f"is damaged.*{REMOVE}"),
    "checkpoint: a text file": (spoiled(lambda c: b"step,loss\n"), ValueError, f"no checkpoint.*{REMOVE}"),
    "checkpoint: of another program": (
        lambda f: (
            checkpoint.write(f / "run.checkpoint", {"epoch": 3}),
            fitted(checkpoint=f / "run.checkpoint"),
        ),
        ValueError,
        f"no checkpoint of this library; {REMOVE}",
    ),
    "checkpoint: of another model": (other(model=toy(9)), ValueError, f"another model; {REMOVE}"),
    "checkpoint: of other settings": (
        other(recipe=replace(RECIPE, lr=0.1)),
        ValueError,
        rf"lr: 0\.001 then, 0\.1 now.*{REMOVE}",
    ),
    "checkpoint: of other data": (other(x=POINTS + 1), ValueError, rf"other settings \(data: .*{REMOVE}"),
    "checkpoint: there, but no --resume": (twice, SystemExit, "2 steps; add --resume to go on.*or delete"),
    "disk full": (disk_full, OSError, "No space left.*before is kept; free space in .* or choose"),
    "folder that cannot be written": (
        lambda f: fitted(checkpoint=under_a_file(f) / "run.checkpoint"),
        OSError,
        "Not a directory.*choose another folder",
    ),
    "--out that cannot be written": (cli("--out", under_a_file), SystemExit, "cannot be written.*--out"),
    "loss that becomes NaN": (
        loss_is_nan,
        FloatingPointError,
        "loss is nan at step 2; start afresh .* lower lr",
    ),
    "NaN in the data": (
        lambda _: fitted(with_row(POINTS, 3, math.nan)),
        ValueError,
        "2 values that are NaN.*drop",
    ),
    "infinity in the data": (lambda _: fitted(with_row(POINTS, 3, math.inf)), ValueError, "infinite; drop"),
    "images (N, 28, 28)": (lambda _: fitted(IMAGES[:, 0]), ValueError, r"\(8, 28, 28\); try x\[:, None\]"),
    "no images at all": (lambda _: fitted(IMAGES[:0]), ValueError, r"no examples, \(0, 1, 28, 28\); give"),
    "images int16": (lambda _: fitted(IMAGES.short()), ValueError, r"uint8.*got torch.int16; x\.to\("),
    "images float 0..255": (
        lambda _: fitted(IMAGES + 255.0),
        ValueError,
        r"\[-1, 1\], got 255.*to_unit\(x\)",
    ),
    "labels fewer than images": (
        lambda _: fitted(IMAGES, y=LABELS[:7]),
        ValueError,
        "one class for each image, got .*; take both",
    ),
    "labels float": (
        lambda _: fitted(IMAGES, y=LABELS + 0.5),
        ValueError,
        r"int64.*got torch.float32; y\.long",
    ),
    "uint8 into VAE.loss": (lambda _: zoo.build(Architecture("vae", 8)).loss(LEVELS), ValueError, SCALE),
    "uint8 into VAE.bound": (lambda _: zoo.build(Architecture("vae", 8)).bound(LEVELS), ValueError, SCALE),
    "uint8 into Diffusion.bound": (lambda _: ddpm().bound(LEVELS), ValueError, SCALE),
    "uint8 into Diffusion.loss": (lambda _: ddpm().loss(LEVELS), ValueError, SCALE),
    "float 0..255 into Diffusion.loss": (lambda _: ddpm().loss(LEVELS.float()), ValueError, r"\[-1, 1\]"),
    "float 0..255 into Diffusion.bound": (lambda _: ddpm().bound(LEVELS.float()), ValueError, r"\[-1, 1\]"),
    "uint8 into q_sample": (
        lambda _: ddpm().q_sample(LEVELS, torch.tensor([1, 1]), LEVELS),
        ValueError,
        SCALE,
    ),
    "T = 0": (lambda _: ddpm(0), ValueError, "T must be at least 1, got 0"),
    "more steps than T": (lambda _: ddpm().respaced(11), ValueError, r"steps must be in 1\.\.10 .*got 11"),
    "t above T": (at(11), ValueError, r"t must be in 0\.\.10, got 1\.\.11"),
    "t below 0": (at(-1), ValueError, r"t must be in 0\.\.10, got -1\.\.1"),
    "class that the network has not": (
        lambda _: UNet(width=8, classes=3)(torch.zeros(1, 1, 28, 28), torch.zeros(1), torch.tensor([3])),
        ValueError,
        r"classes must be in -1\.\.2 .*got 3",
    ),
    "guidance by too few classes": (
        lambda _: ddpm().guided(torch.tensor([1, 2])).sample(3),
        ValueError,
        "2 classes for 3 examples; give one for each",
    ),
    "steps = 0": (recipe(steps=0), ValueError, "steps must be at least 1; got 0"),
    "batch = 0": (recipe(batch=0), ValueError, "batch must be at least 1; got 0"),
    "lr negative": (recipe(lr=-1e-3), ValueError, r"lr must be above 0, such as 1e-3; got -0\.001"),
    "lr NaN": (recipe(lr=math.nan), ValueError, "lr must be above 0, such as 1e-3; got nan"),
    "ema = 1": (recipe(ema=1.0), ValueError, r"ema must be in \[0, 1\), such as 0.999; got 1\.0"),
    "clip = 0": (recipe(clip=0.0), ValueError, r"clip must be above 0, such as 1\.0; got 0\.0"),
    "warmup negative": (recipe(warmup=-1), ValueError, "warmup must be 0 or more; got -1"),
    "seed negative": (recipe(seed=-1), ValueError, r"seed must be in 0\.\.4294967295; got -1"),
    "unknown precision": (recipe(precision="fp8"), ValueError, "one of float32, .*auto; got 'fp8'"),
    "every = 0": (lambda _: fitted(every=0), ValueError, "every.* must be at least 1; got 0"),
    "unknown preset": (cli(command=["vae-huge"]), SystemExit, "'vae-huge'.*choose from.*vae-smoke"),
    "unknown option": (cli("--stepps", "3"), SystemExit, "unrecognized arguments: --stepps"),
    "option that is no number": (cli("--steps", "many"), SystemExit, "--steps: invalid int value: 'many'"),
    "--batch 0": (cli("--batch", "0"), SystemExit, "batch must be at least 1; got 0"),
    "--T 0": (
        cli("--T", "0", command=["ddpm-smoke", "--subset"]),
        SystemExit,
        "T must be at least 1, got 0",
    ),
    "--threads 0": (cli("--threads", "0"), SystemExit, "threads must be at least 1; got 0"),
    "--device cuda without CUDA": (cli("--device", "cuda"), SystemExit, "no CUDA device.*use --device cpu"),
    "--device that is none": (cli("--device", "quantum"), SystemExit, "'quantum'; use cpu, cuda or mps"),
    "batch that processes cannot share": (
        shared_by_three,
        ValueError,
        r"4 cannot be shared by 3 processes; choose a multiple of 3 \(--batch\)",
    ),
    "disk full when the log is written": (
        log_on_a_full_disk,
        OSError,
        r"run\.csv cannot be written \(No space left.*free space in",
    ),
    "checkpoint: a folder": (
        lambda f: ((f / "run.checkpoint").mkdir(), fitted(checkpoint=f / "run.checkpoint")),
        OSError,
        r"cannot be read \(Is a directory\); make it readable",
    ),
    "--classes for a VAE": (
        cli("--classes", "10"),
        SystemExit,
        "classes must be 0 or more, and 0 unless the model is a ddpm or a prior, got 10",
    ),
    "--width 7": (cli("--width", "7"), SystemExit, "width must be even and at least 2, got 7"),
    "--latents 0": (cli("--latents", "0"), SystemExit, "latents must be at least 1, got 0"),
    "--beta nan": (cli("--beta", "nan"), SystemExit, "beta must be 0 or more, got nan"),
    "card: of something else": (
        exported(lambda f: (f / "tiny.json").write_text("{}")),
        ValueError,
        "its card",
    ),
    "card: with another width": (
        exported(lambda f: _wider(f / "tiny.json")),
        ValueError,
        "is not the file its card describes; reinstall",
    ),
    "download: a byte flipped": (
        download(flip=-1),
        ValueError,
        "set of Fashion-MNIST is damaged; delete its",
    ),
    "download: its header flipped": (
        download(flip=2),
        ValueError,
        "is damaged; delete its FashionMNIST folder",
    ),
    "download: truncated": (download(cut=1000), ValueError, "is damaged; delete its FashionMNIST folder"),
    "download: no network": (
        offline,
        ConnectionError,
        r"Connect once, or unpack .*, or take the bundled subset",
    ),
    "download: folder that cannot be written": (
        lambda f: data.load("fashion-mnist", "test", full=True, root=under_a_file(f)),
        OSError,
        "cannot be written.*set LOWERBOUND_DATA to a folder that can",
    ),
    "unknown data set": (lambda _: data.load("mnist", "test"), ValueError, "there is 'fashion-mnist'"),
    "unknown split": (
        lambda _: data.load("fashion-mnist", "dev"),
        ValueError,
        "'train' or 'test', got 'dev'",
    ),
    "unknown model": (
        lambda _: zoo.load("nothing"),
        FileNotFoundError,
        "no trained model 'nothing'.*there is",
    ),
    "weights: a bit flipped": (
        exported(lambda f: (p := f / "tiny.safetensors").write_bytes(flipped(p.read_bytes()))),
        ValueError,
        "not the file its card describes; reinstall the package or train it again",
    ),
    "weights: missing": (
        exported(lambda f: (f / "tiny.safetensors").unlink()),
        ValueError,
        "not the file its card describes; reinstall the package or train it again",
    ),
    "card: truncated": (
        exported(lambda f: (f / "tiny.json").write_text("{")),
        ValueError,
        r"tiny\.json is damaged; reinstall the package or train it again",
    ),
}


def vae(width=8):
    return zoo.build(Architecture("vae", width=width, latents=4))


def classes(count=10):
    return zoo.build(Architecture("ddpm", width=8, T=10, classes=count))


def images(*shape, dtype=torch.float32):
    """Images in [−1, 1], (8, *shape)."""
    return (torch.linspace(-1, 1, 8 * math.prod(shape)).view(8, *shape)).to(dtype)


class Folder:
    """A data set as torchvision has them: a length and items."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return images(1, 28, 28)[i], 0


FLAT, SQUARE, WIDE = images(28, 28), images(1, 28, 28), images(1, 30, 30)
GREY, COLOUR, LAST = r"mean\(1, keepdim=True\)", images(3, 28, 28), images(28, 28, 1)
ONE_HOT = torch.eye(10)[LABELS]
# what a newcomer gives to an entrance: as above
BAD |= {
    "fit: a NumPy array": (lambda _: fitted(IMAGES.numpy()), ValueError, r"numpy\.ndarray; use torch\.as_tensor\(x\)"),
    "fit: a list of images": (lambda _: fitted(list(IMAGES)), ValueError, r"got list; use torch\.stack"),
    "fit: a data set": (lambda _: fitted(Folder()), ValueError, r"Folder; use torch\.stack"),
    "fit: images with NaN": (lambda _: fitted(with_row(SQUARE, 2, math.nan), model=vae()), ValueError, "784 values that are NaN"),
    "fit: images of 30×30": (lambda _: fitted(WIDE, model=ddpm()), ValueError, r"multiples of 4.*30×30.*pad\(x, \(1, 1, 1, 1\), value=-1\)"),
    "fit: no channels": (lambda _: fitted(FLAT, model=ddpm()), ValueError, r"\(8, 28, 28\); try x\[:, None\]"),
    "fit: three channels for one": (lambda _: fitted(COLOUR, model=ddpm()), ValueError, f"got 3 channels; use x.{GREY}, or a network of 3"),
    "fit: channels last": (lambda _: fitted(LAST, model=ddpm()), ValueError, r"channels last; use x\.permute\(0, 3, 1, 2\)"),
    "fit: images of 32×32": (lambda _: fitted(images(1, 32, 32), model=ddpm()), ValueError, r"resize the images, or give the model shape=\(1, 32, 32\)"),
    "fit: float64 images": (lambda _: fitted(SQUARE.double(), model=vae()), ValueError, r"x is torch\.float64 and the weights are torch\.float32; use x\.float\(\)"),
    "fit: bfloat16 weights": (lambda _: fitted(SQUARE, model=vae().bfloat16()), ValueError, r'model\.float\(\), and to train in bfloat16 Recipe\(precision="bfloat16"\)'),
    "fit: int64 images": (lambda _: fitted(IMAGES.long(), model=vae()), ValueError, r"got torch\.int64; x\.to\(torch\.uint8\)"),
    "fit: one-hot labels": (lambda _: fitted(IMAGES, y=ONE_HOT, model=classes()), ValueError, r"use y\.argmax\(1\)"),
    "fit: labels as a column": (lambda _: fitted(IMAGES, y=LABELS[:, None], model=classes()), ValueError, r"use y\[:, 0\]"),
    "fit: labels from 1": (lambda _: fitted(IMAGES, y=LABELS.clone().index_fill(0, torch.tensor([0]), 10).clamp(min=1), model=classes()), ValueError, r"y must be in 0\.\.9, got 1\.\.10; use y - 1"),
    "fit: labels beyond the classes": (lambda _: fitted(IMAGES, y=LABELS + 12, model=classes()), ValueError, "use a network of 13 classes"),
    "fit: labels for a VAE": (lambda _: fitted(IMAGES, y=LABELS, model=vae()), ValueError, "a VAE has no classes; leave y out"),
    "fit: labels for a network without classes": (lambda _: fitted(IMAGES, y=LABELS, model=ddpm()), ValueError, "no classes; leave y out, or build it with classes=10"),
    "fit: labels as a list": (lambda _: fitted(IMAGES, y=[0] * 8, model=classes()), ValueError, "y must be a tensor"),
    "fit: settings in a dict": (lambda _: fitted(IMAGES, {"steps": 2}, model=vae()), ValueError, r"recipe must be a Recipe, got dict; use Recipe\(steps=2000\)"),
    "bound: NaN, VAE": (lambda _: vae().bound(with_row(SQUARE, 2, math.nan)), ValueError, "784 values that are NaN or infinite; drop"),
    "bound: NaN, diffusion": (lambda _: ddpm().bound(with_row(SQUARE, 2, math.nan)), ValueError, "784 values that are NaN or infinite; drop"),
    "bound: an array": (lambda _: vae().bound(SQUARE.numpy()), ValueError, "use torch.as_tensor"),
    "bound: one image": (lambda _: vae().bound(SQUARE[0]), ValueError, r"got one image \(1, 28, 28\); use x\[None\]"),
    "bound: no channels": (lambda _: vae().bound(FLAT), ValueError, r"without channels; use x\[:, None\]"),
    "bound: three channels": (lambda _: ddpm().bound(COLOUR), ValueError, f"got 3 channels; use x.{GREY}"),
    "bound: images of 30×30": (lambda _: ddpm().bound(WIDE), ValueError, "multiples of 4.*30×30; pad"),
    "bound: float64": (lambda _: vae().bound(SQUARE.double()), ValueError, r"use x\.float\(\)"),
    "bound: bfloat16 weights": (lambda _: ddpm().bfloat16().bound(SQUARE), ValueError, r"too coarse for a likelihood; use model\.float\(\)"),
    "bound: an empty batch": (lambda _: ddpm().bound(SQUARE[:0]), ValueError, r"no examples, \(0, 1, 28, 28\); give at least one"),
    "bound: a seed for a generator": (lambda _: vae().bound(SQUARE, 0), ValueError, r"got int; use torch\.Generator\(\)\.manual_seed\(0\)"),
    "sample: none": (lambda _: vae().sample(0), ValueError, "above 0, got 0"),
    "sample: two and a half": (lambda _: ddpm().sample(2.5), ValueError, "whole number above 0, got 2.5"),
    "start: of another shape": (lambda _: next(samplers.ddim(ddpm(), FLAT)), ValueError, r"x_T must be \(n, 1, 28, 28\), got \(8, 28, 28\); use torch\.randn"),
    "start: a number": (lambda _: next(samplers.ancestral(ddpm(), 8)), ValueError, r"starts from noise x_T \(n, 1, 28, 28\), got int.*model\.sample\(n\)"),
    "start: float64": (lambda _: next(samplers.dpm_solver(ddpm(), SQUARE.double())), ValueError, r"x_T is torch\.float64.*use x_T\.float\(\)"),
    "start: whole numbers": (lambda _: next(samplers.heun(ddpm(), SQUARE.long())), ValueError, r"x_T must be noise, got torch\.int64"),
    "fit: no points": (lambda _: fitted(POINTS[:0]), ValueError, r"no examples, \(0, 2\); give at least one"),
    "fit: points of another width": (lambda _: fitted(images(3), model=toy()), ValueError, r"x must be \(N, 2\), got \(8, 3\); use points of 2 numbers"),
    "bound: points of another width": (lambda _: toy().bound(images(3)), ValueError, r"x must be \(N, 2\), got \(8, 3\)"),
    "bound: one point": (lambda _: toy().bound(POINTS[0]), ValueError, r"got \(2,\); use x\[None\]"),
    "bound: points as images": (lambda _: toy().bound(images(1, 1, 2)), ValueError, r"use x\.flatten\(1\)"),
    "bound: points for 256 levels": (lambda _: VAE(DenseEncoder(2, 2), DenseDecoder(2, 2)).bound(3 * POINTS), ValueError, r"got -3\.\.3; points need GaussianLikelihood"),
    "guided by a list": (lambda _: classes().guided([9]), ValueError, r"got list; use torch\.tensor\(y\)"),
    "guided by no class": (lambda _: classes().guided(LABELS[:0]), ValueError, "y holds no class; give one"),
    "guided by a float label": (lambda _: classes().guided(torch.tensor(9.0)), ValueError, "y must be int64 of shape"),
    "a tensor for a schedule": (lambda _: Diffusion(UNet(width=8), torch.linspace(1, 0.01, 10)), ValueError, r"must be a Schedule, got Tensor; use cosine\(1000\)"),
    "latents of two sizes": (lambda _: VAE(Encoder(4, 8), Decoder(5, 8)), ValueError, "encoder has 4 latents and the decoder 5; give both the same"),
}  # fmt: skip
# what may be meant, and is only told: (call, pattern of the warning)
DOUBTFUL = {
    "fit: images in [0, 1]": (lambda: fitted(SQUARE / 2 + 0.5, model=vae()), r"half of \[-1, 1\].*use 2 \* x - 1"),
    "fit: uint8 of 0 and 1": (lambda: fitted((SQUARE > 0).to(torch.uint8), model=vae()), r"use 255 \* x"),
    "bound: images in [0, 1], VAE": (lambda: vae().bound(SQUARE / 2 + 0.5), r"use 2 \* x - 1"),
    "bound: images in [0, 1], diffusion": (lambda: ddpm().bound(SQUARE / 2 + 0.5), r"use 2 \* x - 1"),
}


@pytest.mark.usefixtures("unshaped")
@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_be_meant_is_a_warning_of_one_line(name):
    call, pattern = DOUBTFUL[name]
    with pytest.warns(UserWarning, match=pattern) as caught:
        call()
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


@pytest.mark.usefixtures("unshaped")
def test_what_is_right_is_told_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae().bound(SQUARE)
        ddpm().bound(SQUARE)
        classes().guided(torch.tensor(9)).sample(2)
        fitted(IMAGES + torch.arange(28, dtype=torch.uint8), y=LABELS, model=classes())
        colour = Diffusion(UNet(channels=3, width=8), ddpm().schedule, shape=(3, 32, 32))
        assert fitted(images(3, 32, 32), model=colour).steps
        assert colour.sample(2).shape == (2, 3, 32, 32)


@pytest.mark.usefixtures("unshaped")
def test_whole_numbers_of_numpy_and_shapes_as_lists_are_taken():
    model = ddpm()
    listed = Diffusion(model.net, model.schedule, list(model.shape))
    assert listed.sample(np.int64(2)).shape == (2, *model.shape)
    assert listed.bound(torch.zeros(2, *model.shape)).nats().shape == (2,)


def test_a_training_step_asks_nothing_of_the_entrances(monkeypatch):
    """They are asked when `fit` begins, and no more."""
    asked = []
    for name in ("is_tensor", "finite", "shape_fits", "weights_fit", "warn_of_half_range", "classes_fit"):
        original = getattr(data.entry, name)
        monkeypatch.setattr(data.entry, name, lambda *a, o=original, n=name: (asked.append(n), o(*a))[1])
    counts = []
    for steps in (1, 4):
        asked.clear()
        fitted(IMAGES, replace(RECIPE, steps=steps), model=vae())
        fitted(IMAGES, replace(RECIPE, steps=steps), y=LABELS, model=classes())
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


@pytest.mark.usefixtures("unshaped")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_one_line_with_the_remedy(tmp_path, name):
    call, kind, pattern = BAD[name]
    if name == "--device cuda without CUDA" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(kind, match=pattern) as caught:
        call(tmp_path)
    said = message(caught.value)
    assert "\n" not in said
    if kind is SystemExit:
        assert said.startswith("lowerbound.train: error: ")


def message(error: BaseException) -> str:
    """What is read of an error: of an OSError without its number."""
    return (error.strerror if isinstance(error, OSError) and error.strerror else None) or str(error)


def render() -> str:
    """The table, in Markdown: what is wrong, what is said."""
    lines = ["| bad input | error | message |", "| --- | --- | --- |"]
    for name, (call, _, _) in BAD.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                call(Path(folder))
            except (Exception, SystemExit) as error:
                kind = "exit" if isinstance(error, SystemExit) else type(error).__name__
                said = message(error).replace(folder, "FOLDER").replace("|", "\\|")
                lines.append(f"| {name} | {kind} | {re.sub(r'[0-9a-f]{12}', '…', said)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(render())
