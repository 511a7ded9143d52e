"""What every face of the playground says in the same words, and how it reads names."""

import difflib
import re
import shutil
import textwrap
from collections.abc import Iterable


def find_known_name(kind: str, typed: str, known: Iterable[str]) -> str:
    """The known name that was typed, whatever its case.

    Raises:
        ValueError: there is none; the message names the nearest, and all that are.
    """
    known = list(known)
    if typed in known:
        return typed
    folded = {name.casefold(): name for name in known}
    if typed.casefold() in folded:
        return folded[typed.casefold()]
    near = difflib.get_close_matches(typed.casefold(), folded, 1, cutoff=0.5)
    guess = f"did you mean {folded[near[0]]}? Known" if near else "known"
    raise ValueError(f"{typed!r} is no {kind}; {guess}: {', '.join(known) or 'none'}")


def with_plain_newlines(text: str) -> str:
    r"""A text as training reads a file: no byte order mark, each new line a \n."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def unescape(text: str) -> str:
    r"""The text with each typed \n as a new line, \\ as a backslash, \/ as a slash."""
    return re.sub(r"\\([n\\/])", lambda m: "\n" if m[1] == "n" else m[1], text)


# Controls of a terminal, halves of surrogate pairs, and what turns the direction round.
UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]"
)
MAX_MESSAGE_LENGTH = 1000


def printable(text: str) -> str:
    """The text, with what could control a terminal written as escapes.

    What comes from a file passes through here before it is printed: a name, a token, an
    error. New lines and tabs stay.
    """
    return UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def printable_message(message: object) -> str:
    """A message of a bounded length, `printable`; a longer one loses its middle."""
    text, half = printable(str(message)), MAX_MESSAGE_LENGTH // 2
    return text if len(text) <= 2 * half else f"{text[:half]} … {text[-half:]}"


def error_text(error: Exception) -> str:
    """An error for people: one that was written for them needs no type in front."""
    plain = isinstance(error, ValueError | FileNotFoundError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


def format_columns(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they mean, in two columns where the terminal is wide enough."""
    width = shutil.get_terminal_size().columns - 4
    name_width = 22 if width > 56 else 4
    options = {"subsequent_indent": " " * name_width, "width": max(20, width)}
    lines = (f"{name:<{name_width - 1}} {meaning}" for name, meaning in rows)
    return "\n".join(textwrap.fill(line, **options) for line in lines)
