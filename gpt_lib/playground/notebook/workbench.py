"""The complete playground: write, look behind each token, branch, and compare."""

from collections.abc import Mapping

from ipywidgets import Box, HBox, ToggleButton, VBox
from ipywidgets import Text as TextField

from gpt_lib.generation import TextGenerator
from gpt_lib.playground.notebook.base import SessionView, fallback_panel
from gpt_lib.playground.notebook.column import WorkbenchColumn
from gpt_lib.views.accessible import make_controls_accessible
from gpt_lib.views.picture import Picture


class Workbench(SessionView):
    """Generate, stop, continue; click a token to see what else could stand there.

    Sliders reshape the probabilities at once, and `u`, the random number that decides
    the token, stays. Compare puts a second text beside the first, by another text
    generator or by the same one with other settings.

    Args:
        text_generators: name -> text generator, in the order of the picker.
        prompt: the first prompt.
        sample: text to show where no kernel runs, such as one real generation.
        picture: what to show there below the text, such as the probabilities behind a
            token.
    """

    def __init__(
        self,
        text_generators: Mapping[str, TextGenerator],
        prompt: str = "\n",
        sample: str = "",
        picture: Picture | None = None,
    ) -> None:
        if not text_generators:
            raise ValueError("the workbench needs at least one text generator")
        loaders = {
            name: lambda text_generator=text_generator: text_generator
            for name, text_generator in text_generators.items()
        }
        names = list(loaders)
        self.columns = [
            WorkbenchColumn(self, text_generators, name)
            for name in (names[0], names[min(1, len(names) - 1)])
        ]
        super().__init__(
            loaders, prompt, fallback_panel(names, prompt, sample, picture)
        )

    def build_page(self) -> VBox:
        """Shared controls above, the columns side by side below."""
        self.stop_field = TextField(
            description="Stop at",
            placeholder="such as ↵↵",
            tooltip="the text ends when it has written this; ↵ is a new line",
            continuous_update=False,
            layout={"width": "190px"},
        )
        self.compare = ToggleButton(
            description="Compare", icon="columns", tooltip="a second text beside"
        )
        self.compare.observe(lambda _: self.show_columns(), "value")
        self.columns_box = Box(
            layout={"flex_flow": "row wrap", "grid_gap": "12px 24px", "width": "100%"}
        )
        self.show_columns()
        settings = [self.length, self.length_box, self.seed, self.stop_field]
        shared = VBox(
            [
                self.prompt,
                Box(settings, layout={"flex_flow": "row wrap"}),
                HBox([*self.buttons, self.compare]),
            ]
        )
        shared.add_class("gpt-ask")  # switched off when the kernel is gone
        box = make_controls_accessible(VBox([shared, self.columns_box]))
        box.add_class("gpt-workbench")
        return box

    def show_columns(self) -> None:
        """Put one column on the page, or two."""
        with self.page_lock:
            self.columns_box.children = [each.box for each in self.columns_in_use()]

    def columns_in_use(self) -> list[WorkbenchColumn]:
        """One column, or both to compare."""
        return self.columns[: 1 + self.compare.value]

    def stop_sequence(self) -> str:
        """The text to stop at, as it stands on the page."""
        return self.stop_field.value.replace("↵", "\n")
