"""The settings of a session: how the next token is chosen, and presets of all of them.

No face is imported here: a notebook makes sliders of `SAMPLING_SETTINGS`, a terminal
parses `/set`, a server checks what it is sent.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gpt_lib.playground.messages import find_known_name, format_columns


class Setting(NamedTuple):
    """One number that a reader sets; it is whole if its step is."""

    key: str
    label: str
    low: float
    high: float
    step: float
    neutral: float  # the value that changes nothing
    tip: str


SAMPLING_SETTINGS = (
    Setting("temperature", "Temperature", 0.0, 2.0, 0.05, 1.0,
            "Below 1 the likely tokens gain, above 1 the rare; 0 takes the likeliest;"
            " neutral: 1."),
    Setting("top_k", "Top-k", 0, 0, 1, 0,  # a slider ends at the vocabulary's size
            "Keeps only the k likeliest tokens; neutral: 0, which keeps all."),
    Setting("top_p", "Top-p", 0.01, 1.0, 0.01, 1.0,
            "Keeps the likeliest tokens until their probabilities add up to p;"
            " neutral: 1."),
    Setting("min_p", "Min-p", 0.0, 0.5, 0.01, 0.0,
            "Cuts tokens below this fraction of the likeliest one's probability;"
            " neutral: 0."),
    Setting("repetition_penalty", "Repetition penalty", 1.0, 2.0, 0.05, 1.0,
            "Makes tokens that the text already holds less likely; neutral: 1."),
)  # fmt: skip
NEUTRAL = {setting.key: setting.neutral for setting in SAMPLING_SETTINGS}
PRESETS = {
    "Neutral": NEUTRAL,
    "Greedy": {**NEUTRAL, "temperature": 0.0},
    "Careful": {**NEUTRAL, "temperature": 0.7, "top_p": 0.9},
    "Lively": {**NEUTRAL, "temperature": 1.1, "min_p": 0.05},
    "Wild": {**NEUTRAL, "temperature": 1.6},
}
# What belongs to a text and not to its next token.
LENGTH_SETTING = Setting(
    "length", "Length", 1, 10_000, 1, 300, "Tokens to write at a time."
)
SEED_SETTING = Setting("seed", "Seed", 0, 2**31 - 1, 1, 1,
               "Decides the random numbers of the next text.")  # fmt: skip


def check_setting(setting: Setting, value: float) -> None:
    """Raise ValueError if the setting cannot take this value."""
    whole = isinstance(setting.step, int)
    if not setting.low <= value <= setting.high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(
            f"{setting.key}={value}; it must be {kind} from {setting.low:.10g}"
            f" to {setting.high:.10g}"
        )


def changed_settings(settings: Mapping[str, float]) -> dict[str, float]:
    """The settings that are not neutral."""
    return {key: v for key, v in settings.items() if v != NEUTRAL.get(key)}


def describe_changed_settings(settings: Mapping[str, float]) -> str:
    """The settings that are not neutral, for a status line."""
    changed = changed_settings(settings).items()
    return ", ".join(f"{key} {value:.10g}" for key, value in changed) or "neutral"


# What can be typed

# A slider of top-k ends at the vocabulary's size; typed, any larger k keeps all tokens.
SETTINGS_BY_NAME = {
    each.key: each._replace(high=each.high or 10_000) for each in SAMPLING_SETTINGS
}
SETTINGS_BY_NAME |= {each.key: each for each in (LENGTH_SETTING, SEED_SETTING)}
PRESETS_BY_NAME = {name.lower(): values for name, values in PRESETS.items()}


def parse_settings(text: str, current: Mapping[str, float]) -> dict[str, float]:
    """The current settings, changed by what was typed: presets, and names with values.

    Args:
        text: such as "careful top_k 3" or "temperature=0.7, length 20".
        current: the settings as they are, with length and seed; neutral ones may be
            missing, and are missing in what is returned.

    Raises:
        ValueError: an unknown name, or a value that its setting cannot take.
    """
    new, words = {**NEUTRAL, **current}, text.replace("=", " ").split()
    while words:
        typed = words.pop(0).replace("-", "_")
        name = find_known_name(
            "setting or preset", typed, [*SETTINGS_BY_NAME, *PRESETS_BY_NAME]
        )
        if name in PRESETS_BY_NAME:
            new |= PRESETS_BY_NAME[name]
        elif words:
            new[name] = parse_value(SETTINGS_BY_NAME[name], words.pop(0))
        else:
            raise ValueError(
                f"{name} needs a value: {format_range(SETTINGS_BY_NAME[name])}"
            )
    return changed_settings(new)


def parse_value(setting: Setting, text: str) -> float:
    """A value that the setting can take, or a ValueError."""
    try:
        value = float(text)
    except ValueError:
        allowed = f"it must be a number, {format_range(setting)}"
        raise ValueError(f"{setting.key} is {text!r}; {allowed}") from None
    check_setting(setting, value)
    return int(value) if isinstance(setting.step, int) else value


def format_settings(current: Mapping[str, float]) -> str:
    """A line for each setting with its value, range and meaning; then the presets."""
    values = {**NEUTRAL, **current}
    rows = [
        (f"{key} {values[key]:.10g}", f"{format_range(setting)}. {setting.tip}")
        for key, setting in SETTINGS_BY_NAME.items()
    ]
    return format_columns([*rows, ("presets", ", ".join(PRESETS_BY_NAME))])


def format_range(setting: Setting) -> str:
    """The lowest and the highest value, in words."""
    return f"{setting.low:,} to {setting.high:,}"
