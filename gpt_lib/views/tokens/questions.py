"""Text laid out to be looked at."""

import html
from collections.abc import Sequence

from gpt_lib.views.picture import Panel, visible


def questions(given: Sequence[str], following: Sequence[str]) -> Panel:
    """What a language model is asked: a text so far, and the character that came next.

    Args:
        given: the text so far, one for each question.
        following: the character that came next.
    """
    rows, words = "", []
    for before, after in zip(given, following):
        left = "".join(map(visible, before))
        rows += (
            f'<tr><td style="text-align:right"><code>{html.escape(left)}</code></td>'
            f"<td>→</td><td><code>{html.escape(visible(after))}</code></td></tr>"
        )
        words.append(f"{left} → {visible(after)}")
    head = "<tr><th>given</th><th></th><th>what comes next?</th></tr>"
    return Panel(f"<table>{head}{rows}</table>", "\n".join(words))
