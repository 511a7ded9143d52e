"""What the page of token columns shows: one text, cut by several tokenizers."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from gpt_lib.views.page import load_page_files
from gpt_lib.views.visible_text import format_count, visible_text

PAGE_SOURCES = load_page_files("text_field", "tokens/pieces", "tokens/token_columns")
MAX_SHOWN_CHARACTERS = 1000

Tokenize = Callable[[str], Sequence[bytes]]  # a text -> the bytes of each of its tokens


def token_columns_data(tokenizers: Mapping[str, Tokenize], text: str) -> dict[str, Any]:
    """The state of the page; see `token_columns` for the arguments."""
    if not tokenizers:
        raise ValueError("token_columns needs at least one tokenizer")
    text = text[:MAX_SHOWN_CHARACTERS]
    columns = {name: [*tokenize(text)] for name, tokenize in tokenizers.items()}
    for name, tokens in columns.items():
        if b"".join(tokens) != text.encode():
            raise ValueError(f"the tokens of {name!r} are not the text")
    size = len(text.encode())
    return {
        "headings": [
            f"{name}: {format_count(len(tokens), 'token')},"
            f" {size / max(1, len(tokens)):.1f} bytes each"
            for name, tokens in columns.items()
        ],
        "columns": [[*map(token_label, tokens)] for tokens in columns.values()],
        "disputed": disputed_cuts(columns.values(), len(text)),
    }


def token_label(token: bytes) -> str:
    """A token as text whose spaces can be seen; bytes that are no text as `\\xc3`."""
    return visible_text(token.decode(errors="backslashreplace"))


def disputed_cuts(
    columns: Sequence[Sequence[bytes]], character_count: int
) -> list[list[bool]]:
    """For each token of each column, whether another column does not cut behind it.

    A column that cuts behind every character has an opinion on none of them.
    """
    ends = [[*accumulate(map(len, tokens))] for tokens in columns]
    shared = set.intersection(*map(set, ends))
    return [
        [len(column) < character_count and end not in shared for end in column]
        for column in ends
    ]
