"""The playground: write with a model, and steer it while it writes.

It is handed models and a function that generates text, so it serves every stage of the
course, from a table of pairs to a GPT.
"""

import html
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipywidgets import (
    HTML,
    BoundedFloatText,
    BoundedIntText,
    Button,
    Dropdown,
    FloatSlider,
    HBox,
    IntSlider,
    Textarea,
    VBox,
)

from gpt_lib.views.accessible import form
from gpt_lib.views.controls import link, tidy
from gpt_lib.views.picture import Panel, Picture, View

# (model, prompt, length, temperature, seed) -> the text after the prompt, in pieces
Generate = Callable[[Any, str, int, float, int], Iterator[str]]

SECONDS_BETWEEN_FLUSHES = 0.1
MAX_LENGTH = 10_000
TEXT_STYLE = (
    "white-space:pre-wrap; overflow-wrap:anywhere; line-height:1.45; padding:8px;"
    " min-height:5em; max-height:24em; overflow:auto;"
    " font-family:var(--jp-code-font-family, monospace);"
    " border:1px solid var(--jp-border-color1, #999)"
)


@dataclass(eq=False)
class Run:
    """One generation: what it was asked, what it wrote, and whether to stop."""

    model: Any
    prompt: str
    length: int
    temperature: float
    seed: int
    pieces: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class Playground(View):
    """Pick a model, write a prompt, generate, stop, continue.

    Args:
        models: name -> model, in the order of the picker.
        generate: writes; it raises ValueError for what the model cannot read.
        prompt: the first prompt.
        sample: text to show where no kernel runs, such as one real generation.
        picture: what to show there below the text.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        generate: Generate,
        prompt: str = "\n",
        sample: str = "",
        picture: Picture | None = None,
    ) -> None:
        if not models:
            raise ValueError("the playground needs at least one model")
        self.models, self.generate = dict(models), generate
        self.lock = threading.Lock()  # guards `run` and everything written to the page
        self.run: Run | None = None
        self.build_controls(prompt)
        super().__init__(self.lay_out(), twin_of(list(models), prompt, sample, picture))

    def build_controls(self, prompt: str) -> None:
        """Every control, with the label that a screen reader speaks."""
        wide = {"description_width": "90px"}
        self.model = Dropdown(
            options=list(self.models), description="Model", style=wide
        )
        self.prompt = Textarea(
            value=prompt,
            description="Prompt",
            rows=2,
            style=wide,
            continuous_update=False,  # else Generate can overtake what was typed
        )
        self.length = IntSlider(
            300, 1, MAX_LENGTH, description="Length", readout=False, style=wide
        )
        self.length_box = BoundedIntText(
            300, 1, MAX_LENGTH, tooltip="Length", layout={"width": "80px"}
        )
        self.temperature = FloatSlider(
            1.0,
            min=0.0,
            max=2.0,
            step=0.05,
            description="Temperature",
            readout=False,
            style=wide,
        )
        self.temperature_box = BoundedFloatText(
            1.0,
            min=0.0,
            max=2.0,
            step=0.05,
            tooltip="Temperature",
            layout={"width": "80px"},
        )
        self.seed = BoundedIntText(
            1, 0, 2**31 - 1, description="Seed", layout={"width": "180px"}
        )
        self.generate_button = Button(description="Generate", icon="play")
        self.stop_button = Button(description="Stop", icon="stop", disabled=True)
        self.continue_button = Button(
            description="Continue", icon="forward", disabled=True
        )
        self.generate_button.button_style = "primary"
        self.status, self.output = HTML("ready"), HTML(text_page("", ""))
        self.generate_button.on_click(lambda _: self.start(self.prompt.value))
        self.continue_button.on_click(lambda _: self.resume())
        self.stop_button.on_click(lambda _: self.halt())

    def lay_out(self) -> VBox:
        """The controls as one box."""
        link(self.length, self.length_box)
        link(self.temperature, self.temperature_box)
        self.prompt.layout.width = "min(640px, 98%)"
        self.output.add_class("gpt-text")
        self.status.add_class("gpt-status")
        buttons = [self.generate_button, self.stop_button, self.continue_button]
        box = VBox(
            [
                HBox([self.model, self.seed]),
                self.prompt,
                HBox([self.length, self.length_box]),
                HBox([self.temperature, self.temperature_box]),
                HBox(buttons),
                self.status,
                self.output,
            ]
        )
        box.add_class("gpt-playground")
        return form(box)

    def start(self, prompt: str, pieces: list[str] | None = None) -> None:
        """Begin a new run; one that still writes is stopped and can write no more."""
        run = Run(
            self.models[self.model.value],
            prompt,
            self.length.value,
            tidy(self.temperature.value),
            self.seed.value,
            pieces or [],
        )
        with self.lock:
            if self.run:
                self.run.stop.set()
            self.run = run
            self.stop_button.disabled, self.continue_button.disabled = False, True
            self.status.value = f"{html.escape(self.model.value)} is writing"
            self.output.value = text_page(prompt, "".join(run.pieces))
        threading.Thread(target=self.write, args=[run], daemon=True).start()

    def resume(self) -> None:
        """Go on from the text as it stands, with the settings as they are now."""
        if self.run:
            self.start(self.run.prompt, list(self.run.pieces))

    def halt(self) -> None:
        """Ask the run in progress to stop."""
        if self.run:
            self.run.stop.set()

    def write(self, run: Run) -> None:
        """Generate in a thread of its own, showing the text a few times a second."""
        written = "".join(run.pieces)
        begun, flushed, count = time.monotonic(), 0.0, 0
        # A continuation must not repeat the random numbers of what it continues.
        seed = run.seed + len(written)
        try:
            pieces = self.generate(
                run.model, run.prompt + written, run.length, run.temperature, seed
            )
            for piece in pieces:
                if run.stop.is_set():
                    break
                run.pieces.append(piece)
                count += 1
                if time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                    self.show(run)
                    flushed = time.monotonic()
            ending = "stopped" if run.stop.is_set() else "done"
            speed = count / max(time.monotonic() - begun, 1e-9)
            status = f"{ending}: {count} tokens, {speed:,.0f} tokens/s"
        except ValueError as error:
            status = html.escape(str(error))
        except Exception as error:
            status = html.escape(f"{type(error).__name__}: {error}")
        self.show(run, status)

    def show(self, run: Run, status: str | None = None) -> None:
        """Put a run's text on the page, unless a newer run owns the page."""
        with self.lock:
            if run is not self.run:
                return
            self.output.value = text_page(run.prompt, "".join(run.pieces))
            if status is not None:
                self.status.value = status
                self.stop_button.disabled = True
                self.continue_button.disabled = not run.pieces


def text_page(prompt: str, text: str) -> str:
    """The prompt, dimmed and underlined, and the text that follows it."""
    return (
        f'<div style="{TEXT_STYLE}"><span style="opacity:.75; text-decoration:underline'
        f' dotted">{html.escape(prompt)}</span>{html.escape(text)}</div>'
    )


def twin_of(
    names: list[str], prompt: str, sample: str, picture: Picture | None
) -> Panel:
    """What a reader without a kernel sees."""
    words = (
        f"Playground for {', '.join(names)}: run this notebook in JupyterLab to write"
        " with it."
    )
    shown = f"{words} A sample: {prompt}{sample}" if sample else words
    page = f"<p>{html.escape(words)}</p>" + text_page(prompt, sample)
    if picture:
        page, shown = page + picture.html, f"{shown}\n{picture.words}"
    return Panel(page, shown)
