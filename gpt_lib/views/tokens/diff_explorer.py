"""What named rules change in a text: each of them can be switched on and off."""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from gpt_lib.views.page import error_message
from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback
from gpt_lib.views.tokens.diff_explorer_data import (
    ADDED,
    MARKED,
    NOTE,
    PAGE_SOURCES,
    REMOVED,
    Change,
    diff_explorer_data,
)
from gpt_lib.views.visible_text import format_count
from gpt_lib.views.widget import TextWidget

STILL_ROWS = 40  # rows of the diff in the fallback


class DiffExplorerWidget(TextWidget):
    """Carries `diff_explorer_data` to its page."""

    _esm, _css = PAGE_SOURCES
    rules = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    switched_on = traitlets.List(traitlets.Unicode()).tag(sync=True)
    counts = traitlets.List(traitlets.Unicode()).tag(sync=True)  # one for each rule
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)

    def on_request(
        self, compute_data: Callable[[str, Sequence[str]], Mapping[str, Any]]
    ) -> None:
        """Put `compute_data(text, switched_on)` for each text and each switch.

        If it raises, what the page shows stays, beside the reason.
        """

        def answer(_: dict) -> None:
            try:
                self.put({"status": "", **compute_data(self.text, self.switched_on)})
            except Exception as error:
                self.status = error_message(error)

        self.observe(answer, ["text", "switched_on"])


def diff_explorer(
    text: str,
    change: Change,
    rules: Mapping[str, str],
    switched_on: Sequence[str],
    title: str = "Before and after",
) -> WidgetWithFallback:
    """A text and what named rules make of it, as a diff: a switch for each rule.

    Args:
        text: the first text; the reader can type another.
        change: a text and the names of the rules that are on, in the order of `rules`
            -> the new text, and name -> number of changes. Its `ValueError` is shown to
            the reader.
        rules: name -> what the rule does.
        switched_on: the names of the rules that are on at first.
        title: what is changed.
    """

    def compute_data(typed: str, names: Sequence[str]) -> dict[str, Any]:
        """What the page shows for a text that was typed, under some of the rules."""
        return diff_explorer_data(typed, change, rules, names)

    data = compute_data(text, switched_on)
    widget = DiffExplorerWidget(
        title=title,
        text=text,
        rules=[[*rule] for rule in rules.items()],
        switched_on=[*switched_on],
        **data,
    )
    widget.on_request(compute_data)
    return WidgetWithFallback(widget, diff_fallback(data, rules, title))


def diff_fallback(
    data: Mapping[str, Any], rules: Mapping[str, str], title: str
) -> HtmlPanel:
    """The fallback: the rules, and the first rows of the diff."""
    pairs = zip(rules.items(), data["counts"])
    items = "".join(rule_html(*rule, count) for rule, count in pairs)
    rows = [*map(row_html, data["rows"][:STILL_ROWS])]
    if (more := len(data["rows"]) - STILL_ROWS) > 0:
        rows.append(f"… <em>{format_count(more, 'more row')}</em>")
    summary, lines = html.escape(data["summary"]), "\n".join(rows)
    page = (
        f"<p><b>{html.escape(title)}</b></p><ul>{items}</ul><p>{summary}</p>"
        f'<pre style="white-space:pre-wrap">\n{lines}</pre>'
    )
    return HtmlPanel(page, f"{title}. {data['summary']}")


def rule_html(name: str, purpose: str, count: str) -> str:
    """HTML: a rule, whether it is on, and how much it changed."""
    box, changes = ("☑", f" ({count})") if count else ("☐", "")
    text = html.escape(f"{purpose}{changes}")
    return f"<li>{box} <b>{html.escape(name)}</b>: {text}</li>"


def row_html(row: Mapping[str, Any]) -> str:
    """HTML: a row of the diff; text from right to left leaves its sign in place."""
    mark = {REMOVED: "del", ADDED: "ins"}.get(row["sign"], "b")
    tags = {MARKED: mark, NOTE: "em"}
    pieces = [
        f"<{tags[kind]}>{html.escape(text)}</{tags[kind]}>"
        if kind in tags
        else html.escape(text)
        for kind, text in row["pieces"]
    ]
    return f"{row['sign']} <bdi>{''.join(pieces)}</bdi>"
