"""A prediction to make before running: it never blocks, and answers at once."""

import html
from collections.abc import Mapping

from ipywidgets import HTML, RadioButtons, VBox

from gpt_lib.views.accessible import make_controls_accessible
from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback


def prediction(
    question: str, options: Mapping[str, str], answer: str
) -> WidgetWithFallback:
    """Ask `question`; choosing an option shows what to think of it.

    Args:
        question: what will happen?
        options: choice -> the reply to whoever chooses it.
        answer: the choice that is right, one of `options`.
    """
    if answer not in options:
        raise ValueError(f"answer={answer!r} is not one of {list(options)}")
    choice = RadioButtons(options=list(options), index=None, layout={"width": "auto"})
    reply = HTML()
    reply.add_class("gpt-reply")

    def respond(change: dict) -> None:
        """Say whether the choice was right, and why."""
        sign = "✓" if change["new"] == answer else "✗"
        reply.value = f"<p>{sign} {html.escape(options[change['new']])}</p>"

    choice.observe(respond, "value")
    heading = f"<p><b>Predict.</b> {html.escape(question)}</p>"
    items = "".join(f"<li>{html.escape(option)}</li>" for option in options)
    solution = (
        f"<details><summary>Think, then open</summary><p>{html.escape(answer)}."
        f" {html.escape(options[answer])}</p></details>"
    )
    description = f"Predict. {question} Choices: {'; '.join(options)}."
    fallback = HtmlPanel(f"{heading}<ul>{items}</ul>{solution}", description)
    return WidgetWithFallback(
        make_controls_accessible(VBox([HTML(heading), choice, reply])), fallback
    )
