"""The settings that choose the next token: a slider each, and presets of all."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from ipywidgets import (
    BoundedFloatText,
    BoundedIntText,
    Button,
    FloatSlider,
    HBox,
    IntSlider,
    VBox,
)


class Setting(NamedTuple):
    """One number that a reader sets; whole if its step is."""

    key: str
    label: str
    low: float
    high: float
    step: float
    neutral: float  # where it changes nothing
    tip: str


SETTINGS = (
    Setting("temperature", "Temperature", 0.0, 2.0, 0.05, 1.0,
            "Below 1 the likely tokens gain, above 1 the rare; 0 takes the likeliest;"
            " neutral: 1."),
    Setting("top_k", "Top-k", 0, 0, 1, 0,  # up to the vocabulary's size
            "Keeps only the k likeliest tokens; neutral: 0, which keeps all."),
    Setting("top_p", "Top-p", 0.01, 1.0, 0.01, 1.0,
            "Keeps the likeliest tokens until their chances add up to p; neutral: 1."),
    Setting("min_p", "Min-p", 0.0, 0.5, 0.01, 0.0,
            "Cuts tokens below this share of the likeliest one's chance; neutral: 0."),
    Setting("repetition_penalty", "Repetition penalty", 1.0, 2.0, 0.05, 1.0,
            "Makes tokens that the text already holds less likely; neutral: 1."),
)  # fmt: skip
NEUTRAL = {setting.key: setting.neutral for setting in SETTINGS}
PRESETS = {
    "Neutral": NEUTRAL,
    "Greedy": {**NEUTRAL, "temperature": 0.0},
    "Careful": {**NEUTRAL, "temperature": 0.7, "top_p": 0.9},
    "Lively": {**NEUTRAL, "temperature": 1.1, "min_p": 0.05},
    "Wild": {**NEUTRAL, "temperature": 1.6},
}
WIDTH, LABEL = "330px", "126px"


class Controls:
    """How the next token is chosen: five sliders, and buttons that set them all.

    Args:
        vocab_size: the number of tokens, the highest `top_k`.
        left_out: keys of settings that have no slider here.
    """

    def __init__(self, vocab_size: int, left_out: Collection[str] = ()) -> None:
        if vocab_size < 1:
            raise ValueError(f"vocab_size={vocab_size}; it must be at least 1")
        self.table = {
            setting.key: setting._replace(high=vocab_size)
            if setting.key == "top_k"
            else setting
            for setting in SETTINGS
            if setting.key not in left_out
        }
        self.presets = {
            name: {key: values[key] for key in self.table}
            for name, values in PRESETS.items()
        }
        rows = {key: slider_row(setting) for key, setting in self.table.items()}
        self.sliders = {key: slider for key, (slider, _) in rows.items()}
        self.buttons = {name: self.preset_button(name) for name in PRESETS}
        self.callbacks: list[Callable[[], None]] = []
        self.told = self.settings  # what the callbacks know of
        self.busy = False
        for slider in self.sliders.values():
            slider.observe(self.changed, "value")
        presets = HBox([*self.buttons.values()])
        self.box = VBox(
            [presets, *(row for _, row in rows.values())], layout={"width": WIDTH}
        )
        self.box.add_class("gpt-controls")
        self.mark()

    @property
    def settings(self) -> dict[str, float | int]:
        """Key -> value, as they are now."""
        return {key: tidy(slider.value) for key, slider in self.sliders.items()}

    def set(self, settings: Mapping[str, float]) -> None:
        """Set all at once, the missing ones to neutral, and notify once.

        Raises:
            ValueError: if a key is unknown or a value is out of its range.
        """
        for key, value in settings.items():
            if key not in self.table:
                raise ValueError(f"settings has {key!r}; known are {list(self.table)}")
            check(self.table[key], value)
        self.busy = True
        try:
            for key, slider in self.sliders.items():
                slider.value = settings.get(key, NEUTRAL[key])
        finally:
            self.busy = False
        self.changed()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after each change of the settings."""
        self.callbacks.append(callback)

    def changed(self, _: dict | None = None) -> None:
        """Mark the preset that fits and notify, unless `set` is still at it."""
        if self.busy or self.settings == self.told:
            return
        self.told = self.settings
        self.mark()
        for callback in self.callbacks:
            callback()

    def preset_button(self, name: str) -> Button:
        """A button that sets all sliders."""
        values = self.presets[name]
        set_ = [
            f"{key} {values[key]:g}" for key in values if values[key] != NEUTRAL[key]
        ]
        button = Button(
            tooltip=", ".join(set_) or "every setting where it changes nothing",
            layout={"width": "auto", "flex": "1 1 auto", "padding": "0 4px"},
        )
        button.on_click(lambda _: self.set(values))
        return button

    def mark(self) -> None:
        """Give the preset that fits a tick and a colour."""
        for name, button in self.buttons.items():
            fits = self.settings == self.presets[name]
            button.description = f"✓ {name}" if fits else name
            button.button_style = "info" if fits else ""


def check(setting: Setting, value: float) -> None:
    """Raise ValueError if the setting cannot take this value."""
    whole = isinstance(setting.step, int)
    if not setting.low <= value <= setting.high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(
            f"{setting.key}={value}; it must be {kind} from {setting.low:g}"
            f" to {setting.high:g}"
        )


def slider_row(setting: Setting) -> tuple[FloatSlider | IntSlider, HBox]:
    """A slider in a row with, linked to it, a box to type the number in."""
    whole = isinstance(setting.step, int)
    common = {
        "value": setting.neutral,
        "min": setting.low,
        "max": setting.high,
        "step": setting.step,
        "description": setting.label,
        "tooltip": setting.tip,
    }
    slider = (IntSlider if whole else FloatSlider)(
        readout=False,
        style={"description_width": LABEL},
        layout={"flex": "1 1 auto", "width": "auto", "min_width": "0"},
        **common,
    )
    box = (BoundedIntText if whole else BoundedFloatText)(
        style={"description_width": "0"},  # for screen readers; the slider shows it
        layout={"width": "68px", "flex": "none"},
        **common,
    )
    link(slider, box)
    return slider, HBox([slider, box])


def link(
    slider: FloatSlider | IntSlider, box: BoundedFloatText | BoundedIntText
) -> None:
    """Let each follow the other.

    Not by `jslink`, which would write 0.9000000000000001 for 0.9 into the box: that is
    what the page makes of a slider's steps.
    """

    def to_box(_: dict) -> None:
        box.value = tidy(slider.value)

    def to_slider(_: dict) -> None:
        if box.value != tidy(slider.value):
            slider.value = box.value

    slider.observe(to_box, "value")
    box.observe(to_slider, "value")


def tidy(value: float) -> float:
    """A slider's value without the rounding errors of its steps."""
    return round(value, 6)
