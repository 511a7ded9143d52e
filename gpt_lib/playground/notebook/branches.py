"""Texts that share a beginning, as a tree that forks where they do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpt_lib.views.picture import visible
from gpt_lib.views.tokens.tree import Node


@dataclass(eq=False)
class Path:
    """One text after the prompt."""

    ids: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)  # the model's own, one an id
    picked: list[int] = field(default_factory=list)  # places where the reader chose
    # What they were written with, from which place on.
    settings: dict[int, dict[str, float]] = field(default_factory=dict)

    def use(self, settings: dict[str, float]) -> None:
        """Note what the next ids are written with."""
        if settings != next(reversed(self.settings.values()), None):
            self.settings[len(self.ids)] = settings

    def until(self, place: int) -> "Path":
        """The same text up to a place."""
        return Path(
            self.ids[:place],
            self.chances[:place],
            [other for other in self.picked if other < place],
            {start: each for start, each in self.settings.items() if start <= place},
        )


def branches(
    paths: Sequence[Path], tokens: Sequence[str], prompt: str
) -> tuple[list[Node], list[list[int]]]:
    """The tree of some texts, and for each of its nodes the texts that share it.

    A node is a piece of text up to where its texts part; its note is how likely the
    model finds the text up to there, as the sum of log-chances.
    """
    nodes: list[Node] = []
    shared: list[list[int]] = []

    def grow(texts: list[int], start: int, parent: int) -> None:
        """Add what some texts share from their token `start` on, and all below it."""
        first, *others = (paths[text].ids for text in texts)
        end = min((forking(first, other) for other in others), default=len(first))
        piece = "".join(tokens[id] for id in first[start:end])
        note = f"{log_chance(paths[texts[0]].chances[:end]):.1f}"
        nodes.append(
            Node(shown(piece if parent >= 0 else prompt + piece), parent, note)
        )
        shared.append(texts)
        here, below = len(nodes) - 1, {}
        for text in texts:
            for id in paths[text].ids[end : end + 1]:
                below.setdefault(id, []).append(text)
        for group in below.values():
            grow(group, end, here)

    grow([*range(len(paths))], 0, -1)
    return nodes, shared


def forking(one: Sequence[int], other: Sequence[int]) -> int:
    """The first place where two texts differ."""
    differ = (place for place, (a, b) in enumerate(zip(one, other)) if a != b)
    return next(differ, min(len(one), len(other)))


def log_chance(chances: Sequence[float]) -> float:
    """The sum of log-chances, finite even for a chance that was rounded to 0."""
    return sum(math.log(max(chance, 1e-30)) for chance in chances)


def shown(text: str) -> str:
    """A text on one line; a space alone would not be seen."""
    return visible(text) if len(text) == 1 else text.replace("\n", "↵")
