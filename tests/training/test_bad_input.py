"""What is wrong, and the one line that says so and what to do: a table. Run as a script it prints it."""

import math
import re
import tempfile
from dataclasses import replace
from pathlib import Path

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
from lowerbound import checkpoint, data, zoo
from lowerbound.nets import UNet
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
    "no images at all": (lambda _: fitted(IMAGES[:0]), ValueError, r"must be .* got \(0, 1, 28, 28\)"),
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
        "classes must be 0 or more, and 0 unless the model is a ddpm, got 10",
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
