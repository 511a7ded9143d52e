"""A page on which a reader types a text, for which the kernel computes its data."""

from collections.abc import Callable, Mapping
from typing import Any

import traitlets

from gpt_lib.views.page import error_message
from gpt_lib.views.widget import PageWidget


class TextWidget(PageWidget):
    """Answers each text that the reader types with new data, or says why it cannot."""

    text = traitlets.Unicode().tag(sync=True)  # what the reader typed
    status = traitlets.Unicode().tag(sync=True)  # why it cannot be shown, or ""
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # the tokens shown
    heads = traitlets.Int(1).tag(sync=True)

    def on_text(self, compute_data: Callable[[str], Mapping[str, Any]]) -> None:
        """Put `compute_data(text)` for each new text; if it raises, change nothing."""

        def answer(change: dict) -> None:
            try:
                self.put(compute_data(change["new"]))
            except Exception as error:
                self.status = error_message(error)

        self.observe(answer, "text")
