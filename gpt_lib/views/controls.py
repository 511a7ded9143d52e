"""The settings that choose the next token: a slider each, and presets of all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from ipywidgets import (
    BoundedFloatText,
    BoundedIntText,
    Button,
    FloatSlider,
    HBox,
    IntSlider,
    VBox,
)

WIDTH, LABEL_WIDTH = "330px", "126px"


class NumberSetting(Protocol):
    """One number that a reader sets; a whole number if its step is one."""

    key: str
    label: str
    low: float
    high: float  # 0: the size of the vocabulary
    step: float
    neutral: float  # where it changes nothing
    tip: str


class SliderRange(NamedTuple):
    """The numbers that a slider can take; whole numbers if `step` is one."""

    low: float
    high: float
    step: float

    def check(self, key: str, value: float) -> None:
        """Raise ValueError if the setting `key` cannot take this value."""
        whole = isinstance(self.step, int)
        if self.low <= value <= self.high and (not whole or value == int(value)):
            return
        kind = "a whole number" if whole else "a number"
        raise ValueError(
            f"{key}={value}; it must be {kind} from {self.low:g} to {self.high:g}"
        )


class SamplingControls:
    """How the next token is chosen: a slider for each setting, buttons for presets.

    Args:
        settings: what can be set, top to bottom.
        presets: name -> key -> value, for every key of `settings`.
        vocab_size: the number of tokens, the highest `top_k`.
        left_out: keys of settings that get no slider.
    """

    def __init__(
        self,
        settings: Sequence[NumberSetting],
        presets: Mapping[str, Mapping[str, float]],
        vocab_size: int,
        left_out: Collection[str] = (),
    ) -> None:
        check_vocab_size(vocab_size)
        settings = [setting for setting in settings if setting.key not in left_out]
        self.ending_with_vocabulary = [each.key for each in settings if not each.high]
        self.neutral = {setting.key: setting.neutral for setting in settings}
        self.ranges = {
            setting.key: SliderRange(
                setting.low, setting.high or vocab_size, setting.step
            )
            for setting in settings
        }
        self.presets = {
            name: {key: values[key] for key in self.neutral}
            for name, values in presets.items()
        }
        rows = {
            each.key: slider_row(
                each.label, self.ranges[each.key], each.neutral, each.tip
            )
            for each in settings
        }
        self.sliders = {key: slider for key, (slider, _) in rows.items()}
        self.buttons = {name: self.preset_button(name) for name in self.presets}
        self.callbacks: list[Callable[[], None]] = []
        self.notified_settings = self.settings  # those of the last notification
        self.is_setting_all = False
        for slider in self.sliders.values():
            slider.observe(self.handle_change, "value")
        buttons = HBox([*self.buttons.values()])
        self.box = VBox(
            [buttons, *(row for _, row in rows.values())], layout={"width": WIDTH}
        )
        self.box.add_class("gpt-controls")
        self.mark_preset()

    def set_vocab_size(self, vocab_size: int) -> None:
        """Another number of tokens; a higher `top_k` becomes this one."""
        check_vocab_size(vocab_size)
        for key in self.ending_with_vocabulary:
            self.ranges[key] = self.ranges[key]._replace(high=vocab_size)
            self.sliders[key].max = vocab_size

    @property
    def settings(self) -> dict[str, float | int]:
        """Key -> value, as they are now."""
        return {key: round_off(slider.value) for key, slider in self.sliders.items()}

    def set_all(self, settings: Mapping[str, float]) -> None:
        """Set all at once, the missing ones to neutral, and notify once.

        Raises:
            ValueError: if a key is unknown or a value is out of its range.
        """
        for key, value in settings.items():
            if key not in self.ranges:
                raise ValueError(f"settings has {key!r}; known are {list(self.ranges)}")
            self.ranges[key].check(key, value)
        self.is_setting_all = True
        try:
            for key, slider in self.sliders.items():
                slider.value = settings.get(key, self.neutral[key])
        finally:
            self.is_setting_all = False
        self.handle_change()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after each change of the settings."""
        self.callbacks.append(callback)

    def handle_change(self, _: dict | None = None) -> None:
        """Mark the preset that fits and notify, but not in the middle of `set_all`."""
        if self.is_setting_all or self.settings == self.notified_settings:
            return
        self.notified_settings = self.settings
        self.mark_preset()
        for callback in self.callbacks:
            callback()

    def preset_button(self, name: str) -> Button:
        """A button that sets all sliders."""
        values = self.presets[name]
        changes = [
            f"{key} {value:g}"
            for key, value in values.items()
            if value != self.neutral[key]
        ]
        button = Button(
            tooltip=", ".join(changes) or "every setting where it changes nothing",
            layout={"width": "auto", "flex": "1 1 auto", "padding": "0 4px"},
        )
        button.on_click(lambda _: self.set_all(values))
        return button

    def mark_preset(self) -> None:
        """Give the preset that fits a tick and a colour."""
        for name, button in self.buttons.items():
            fits = self.settings == self.presets[name]
            button.description = f"✓ {name}" if fits else name
            button.button_style = "info" if fits else ""


def check_vocab_size(vocab_size: int) -> None:
    """Raise ValueError if there is no token."""
    if vocab_size < 1:
        raise ValueError(f"vocab_size={vocab_size}; it must be at least 1")


def slider_row(
    label: str, range_: SliderRange, value: float, tip: str
) -> tuple[FloatSlider | IntSlider, HBox]:
    """A slider in a row with, linked to it, a box to type the number in."""
    whole = isinstance(range_.step, int)
    common = {
        "value": value,
        "min": range_.low,
        "max": range_.high,
        "step": range_.step,
        "description": label,
        "tooltip": tip,
    }
    slider = (IntSlider if whole else FloatSlider)(
        readout=False,
        style={"description_width": LABEL_WIDTH},
        layout={"flex": "1 1 auto", "width": "auto", "min_width": "0"},
        **common,
    )
    box = (BoundedIntText if whole else BoundedFloatText)(
        style={"description_width": "0"},  # for screen readers; the slider shows it
        layout={"width": "68px", "flex": "none"},
        **common,
    )
    link_slider_and_box(slider, box)
    return slider, HBox([slider, box])


def link_slider_and_box(
    slider: FloatSlider | IntSlider, box: BoundedFloatText | BoundedIntText
) -> None:
    """Let a slider and a number box follow each other, and their ends.

    Not by `jslink`, which would write 0.9000000000000001 for 0.9 into the box: that is
    what the page makes of a slider's steps.
    """

    def to_box(_: dict) -> None:
        box.value = round_off(slider.value)

    def to_slider(_: dict) -> None:
        if box.value != round_off(slider.value):
            slider.value = box.value

    def move_end(_: dict) -> None:
        box.max = slider.max

    slider.observe(to_box, "value")
    slider.observe(move_end, "max")
    box.observe(to_slider, "value")


def round_off(value: float) -> float:
    """A slider's value without the rounding errors of its steps."""
    return round(value, 6)
