"""What the widgets of the attention pages share."""

import traitlets

from gpt_lib.views.widget import TextWidget


class AttentionWidget(TextWidget):
    """A page of attention between the tokens of a text that a reader types."""

    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # the tokens shown
    heads = traitlets.Int(1).tag(sync=True)
