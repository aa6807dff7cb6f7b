"""A release: the version is dated, and the tag's notebooks install the tag. All in a small repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tools.publish import release  # noqa: E402
from tools.reproduce import record  # noqa: E402

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
TAG = f"v{VERSION}"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a release changes, before it."""
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "somebody@example.org")
    monkeypatch.setattr(release, "unmeasured", list)
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in ("CHANGELOG.md", "CITATION.cff", "README.md", "pyproject.toml", "_config.yml"):
        shutil.copy(ROOT / name, folder)
    config, changelog, readme = folder / "_config.yml", folder / "CHANGELOG.md", folder / "README.md"
    config.write_text(re.sub(r"(?m)^  branch: .*$", "  branch: main", config.read_text()))
    heading = rf"(?m)^## {re.escape(VERSION)} \(.*\)$"
    changelog.write_text(re.sub(heading, f"## {VERSION} (unreleased)", changelog.read_text()))
    readme.write_text(re.sub(r"/blob/[^/]+/", "/blob/main/", readme.read_text()))
    for path in [readme, *folder.rglob("*.ipynb")]:
        path.write_text(re.sub(r'(git\+[^"\\@\s]+)@v[\d.]+', r"\1", path.read_text()))
    run(folder, "init", "--quiet", "--initial-branch", "main")
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "-m", "Before")
    return folder


def test_versions_agree() -> None:
    written = (ROOT / "lib" / "lowerbound" / "__init__.py").read_text()
    assert f'__version__ = "{VERSION}"' in written
    headings = re.findall(r"(?m)^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0][0] == VERSION
    released = [version for version, day in headings if day != "unreleased"]
    assert f"version: {[*released, VERSION][0]}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_notebooks_of_a_tag_install_the_tag_and_nothing_else_differs(repository: Path) -> None:
    assert release.release(repository) == TAG
    changed = run(repository, "diff", "main", TAG, "--unified=0").splitlines()
    files = {line.split(" b/")[1] for line in changed if line.startswith("diff")}
    notebooks = {path.relative_to(repository).as_posix() for path in repository.rglob("*.ipynb")}
    assert files == notebooks | {"_config.yml", "README.md"}
    added = [line for line in changed if re.match(r"\+(?!\+)", line)]
    installs = [line for line in added if re.search(rf'git\+https://\S+@{re.escape(TAG)}(\\"|$)', line)]
    opens = [line for line in added if f"/blob/{TAG}/notebooks/" in line]
    assert (len(installs), len(opens)) == (
        len(notebooks) + 1,
        len(list((ROOT / "notebooks").glob("*.ipynb"))),
    )
    assert set(added) == {*installs, *opens, f"+  branch: {TAG}"}
    for name in notebooks:
        json.loads(run(repository, "show", f"{TAG}:{name}"))


def test_the_branch_is_dated_and_installs_itself(repository: Path) -> None:
    release.release(repository)
    assert run(repository, "branch", "--show-current") == "main"
    assert run(repository, "status", "--porcelain") == ""
    assert run(repository, "rev-list", "--count", "main") == "2"
    assert run(repository, "worktree", "list", "--porcelain").count("worktree ") == 1
    dated = rf"(?m)^## {re.escape(VERSION)} \((\d{{4}}-\d\d-\d\d)\)$"
    day = re.search(dated, (repository / "CHANGELOG.md").read_text())
    assert day is not None
    assert f'date-released: "{day[1]}"' in (repository / "CITATION.cff").read_text()
    assert "@v" not in (repository / "notebooks" / "01_elbo.ipynb").read_text().split("runtime")[0]


def test_a_failure_changes_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(why: str) -> None:
        before = run(repository, "rev-parse", "HEAD"), run(repository, "tag")
        with pytest.raises(release.NotReadyError, match=why):
            release.release(repository)
        assert (run(repository, "rev-parse", "HEAD"), run(repository, "tag")) == before
        assert run(repository, "worktree", "list", "--porcelain").count("worktree ") == 1

    changelog = repository / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("(unreleased)", "(2001-01-01)"))
    refused("not committed")
    run(repository, "commit", "--quiet", "--all", "-m", "Dated too early")
    refused(r"CHANGELOG\.md has 0 places")
    run(repository, "reset", "--quiet", "--hard", "HEAD~1")
    with monkeypatch.context() as patch:
        patch.setattr(release, "unmeasured", lambda: ["this and that"])
        refused("have still to pass: this and that")
    run(repository, "checkout", "--quiet", "-b", "other")
    refused("on main")
    run(repository, "checkout", "--quiet", "main")
    release.release(repository)
    refused(f"{TAG} is released")


def test_what_these_files_did_not_pass_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the files of a checkout are listed by git")
    files, known = record.copy(tmp_path / "source"), record.configurations()
    good = {"files": files, "equal": 2, "compared": 2, "changed_by_install": []}
    found = {name: good | {"packages": record.packages(known[name])} for name in known}
    found["pins"] |= {"repeats": {"runs": 10, "identical": 10}}
    faults = {"files": files, "planted": 2, "caught": 2}
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results.json")

    def missing(faults: dict[str, Any], **changed: dict[str, Any]) -> list[str]:
        record.RESULTS.write_text(json.dumps({"configurations": found | changed, "faults": faults}))
        return release.unmeasured()

    assert missing(faults) == []
    assert missing(faults, colab=found["colab"] | {"files": "others"}) == [f"{record.COMMAND} -s colab"]
    assert missing(faults, colab=found["colab"] | {"packages": "others"}) == [f"{record.COMMAND} -s colab"]
    assert missing(faults, colab=found["colab"] | {"equal": 1}) == [f"{record.COMMAND} -s colab"]
    assert missing(faults, colab={}) == [f"{record.COMMAND} -s colab"]
    assert missing(faults, pins=found["colab"] | {"packages": found["pins"]["packages"]}) == [
        f"{record.COMMAND} -s pins -- --repeat 10"
    ]
    assert missing(faults | {"files": "others"}) == ["python -m tools.reproduce.faults"]
    assert missing(faults | {"caught": 1}) == ["python -m tools.reproduce.faults"]
