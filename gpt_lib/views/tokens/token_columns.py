"""One text, cut by several tokenizers next to each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback
from gpt_lib.views.tokens.merge_explorer import alternating_strip
from gpt_lib.views.tokens.shaded_text import picture_of_strips
from gpt_lib.views.tokens.token_columns_data import (
    PAGE_SOURCES,
    Tokenize,
    token_columns_data,
)
from gpt_lib.views.widget import TextWidget


class TokenColumnsWidget(TextWidget):
    """Carries `token_columns_data` to its page."""

    _esm, _css = PAGE_SOURCES
    headings = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    disputed = traitlets.List(traitlets.List(traitlets.Bool())).tag(sync=True)


def token_columns(
    tokenizers: Mapping[str, Tokenize], text: str, title: str
) -> WidgetWithFallback:
    """How several tokenizers cut one text; cuts that not all of them make are marked.

    Args:
        tokenizers: name -> what gives the bytes of each token of a text. Its
            `ValueError` is shown to the reader.
        text: the first text; the reader can type another.
        title: what is cut.
    """
    data = token_columns_data(tokenizers, text)
    widget = TokenColumnsWidget(title=title, text=text, **data)
    widget.on_text(lambda typed: token_columns_data(tokenizers, typed))
    return WidgetWithFallback(widget, columns_fallback(data, title))


def columns_fallback(data: Mapping[str, Sequence[Any]], title: str) -> HtmlPanel:
    """The fallback: the columns below each other."""
    pairs = zip(data["columns"], data["headings"])
    strips = [alternating_strip(tokens, heading) for tokens, heading in pairs]
    description = f"{title}. {'; '.join(data['headings'])}."
    picture = picture_of_strips(strips, title, description)
    return HtmlPanel(picture.html, description)
