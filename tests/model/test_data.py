"""Data: what is bundled, what is checked, what is said when the network is away; and the exact toys."""

import hashlib
import math
import shutil
from importlib import resources
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound import data
from oracles import generator, z_score

RAW = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture(scope="module")
def bundled():
    return {split: data.load("fashion-mnist", split) for split in ("train", "test")}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", refuse)


@pytest.mark.parametrize(("split", "per_class"), [("train", 400), ("test", 100)])
def test_the_bundled_subset_is_balanced_uint8(bundled, split, per_class):
    x, y = bundled[split]
    assert (x.shape, x.dtype) == ((10 * per_class, 1, 28, 28), torch.uint8)
    assert (y.shape, y.dtype) == ((10 * per_class,), torch.int64)
    assert torch.bincount(y).tolist() == [per_class] * 10
    assert len(data.CLASSES) == 10
    assert (int(x.min()), int(x.max())) == (0, 255)


def test_train_and_test_share_no_image(bundled):
    train, test = ({hashlib.sha256(i.numpy().tobytes()).digest() for i in bundled[s].x} for s in bundled)
    assert not train & test
    assert len(train) > 3990


def test_the_bundled_subset_is_the_subset_of_the_full_set(bundled):
    if not (data.cache_folder() / "FashionMNIST" / "raw").is_dir():
        pytest.skip("the full Fashion-MNIST is not in the cache")
    for split, per_class in data.SUBSET_PER_CLASS.items():
        full = data.load("fashion-mnist", split, full=True)
        assert len(full.x) == {"train": 60_000, "test": 10_000}[split]
        picked = data.subset(full, per_class)
        assert torch.equal(picked.x, bundled[split].x)
        assert torch.equal(picked.y, bundled[split].y)


def test_subset_takes_the_first_of_each_class_in_order():
    y = torch.arange(10).repeat(3)
    x = torch.arange(30, dtype=torch.uint8).view(30, 1, 1, 1)
    picked = data.subset(data.Images(x, y), 2)
    assert picked.x.flatten().tolist() == list(range(20))
    assert picked.y.tolist() == y[:20].tolist()


def _assets_with(tmp_path, monkeypatch, **arrays):
    folder = tmp_path / "assets"
    folder.mkdir()
    np.savez_compressed(folder / "fashion-mnist-test.npz", **arrays)
    monkeypatch.setattr("lowerbound.data.resources.files", lambda package: tmp_path)


