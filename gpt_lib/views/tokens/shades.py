"""The shades of surprisal, for a page and for a picture of a shaded text."""

from typing import NamedTuple

import numpy as np


class Shade(NamedTuple):
    """How a character looks, in names that CSS and matplotlib share."""

    background: str = "#fff"  # the paper is white in every theme
    ink: str = "#000"
    underline: str = ""  # or "solid", "dotted"

    @property
    def css(self) -> str:
        """The declarations that change white paper with black ink into this shade."""
        line = {"": "", "solid": "underline", "dotted": "underline dotted"}
        parts = {
            "background": self.background.replace("#fff", ""),
            "color": self.ink.replace("#000", ""),
            "text-decoration": line[self.underline],
        }
        return ";".join(f"{key}:{value}" for key, value in parts.items() if value)


BLACK_ON_WHITE = Shade()
PROMPT_SHADE = Shade(ink="#444", underline="dotted")  # what the model was given
# Black on light, white on dark; the last one is for what is not known.
SHADES = (
    BLACK_ON_WHITE,
    Shade("#def"),
    Shade("#9ce"),
    Shade("#48b"),
    Shade("#024", "#fff"),
    Shade(ink="#666", underline="solid"),
)
UNKNOWN_INDEX = len(SHADES) - 1
SHADE_RULES = "\n".join(
    f".gpt-shaded .gpt-shade-{index} {{ {shade.css} }}"
    for index, shade in enumerate(SHADES)
)
# Fixed steps in nats: two passages, or two lessons, can be compared by eye.
SURPRISAL_EDGES = (0.5, 1.0, 2.0, 4.0)


def shade_indices(nats: np.ndarray) -> np.ndarray:
    """An index into SHADES for each surprisal; the last is for NaN."""
    indices = np.digitize(nats, SURPRISAL_EDGES)
    return np.where(np.isnan(nats), UNKNOWN_INDEX, indices).astype(np.uint8)


def shade_labels(unknown: str) -> list[str]:
    """What each of SHADES stands for; `unknown` names the last."""
    steps = [
        f"{low:g}–{high:g}" for low, high in zip((0, *SURPRISAL_EDGES), SURPRISAL_EDGES)
    ]
    return [*steps, f"over {SURPRISAL_EDGES[-1]:g}", unknown]
