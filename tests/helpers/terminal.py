"""A terminal for a program: a pseudo-terminal of a size, and what stands on it."""

import dataclasses
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence

_CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


@dataclasses.dataclass(frozen=True)
class Transcript:
    """The output of a program on a terminal, and its end."""

    code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """The lines that are left on the terminal up to the last that is not empty."""
        text = "\n".join(line.rstrip() for line in screen(self.raw))
        return text.rstrip("\n").split("\n")


def run(
    words: Sequence[str],
    *,
    columns: int = 80,
    stdout: int | None = None,
    on_text: Callable[[subprocess.Popen, str], None] = lambda process, text: None,
    **env: str,
) -> Transcript:
    """Runs a program on a terminal; `on_text` sees all of the text so far, as it comes.

    Its stdout goes there too, or to a descriptor.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**kept, "TERM": "xterm", **env},
        start_new_session=True,
    )
    os.close(theirs)
    text = ""
    while data := _read(ours):
        text += data.decode(errors="replace")
        on_text(process, text)
    os.close(ours)
    return Transcript(process.wait(), text)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # nobody has the other end open
        return b""


def screen(text: str) -> list[str]:
    """The lines that `text` leaves on an endless terminal, none of them wrapped."""
    lines, row, column = [""], 0, 0
    while text:
        control = _CONTROL.match(text)
        char, text = (control[0], text[control.end() :]) if control else text_of(text)
        if control:
            count = int(control[1]) if control[1].isdigit() else 1
            if control[2] == "A":
                row = max(0, row - count)
            elif control[2] == "K":
                lines[row] = "" if control[1] == "2" else lines[row][:column]
        elif char == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif char == "\r":
            column = 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + char + line[column + 1 :]
            column += 1
    return lines


def text_of(text: str) -> tuple[str, str]:
    """The first character, and what follows it."""
    return text[0], text[1:]