@pytest.mark.parametrize("which", ["x", "y"])
def test_one_changed_pixel_or_label_is_refused(bundled, tmp_path, monkeypatch, which):
    arrays = {"x": bundled["test"].x.numpy().copy(), "y": bundled["test"].y.numpy().astype(np.uint8)}
    _assets_with(tmp_path, monkeypatch, **arrays)
    assert torch.equal(data.load("fashion-mnist", "test").x, bundled["test"].x)
    arrays[which].reshape(-1)[-1] ^= 1
    (tmp_path / "assets" / "fashion-mnist-test.npz").unlink()
    (tmp_path / "assets").rmdir()
    _assets_with(tmp_path, monkeypatch, **arrays)
    with pytest.raises(ValueError, match=r"damaged.*reinstall"):
        data.load("fashion-mnist", "test")


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_flipped_byte_of_the_file_is_refused(tmp_path, monkeypatch, at):
    folder = tmp_path / "assets"
    folder.mkdir()
    original = resources.files("lowerbound") / "assets" / "fashion-mnist-test.npz"
    content = bytearray(original.read_bytes())
    content[int(at * len(content))] ^= 0xFF
    (folder / "fashion-mnist-test.npz").write_bytes(content)
    monkeypatch.setattr("lowerbound.data.resources.files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"damaged.*reinstall"):
        data.load("fashion-mnist", "test")


@pytest.mark.usefixtures("offline")
def test_without_network_the_full_set_names_the_ways_out(tmp_path):
    with pytest.raises(ConnectionError, match=r"Connect once.*full=False") as caught:
        data.load("fashion-mnist", "train", full=True, root=tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.usefixtures("offline")
def test_fallback_gives_the_subset_and_says_so(tmp_path, capsys, bundled):
    images = data.load("fashion-mnist", "test", full=True, fallback=True, root=tmp_path)
    assert torch.equal(images.x, bundled["test"].x)
    assert "Using the bundled subset instead" in capsys.readouterr().out


@pytest.mark.usefixtures("offline")
def test_damaged_cached_files_are_refused_whatever_the_fallback(tmp_path):
    raw = data.cache_folder() / "FashionMNIST" / "raw"
    if not raw.is_dir():
        pytest.skip("the full Fashion-MNIST is not in the cache")
    copy = tmp_path / "FashionMNIST" / "raw"
    copy.mkdir(parents=True)
    for name in RAW:
        shutil.copy(raw / f"{name}-ubyte", copy)
    with (copy / "t10k-images-idx3-ubyte").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ValueError, match=r"damaged.*delete"):
        data.load("fashion-mnist", "test", full=True, fallback=True, root=tmp_path)


def test_the_cache_folder_can_be_set(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    assert data.cache_folder() == tmp_path
    monkeypatch.delenv("LOWERBOUND_DATA")
    assert data.cache_folder().parts[-2:] == (".cache", "lowerbound")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="there is 'fashion-mnist'"):
        data.load("mnist", "train")
    with pytest.raises(ValueError, match="'train' or 'test'"):
        data.load("fashion-mnist", "validation")


def test_levels_and_bin_centres_are_each_others_inverse():
    levels = torch.arange(256, dtype=torch.uint8)
    x = data.to_unit(levels)
    assert x.dtype == torch.float32
    assert (float(x[0]), float(x[-1])) == (-1.0, 1.0)
    torch.testing.assert_close(x, torch.arange(256) / 127.5 - 1)
    assert torch.equal(data.to_uint8(x), levels)
    assert data.to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_to_unit_refuses_floats():
    with pytest.raises(TypeError, match="need no scaling"):
        data.to_unit(torch.zeros(3))


@pytest.mark.parametrize("mixture", [data.bimodal(), data.ring()], ids=["bimodal", "ring"])
def test_a_toys_density_integrates_to_one(mixture):
    line = torch.linspace(-4, 4, 401, dtype=torch.float64)
    axes = [line] * mixture.means.shape[1]
    grid = torch.cartesian_prod(*axes).view(-1, len(axes))
    assert float(mixture.log_prob(grid).exp().sum() * 0.02 ** len(axes)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mixture", [data.bimodal(), data.ring()], ids=["bimodal", "ring"])
def test_a_toys_samples_have_its_moments(mixture):
    x = mixture.sample(40_000, generator())
    assert x.dtype == torch.float32
    for d in range(x.shape[1]):
        assert abs(z_score(x[:, d], 0.0)) < 4
        second = float((mixture.weights * mixture.means[:, d] ** 2).sum()) + mixture.std**2
        assert abs(z_score(x[:, d] ** 2, second)) < 4


@given(st.floats(0.001, 0.999))
def test_noised_is_the_convolution_with_the_noise(alpha_bar):
    mixture = data.bimodal()
    grid = torch.linspace(-3, 3, 3001, dtype=torch.float64)[:, None]
    start = mixture.log_prob(grid) + math.log(6 / 3000)
    x = torch.tensor([[-1.3], [0.2], [2.0]], dtype=torch.float64)
    kernel = -0.5 * ((x - math.sqrt(alpha_bar) * grid.T) ** 2 / (1 - alpha_bar)).double()
    kernel -= 0.5 * math.log(2 * math.pi * (1 - alpha_bar))
    expected = torch.logsumexp(start + kernel, 1)
    torch.testing.assert_close(mixture.noised(alpha_bar).log_prob(x), expected, rtol=1e-6, atol=1e-6)


def test_the_spiral_has_about_unit_variance():
    points = data.spiral(20_000, generator())
    assert points.shape == (20_000, 2)
    assert float(points.var(0).mean()) == pytest.approx(1, abs=0.1)
    assert torch.equal(data.spiral(5, generator(1)), data.spiral(5, generator(1)))
