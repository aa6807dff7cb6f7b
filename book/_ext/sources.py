"""What pages quote: files below the source directory, and a warning with its place where one is missing."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)


class MissingError(Exception):
    """What a page asks for does not exist; the message names the remedy."""


@functools.lru_cache(maxsize=64)
def _parsed(path: str, _mtime: int) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_json(env: BuildEnvironment, folder: str, name: str) -> Any:
    """The parsed file folder/name below the source directory; the page is rebuilt when it changes."""
    path = Path(env.srcdir, folder, name)
    env.note_dependency(str(path))
    if not path.is_file():
        raise MissingError(f"{folder}/{name} does not exist")
    try:
        return _parsed(str(path), path.stat().st_mtime_ns)
    except json.JSONDecodeError as error:
        raise MissingError(f"{folder}/{name} is not JSON: {error}") from error


def warn(error: Exception, location: Any, kind: str) -> None:
    logger.warning("%s", error, location=location, type="lowerbound", subtype=kind)


def instead(directive: Directive, env: BuildEnvironment, error: Exception) -> list[nodes.Node]:
    """Warn where a directive finds nothing, and show that in its place."""
    warn(error, (env.docname, directive.lineno), directive.name)
    return [nodes.literal_block("", f"{directive.name}: {error}")]


class TextRole(SphinxRole):
    """Insert the text that `text_at(env, target)` finds."""

    def __init__(self, text_at: Callable[[BuildEnvironment, str], str]) -> None:
        super().__init__()
        self.text_at = text_at

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return [nodes.inline("", self.text_at(self.env, self.text), classes=["measured"])], []
        except MissingError as error:
            warn(error, self.get_location(), self.name)
            return [nodes.literal("", self.text)], []
