"""Files that are whole or absent, and checkpoints of which every byte is checked."""

import errno
import os
import random
import resource

import pytest
import torch
from lowerbound import checkpoint

CONTENT = {
    "model": {"weight": torch.arange(2000.0).view(40, 50), "bias": torch.ones(40, dtype=torch.bfloat16)},
    "losses": [0.1 * i for i in range(300)],
    "run": {"lr": 1e-3, "schedule": "cosine"},
}


def _same(saved) -> bool:
    return (
        saved.keys() == CONTENT.keys()
        and all(torch.equal(saved["model"][k], v) for k, v in CONTENT["model"].items())
        and saved["losses"] == CONTENT["losses"]
        and saved["run"] == CONTENT["run"]
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "deep" / "run.checkpoint"
    checkpoint.write(path, CONTENT)
    return path


def test_what_is_written_is_read(path):
    assert _same(checkpoint.read(path))
    assert [p.name for p in path.parent.iterdir()] == ["run.checkpoint"]


def test_no_flipped_bit_changes_what_is_read(path):
    """torch.load alone takes nearly all of them, without a word."""
    whole, rng, refused, taken = path.read_bytes(), random.Random(0), 0, 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            kept = _same(checkpoint.read(path))  # padding, or a field nobody reads
        except ValueError as error:
            kept = "is damaged or no checkpoint" in str(error)
            refused += 1
        assert kept
        try:
            taken += not _same(torch.load(path, weights_only=True))
        except Exception:
            taken += 0
    assert refused > 200
    assert taken > 100


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_with_the_remedy(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"damaged or no checkpoint.*delete"):
        checkpoint.read(path)


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"model": Evil()}, tmp_path / "evil")
    with pytest.raises(ValueError, match="no checkpoint"):
        checkpoint.read(tmp_path / "evil")
    assert not (tmp_path / "made").exists()


def _full_device(monkeypatch, path):
    """The partial file is /dev/full: the kernel itself says that there is no space."""
    path.with_name("run.checkpoint.partial").symlink_to("/dev/full")


def _limit(monkeypatch, path):
    """No file of this process may grow beyond 4 KB: the write fails in its middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(
        resource, "restore", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)), False
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))


def _fsync(monkeypatch, path):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(_full_device, "No space left"), (_limit, "File too large"), (_fsync, "No space left")],
    ids=["/dev/full", "RLIMIT_FSIZE", "fsync"],
)
def test_a_write_that_fails_leaves_the_last_checkpoint_and_no_part(monkeypatch, path, fault, reason):
    fault(monkeypatch, path)
    try:
        with pytest.raises(OSError, match=rf"{reason}.*before is kept; free space") as caught:
            checkpoint.write(path, {**CONTENT, "more": torch.zeros(10_000)})
    finally:
        getattr(resource, "restore", lambda: None)()
    assert caught.value.errno in {errno.ENOSPC, errno.EFBIG}
    assert _same(checkpoint.read(path))
    assert [p.name for p in path.parent.iterdir()] == ["run.checkpoint"]


def test_an_error_of_the_caller_passes_through_and_leaves_the_file(path):
    def half(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), checkpoint.atomically(path) as file:
        half(file)
    assert _same(checkpoint.read(path))
    assert [p.name for p in path.parent.iterdir()] == ["run.checkpoint"]


def test_the_data_are_on_the_disk_before_the_name_is(monkeypatch, path):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda d: (calls.append(os.readlink(f"/proc/self/fd/{d}")), fsync(d)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    checkpoint.write(path, CONTENT)
    assert calls == [f"{path}.partial", "rename"]
