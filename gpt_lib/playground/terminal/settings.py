"""What `/set` understands: the notebooks' settings and presets, a length, a seed."""

from collections.abc import Mapping

from gpt_lib.playground.messages import listed, meant
from gpt_lib.playground.session import RANGES
from gpt_lib.views.controls import NEUTRAL, PRESETS, SETTINGS, Setting, check

TIPS = {"length": "Tokens to write at a time.", "seed": "The luck of the next text."}
# In a notebook, the vocabulary ends the slider of top-k; more than that keeps all.
TABLE = {each.key: each._replace(high=each.high or 10_000) for each in SETTINGS} | {
    key: Setting(key, key, *RANGES[key], step=1, neutral=1, tip=TIPS[key])
    for key in RANGES
}
PRESET = {name.lower(): values for name, values in PRESETS.items()}


def parsed(words: str, now: Mapping[str, float]) -> dict[str, float]:
    """Settings as they are, changed by presets and by names with their values."""
    new, left = {**NEUTRAL, **now}, words.replace("=", " ").split()
    while left:
        given = left.pop(0).replace("-", "_")
        name = meant("setting or preset", given, [*TABLE, *PRESET])
        if name in PRESET:
            new |= PRESET[name]
        elif left:
            new[name] = number(TABLE[name], left.pop(0))
        else:
            raise ValueError(f"{name} needs a value: {span(TABLE[name])}")
    return {key: new[key] for key in new if new[key] != NEUTRAL.get(key)}


def number(setting: Setting, given: str) -> float:
    """A value that the setting can take, or a ValueError."""
    try:
        value = float(given)
    except ValueError:
        words = f"{setting.key} is {given!r}; it must be a number, {span(setting)}"
        raise ValueError(words) from None
    check(setting, value)
    return int(value) if isinstance(setting.step, int) else value


def described(now: Mapping[str, float]) -> str:
    """Each setting as it is, with its range; and the presets."""
    now = {**NEUTRAL, **now}
    rows = [(f"{key} {now[key]:g}", f"{span(TABLE[key])}. {TABLE[key].tip}")
            for key in TABLE]  # fmt: skip
    return listed([*rows, ("presets", ", ".join(PRESET))])


def span(setting: Setting) -> str:
    """From where to where it goes."""
    return f"{setting.low:,} to {setting.high:,}"
