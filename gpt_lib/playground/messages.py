"""How the playground reads words and puts things into words."""

import difflib
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping


def meant(kind: str, given: str, known: Iterable[str]) -> str:
    """The name that is meant, whatever its case; a ValueError names the nearest."""
    known = list(known)
    if given in known:
        return given
    folded = {name.casefold(): name for name in known}
    if given.casefold() in folded:
        return folded[given.casefold()]
    near = difflib.get_close_matches(given.casefold(), folded, 1, cutoff=0.5)
    guess = f"did you mean {folded[near[0]]}? Known" if near else "known"
    raise ValueError(f"{given!r} is no {kind}; {guess}: {', '.join(known) or 'none'}")


def unescape(text: str) -> str:
    r"""What was typed, with the two characters \n as a new line."""
    return re.sub(r"\\([n\\/])", lambda m: "\n" if m[1] == "n" else m[1], text)


def told(error: Exception) -> str:
    """An error for people: what was meant for them needs no type in front."""
    plain = isinstance(error, ValueError | FileNotFoundError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


def in_words(settings: Mapping[str, float]) -> str:
    """Settings that are not neutral, for a status line."""
    return ", ".join(f"{k} {v:g}" for k, v in settings.items()) or "neutral"


def listed(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they mean, in two columns where the terminal has room for them."""
    width = shutil.get_terminal_size().columns - 4
    left = 22 if width > 56 else 4
    indent = {"subsequent_indent": " " * left, "width": max(20, width)}
    rows = (f"{name:<{left - 1}} {words}" for name, words in rows)
    return "\n".join(textwrap.fill(row, **indent) for row in rows)
