"""Lines out of the bytes that a process writes."""

_LONGEST_BYTES = 1 << 16


class LineCutter:
    """Cuts what one stream of a process brings into lines, as a terminal shows them.

    After a carriage return a line starts anew, so that of a progress bar only the last
    state is left. Bytes that are no UTF-8 are replaced. Lines above 64 KiB are broken.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        # The carriage return at the end may be the first half of a line's end.
        rest = _visible(rest) + (b"\r" if rest.endswith(b"\r") else b"")
        while len(rest) > _LONGEST_BYTES:
            lines.append(rest[:_LONGEST_BYTES])
            rest = rest[_LONGEST_BYTES:]
        self._rest = rest
        return [_visible(line).decode(errors="replace") for line in lines]

    def finish(self) -> list[str]:
        """The last line, where the stream has ended within one."""
        return self.feed(b"\n") if self._rest else []


def _visible(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]
