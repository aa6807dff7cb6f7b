"""Wheel and sdist: they are built, hold the same, and what they hold can be used away from the checkout."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = "from setuptools import build_meta as b; b.build_{}({!r})"
TRY = "import runpy, sys; sys.path.insert(0, {!r}); runpy.run_path({!r}, run_name='__main__')"


def build(kind: str, folder: Path, out: Path) -> Path:
    """Build a wheel or an sdist of what lies in a folder."""
    out.mkdir(exist_ok=True)
    before = set(out.iterdir())
    command = [sys.executable, "-c", BUILD.format(kind, str(out))]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    [made] = set(out.iterdir()) - before
    return made


@pytest.fixture(scope="module")
def wheel_and_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("lib", "results"):
        shutil.copytree(ROOT / name, source / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return build("wheel", source, folder / "dist"), build("sdist", source, folder / "dist")


def contents(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/RECORD")}


def test_the_sdist_builds_the_same_wheel(wheel_and_sdist: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = wheel_and_sdist
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "dist")
    assert contents(again) == contents(wheel)


def test_what_is_installed_can_be_used(wheel_and_sdist: tuple[Path, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel_and_sdist[0]).extractall(site)
    trial = str(ROOT / "tools" / "publish" / "trial.py")
    command = [sys.executable, "-I", "-c", TRY.format(str(site), trial)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"lowerbound {PROJECT['version']}, {site}" in done.stdout


def test_the_trial_refuses_the_checkout() -> None:
    with pytest.raises(SystemExit, match="run it from elsewhere"):
        runpy.run_path(str(ROOT / "tools" / "publish" / "trial.py"), run_name="__main__")


def test_what_the_index_shows(wheel_and_sdist: tuple[Path, Path]) -> None:
    wheel, sdist = wheel_and_sdist
    version = PROJECT["version"]
    assert (wheel.name, sdist.name) == (
        f"lowerbound-{version}-py3-none-any.whl",
        f"lowerbound-{version}.tar.gz",
    )
    about = zipfile.ZipFile(wheel).read(f"lowerbound-{version}.dist-info/METADATA").decode()
    fields = message_from_string(about)
    assert (fields["Name"], fields["Version"]) == ("lowerbound", version)
    assert fields["Description-Content-Type"] == "text/markdown"
    assert str(fields.get_payload()).startswith("# Lower Bound")
    assert any(line.startswith("torch") for line in fields.get_all("Requires-Dist", []))
    assert not [
        line for line in fields.get_all("Requires-Dist", []) if "git+" in line
    ]  # the index refuses these
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert PROJECT["urls"]["Homepage"] == re.findall(r"^  url: (\S+)", config, re.M)[0]


def test_the_workflow_publishes_what_it_tried() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = re.findall(r"^  (\w+):\n(?:    needs: (\w+)\n)?    runs-on", text, re.M)
    assert jobs == [("build", ""), ("try", "build"), ("publish", "try")]
    for step in (
        "python -m build",
        "twine check --strict dist/*",
        "tools/publish/trial.py",
        "id-token: write",
    ):
        assert step in text
