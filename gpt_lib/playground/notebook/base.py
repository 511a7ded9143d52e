"""What both notebook playgrounds share: a prompt, buttons, and a thread that writes."""

import html
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from ipywidgets import (
    HTML,
    BoundedFloatText,
    BoundedIntText,
    Button,
    Dropdown,
    FloatSlider,
    IntSlider,
    Textarea,
    Widget,
)

from gpt_lib.generation import TextGenerator
from gpt_lib.playground.session import GeneratedText, GenerationOptions, Run, Session
from gpt_lib.playground.settings import LENGTH_SETTING, SEED_SETTING, Setting
from gpt_lib.views.controls import link_slider_and_box
from gpt_lib.views.picture import HtmlPanel, Picture, WidgetWithFallback

SECONDS_BETWEEN_UPDATES = 0.1
TEXT_STYLE = (
    "white-space:pre-wrap; overflow-wrap:anywhere; line-height:1.45; padding:8px;"
    " min-height:5em; max-height:24em; overflow:auto;"
    " font-family:var(--jp-code-font-family, monospace);"
    " border:1px solid var(--jp-border-color1, #999)"
)


class TextColumn:
    """A text on the page, who is to write it, and a status line.

    Args:
        models: what to pick from: a name, or a label and a name, for each.
        model: the one that is picked first.
        label_width: CSS.
    """

    def __init__(
        self,
        models: Sequence[str | tuple[str, str]],
        model: str,
        label_width: str,
    ) -> None:
        self.picker = Dropdown(
            options=list(models),
            value=model,
            description="Model",
            style={"description_width": label_width},
        )
        self.status = HTML("ready")
        self.status.add_class("gpt-status")
        self.text: GeneratedText | None = None
        self.run: Run | None = None  # the latest one that writes here

    @property
    def settings(self) -> dict[str, float]:
        """How the next token is chosen, as it stands on the page."""
        raise NotImplementedError

    def say(self, message: str) -> None:
        """Put a message into the status line."""
        self.status.value = html.escape(message)

    def begin(self, run: Run, model: str) -> None:
        """Tokens of a run are about to come."""
        self.run = run
        self.say(f"{model} is writing")

    def show(self, text: GeneratedText | None) -> None:
        """Put a text on the page as it is now; None leaves the page as it is."""
        raise NotImplementedError

    def finish(self, message: str) -> None:
        """No more tokens come for now: say how the run ended."""
        self.say(message)


