"""What a language model is asked: which token comes next?"""

import html
from collections.abc import Sequence

from gpt_lib.views.picture import HtmlPanel
from gpt_lib.views.visible_text import visible_text


def context_target_table(contexts: Sequence[str], targets: Sequence[str]) -> HtmlPanel:
    """A row for each prefix of a text, with the token that came next.

    Args:
        contexts: the text so far, one for each question.
        targets: the token that came next, one for each question.
    """
    rows, lines = "", []
    for context, target in zip(map(visible_text, contexts), map(visible_text, targets)):
        rows += (
            f'<tr><td style="text-align:right"><code>{html.escape(context)}</code></td>'
            f"<td>→</td><td><code>{html.escape(target)}</code></td></tr>"
        )
        lines.append(f"{context} → {target}")
    head = "<tr><th>given</th><th></th><th>what comes next?</th></tr>"
    return HtmlPanel(f"<table>{head}{rows}</table>", "\n".join(lines))
