"""What the pages of the attention map and of the attention steps have in common."""

from collections.abc import Callable, Sequence

from gpt_lib.views.visible_text import visible_text

MAX_TOKENS = 64

TextSplitter = Callable[[str], Sequence[str]]  # text -> the labels of its T tokens


def token_labels(labels: Sequence[str]) -> list[str]:
    """Labels whose spaces can be seen, once they are as many as a page can show."""
    if not 0 < len(labels) <= MAX_TOKENS:
        raise ValueError(
            f"{len(labels)} tokens given; this view shows 1 to {MAX_TOKENS}"
        )
    return [visible_text(label) for label in labels]
