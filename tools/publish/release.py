"""`python -m tools.publish.release`: a version that stays as it is.

The version is the one of pyproject.toml. It is dated on main, and tagged. The tag is one commit further:
there the notebooks install the library of the tag, and the book's buttons open the notebooks of the tag.
Nothing is pushed. The checkout is changed last, so that a failure leaves it as it was.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.publish import ROOT
from tools.reproduce import record


class NotReadyError(RuntimeError):
    """What has to be done before a release."""


def git(*command: str, folder: Path = ROOT) -> str:
    """What git prints. Raises NotReadyError with what it complains about."""
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise NotReadyError(f"git {command[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def replace(path: Path, pattern: str, new: str, times: int = 1) -> None:
    """Replace what stands there so many times. Raises NotReadyError if it does not."""
    text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"), flags=re.M)
    if count != times:
        raise NotReadyError(f"{path.name} has {count} places like {pattern}, and should have {times}")
    path.write_text(text, encoding="utf-8")


def unmeasured() -> list[str]:
    """What the record does not show of the labs as they are: a command for each."""
    with tempfile.TemporaryDirectory() as folder:
        return record.missing(record.copy(Path(folder)))


def date(folder: Path, version: str, today: str) -> None:
    """Write the day of the release into the changelog and the citation."""
    replace(folder / "CHANGELOG.md", rf"^## {re.escape(version)} \(unreleased\)$", f"## {version} ({today})")
    replace(folder / "CITATION.cff", r"^version: .*$", f"version: {version}")
    replace(folder / "CITATION.cff", r"^date-released: .*$", f'date-released: "{today}"')


def pin(folder: Path, tag: str) -> None:
    """Make the notebooks install the library of a tag, and what opens on Colab be the tag's notebooks."""
    config = folder / "_config.yml"
    url = re.findall(r"^  url: (\S+)$", config.read_text(encoding="utf-8"), re.M)[0]
    replace(config, r"^  branch: .*$", f"  branch: {tag}")
    notebooks = folder / "notebooks"
    for path in sorted(notebooks.rglob("*.ipynb")):
        replace(path, rf'git\+{re.escape(url)}(?=\\")', f"git+{url}@{tag}")
    replace(folder / "README.md", rf"git\+{re.escape(url)}$", f"git+{url}@{tag}")
    replace(folder / "README.md", "/blob/main/", f"/blob/{tag}/", times=len(list(notebooks.glob("*.ipynb"))))


def release(root: Path = ROOT) -> str:
    """Date and tag the version in `root`. Returns the tag. Raises NotReadyError, and then nothing changed."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    version = re.findall(r'^version = "(.+)"$', project, re.M)[0]
    tag, today = f"v{version}", time.strftime("%Y-%m-%d")
    if git("branch", "--show-current", folder=root) != "main":
        raise NotReadyError("a release is made on main; check it out first")
    if git("status", "--porcelain", folder=root):
        raise NotReadyError("there are changes that are not committed; commit them first")
    if git("tag", "--list", tag, folder=root):
        raise NotReadyError(f"{tag} is released; set the next version in pyproject.toml and the changelog")
    if missing := unmeasured():
        raise NotReadyError(f"the labs as they are have still to pass: {'; '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        git("worktree", "add", "--quiet", "--detach", str(folder), folder=root)
        try:
            date(folder, version, today)
            git("commit", "--quiet", "--all", "-m", f"Version {version}", folder=folder)
            dated = git("rev-parse", "HEAD", folder=folder)
            pin(folder, tag)
            git("commit", "--quiet", "--all", "-m", f"The notebooks of {tag} install {tag}", folder=folder)
            pinned = git("rev-parse", "HEAD", folder=folder)
        finally:
            git("worktree", "remove", "--force", str(folder), folder=root)
    git("merge", "--quiet", "--ff-only", dated, folder=root)
    git("tag", "-a", tag, "-m", f"Lower Bound {version}", pinned, folder=root)
    return tag


def main() -> int:
    """Command line."""
    try:
        tag = release()
    except NotReadyError as error:
        print(f"Not released: {error}.", file=sys.stderr)
        return 1
    print(f"{tag} is made. To publish it: git push origin main {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
