"""The simple playground, for lessons before sampling has more than a temperature."""

from collections.abc import Mapping
from functools import partial

from ipywidgets import HTML, HBox, VBox

from gpt_lib.bigram import LanguageModel
from gpt_lib.generation import TextGenerator
from gpt_lib.playground.notebook.base import (
    SessionView,
    TextColumn,
    fallback_panel,
    prompt_and_text_html,
    slider_and_box,
)
from gpt_lib.playground.session import GeneratedText
from gpt_lib.playground.settings import SAMPLING_SETTINGS
from gpt_lib.text import Tokenizer
from gpt_lib.views.accessible import make_controls_accessible
from gpt_lib.views.controls import round_off
from gpt_lib.views.picture import Picture

[TEMPERATURE] = [
    setting for setting in SAMPLING_SETTINGS if setting.key == "temperature"
]


class PlainColumn(TextColumn):
    """A text without what stands behind its tokens."""

    def __init__(self, models: list[str]) -> None:
        super().__init__(models, models[0], label_width="90px")
        self.temperature, self.temperature_box = slider_and_box(TEMPERATURE)
        self.output = HTML(prompt_and_text_html("", ""))
        self.output.add_class("gpt-text")

    @property
    def settings(self) -> dict[str, float]:
        """The temperature, as it stands on the page."""
        return {"temperature": round_off(self.temperature.value)}

    def show(self, text: GeneratedText | None) -> None:
        """Put a text on the page as it is now."""
        if text:
            self.text = text
            written = text.text[len(text.prompt) :]
            self.output.value = prompt_and_text_html(text.prompt, written)


class Playground(SessionView):
    """Pick a model, write a prompt, generate, stop, continue.

    Args:
        models: name -> model, in the order of the picker.
        tokenizer: of all of them.
        prompt: the first prompt.
        sample: text to show where no kernel runs, such as one real generation.
        picture: what to show there below the text.
    """

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        tokenizer: Tokenizer,
        prompt: str = "\n",
        sample: str = "",
        picture: Picture | None = None,
    ) -> None:
        if not models:
            raise ValueError("the playground needs at least one model")
        loaders = {
            name: partial(TextGenerator, model, tokenizer)
            for name, model in models.items()
        }
        self.column = PlainColumn(list(models))
        self.columns = [self.column]
        fallback = fallback_panel(list(models), prompt, sample, picture)
        super().__init__(loaders, prompt, fallback)

    def build_page(self) -> VBox:
        """All controls as one box."""
        column = self.column
        box = VBox(
            [
                HBox([column.picker, self.seed]),
                self.prompt,
                HBox([self.length, self.length_box]),
                HBox([column.temperature, column.temperature_box]),
                HBox(self.buttons),
                column.status,
                column.output,
            ]
        )
        box.add_class("gpt-playground")
        return make_controls_accessible(box)
