"""What a job wrote must not drive the terminal of who reads it.

Names and values may hold escape sequences that move the cursor, retitle the window, answer as if typed, or reorder text (bidirectional
overrides). `line` makes any text one harmless line: such characters appear as what they are. `Console` does it for a stream of raw
bytes that may be cut anywhere; it lets pass what job output lives from: newline, tab, carriage return and colours (SGR sequences).
"""

import codecs
import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_LONGEST = 4096  # a longer sequence is text that only looks like one

_FEARED = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
_CSI = r"\x1b\[[0-?]*[ -/]*"
_STRING = rf"\x1b[\]PX^_][^\x07\x1b]{{0,{_LONGEST}}}"  # OSC, DCS, APC, PM, SOS: up to their end, or the next escape
_SHORTER = r"\x1b[ -/]*"

_one_line = re.compile(_FEARED)
_console = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\)|{_SHORTER}[0-OQ-WYZ`-~]|{_FEARED}")
_colour = re.compile(r"\x1b\[[0-9;:]*m")
_unfinished = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_SHORTER})\Z")


def line(text: str) -> str:
    """The text as one line without power over a terminal."""
    return _one_line.sub(_shown, text)


def in_json(text: str) -> str:
    """JSON text that a terminal shows as it is; it still means the same."""
    return _one_line.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")


class Console:
    """Cleans a stream of console bytes. `feed` gives the text that is safe so far; `end` what was held back, and a colour reset."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._coloured = False

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """The printable text of the next bytes."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not final and (cut := _unfinished.search(text, max(0, len(text) - _LONGEST))):
            text, self._held = text[: cut.start()], text[cut.start() :]
        return _console.sub(self._allowed, text)

    def end(self) -> str:
        """The rest of the text, with the terminal's colours put back when the job changed them."""
        rest = self.feed(b"", final=True)
        return rest + ("\x1b[0m" if self._coloured else "")

    def _allowed(self, found: re.Match[str]) -> str:
        text = found[0]
        if text in "\n\r\t":
            return text
        if len(text) == 1:
            return _shown(found)
        if not _colour.fullmatch(text):
            return ""
        self._coloured = True
        return text
