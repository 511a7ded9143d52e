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


def unescape(text: str) -> str:
    r"""The text with each typed \n as a new line, \\ as a backslash, \/ as a slash."""
    return re.sub(r"\\([n\\/])", lambda m: "\n" if m[1] == "n" else m[1], text)


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
