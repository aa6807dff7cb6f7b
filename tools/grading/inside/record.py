"""A cell's outputs as nbformat has them, up to a size: what is above it is left out, and said."""

from __future__ import annotations

import io
from typing import Any

MAX_TEXT = 100_000
MAX_DATA = 1_000_000


class Recorder:
    """Collects streams, displayed data and errors in the order in which they come."""

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, count: int) -> None:
        """Begin a cell. count: its number."""
        self.outputs: list[dict[str, Any]] = []
        self.count, self.text, self.data = count, 0, 0

    def write(self, name: str, text: str) -> None:
        """Add to a stream, "stdout" or "stderr"."""
        room, self.text = MAX_TEXT - self.text, self.text + len(text)
        if room <= 0 or not text:
            return
        part = text if len(text) <= room else text[:room] + "\n… the rest of the output is left out\n"
        last = self.outputs[-1] if self.outputs else {}
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["text"] += part
        else:
            self.outputs.append({"output_type": "stream", "name": name, "text": part})

    def show(self, data: dict[str, Any], result: bool = False) -> None:
        """Add what was displayed, or what the cell's last line gave."""
        kept = {}
        for mime, content in data.items():
            if mime.startswith(("text/", "image/")) and isinstance(content, str | bytes):
                size, self.data = len(content), self.data + len(content)
                kept[mime] = (
                    _text(content) if self.data <= MAX_DATA else f"an output of {size} characters is left out"
                )
                if self.data > MAX_DATA:
                    kept = {"text/plain": kept[mime]}
                    break
        output: dict[str, Any] = {"output_type": "display_data", "data": kept, "metadata": {}}
        if result:
            output |= {"output_type": "execute_result", "execution_count": self.count}
        self.outputs.append(output)

    def fail(self, name: str, message: str, traceback: list[str]) -> None:
        """Add an error."""
        rows = [line[:2000] for line in traceback[-30:]]
        self.outputs.append(
            {"output_type": "error", "ename": name[:200], "evalue": message[:2000], "traceback": rows}
        )


class Stream(io.TextIOBase):
    """A stdout or stderr that writes into a recorder."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, text: str) -> int:
        """Add the text."""
        self.recorder.write(self.name, str(text))
        return len(text)


def _text(content: str | bytes) -> str:
    if isinstance(content, str):
        return content
    import base64

    return base64.b64encode(content).decode()