class SessionView(WidgetWithFallback):
    """Generate, stop, continue: a page that drives a session.

    Args:
        loaders: name -> a function that loads a text generator, in the picker's order.
        prompt: the first prompt.
        fallback: what a reader without a kernel sees.
    """

    columns: list[TextColumn]

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], TextGenerator]],
        prompt: str,
        fallback: HtmlPanel,
    ) -> None:
        self.session = Session(loaders, GenerationOptions((next(iter(loaders)),)))
        # Held by whoever writes to the page, so that a click need not wait for a token.
        # Taken before the lock of a text, if both are. Setting a trait may call back
        # into the same thread, which takes it again.
        self.page_lock = threading.RLock()
        self.build_controls(prompt)
        super().__init__(self.build_page(), fallback)

    def build_controls(self, prompt: str) -> None:
        """The controls that all columns share."""
        self.prompt = Textarea(
            value=prompt,
            description="Prompt",
            rows=2,
            # Sent when left: letter by letter, Generate can overtake what was typed.
            continuous_update=False,
            style={"description_width": "90px"},
            layout={"width": "min(640px, 98%)"},
        )
        self.length, self.length_box = slider_and_box(LENGTH_SETTING)
        self.seed = BoundedIntText(
            SEED_SETTING.neutral,
            SEED_SETTING.low,
            SEED_SETTING.high,
            description=SEED_SETTING.label,
            layout={"width": "180px"},
        )
        self.generate_button = Button(
            description="Generate", icon="play", button_style="primary"
        )
        self.stop_button = Button(description="Stop", icon="stop", disabled=True)
        self.continue_button = Button(
            description="Continue", icon="forward", disabled=True
        )
        self.buttons = [self.generate_button, self.stop_button, self.continue_button]
        self.generate_button.on_click(lambda _: self.generate())
        self.stop_button.on_click(lambda _: self.session.request_stop())
        self.continue_button.on_click(lambda _: self.resume())

    def build_page(self) -> Widget:
        """Columns and controls as one box."""
        raise NotImplementedError

    def columns_in_use(self) -> list[TextColumn]:
        """The columns on the page."""
        return self.columns

    def stop_sequence(self) -> str:
        """The text to stop at, as it stands on the page."""
        return ""

    # Buttons

    def generate(self) -> None:
        """Begin a new text in every column on the page."""
        columns = self.columns_in_use()
        self.start_run(columns, picked_model_names(columns), self.prompt.value)

    def resume(self) -> None:
        """Go on where each text ends, with the settings as they are now."""
        columns = self.columns_in_use()
        prompt = None if any(each.text for each in columns) else self.prompt.value
        self.start_run(columns, picked_model_names(columns), prompt)

    def start_run(
        self,
        columns: Sequence[TextColumn],
        models: Sequence[str],
        prompt: str | None,
        length: int | None = None,
    ) -> None:
        """Begin a run; one in progress is stopped and can write no more.

        Args:
            columns: where it writes.
            models: who writes in each.
            prompt: of new texts; None goes on with those of the columns.
            length: tokens to write; by default as many as stand on the page.
        """
        with self.page_lock:
            self.copy_controls_to_plan(models, columns)
            texts = [column.text for column in columns]
            run = self.session.begin(prompt, length, texts)
            for column, model in zip(columns, models, strict=True):
                column.begin(run, model)
            self.stop_button.disabled, self.continue_button.disabled = False, True
        arguments = run, columns
        threading.Thread(target=self.write, args=arguments, daemon=True).start()

    def copy_controls_to_plan(
        self, models: Sequence[str], columns: Sequence[TextColumn]
    ) -> None:
        """Plan the next text as it stands on the page."""
        self.session.change_options(
            models=tuple(models),
            seed=self.seed.value,
            length=self.length.value,
            stop=self.stop_sequence(),
            settings=tuple(column.settings for column in columns),
        )

    # The thread that writes

    def write(self, run: Run, columns: Sequence[TextColumn]) -> None:
        """Make the steps of a run, showing the texts a few times a second."""
        latest = 0.0
        for _ in run.write_in_steps():
            is_due = time.monotonic() - latest > SECONDS_BETWEEN_UPDATES
            if run.tasks and is_due:
                self.show(run, columns)
                latest = time.monotonic()
                time.sleep(0.001)  # so that whoever waits for the lock gets it
        with self.page_lock:
            self.show(run, columns)
            for index, column in enumerate(columns):
                if column.run is run:
                    column.finish(run.ending_summary(index))
            if run is self.session.run:
                self.stop_button.disabled, self.continue_button.disabled = True, False

    def show(self, run: Run, columns: Sequence[TextColumn]) -> None:
        """Show the texts of a run, except where a newer run writes."""
        with self.page_lock:
            for task, column in zip(run.tasks, columns):
                if column.run is run:
                    column.show(task.text)


def picked_model_names(columns: Sequence[TextColumn]) -> list[str]:
    """The models that are picked in some columns."""
    return [column.picker.value for column in columns]


def slider_and_box(
    setting: Setting,
) -> tuple[IntSlider | FloatSlider, BoundedIntText | BoundedFloatText]:
    """A slider for a setting, and a box to type its number into, linked to it."""
    whole = isinstance(setting.step, int)
    options = {"value": setting.neutral, "min": setting.low, "max": setting.high}
    options |= {"step": setting.step}
    slider = (IntSlider if whole else FloatSlider)(
        description=setting.label,
        readout=False,
        style={"description_width": "90px"},
        **options,
    )
    box = (BoundedIntText if whole else BoundedFloatText)(
        tooltip=setting.label, layout={"width": "80px"}, **options
    )
    link_slider_and_box(slider, box)
    return slider, box


def prompt_and_text_html(prompt: str, written: str) -> str:
    """The prompt, dimmed and underlined, and the text that follows it."""
    return (
        f'<div style="{TEXT_STYLE}"><span style="opacity:.75; text-decoration:underline'
        f' dotted">{html.escape(prompt)}</span>{html.escape(written)}</div>'
    )


def fallback_panel(
    models: Sequence[str], prompt: str, sample: str, picture: Picture | None
) -> HtmlPanel:
    """What a reader without a kernel sees."""
    note = (
        f"Playground for {', '.join(models)}: run this notebook in JupyterLab to write"
        " with it."
    )
    description = f"{note} A sample: {prompt}{sample}" if sample else note
    page = f"<p>{html.escape(note)}</p>" + prompt_and_text_html(prompt, sample)
    if picture:
        page += picture.html
        description += f"\n{picture.description}"
    return HtmlPanel(page, description)
