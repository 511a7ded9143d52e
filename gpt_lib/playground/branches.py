"""The branches of a text: the ways in which it goes on after one prompt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(eq=False)
class Branch:
    """The N tokens of one continuation of a prompt."""

    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)  # the model's own
    # The characters that each id completed: none where it ended within a character.
    pieces: list[str] = field(default_factory=list)
    picked: list[int] = field(default_factory=list)  # positions where the reader chose
    # The settings that the tokens were chosen with, by the position they began at.
    settings: dict[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def latest_settings(self) -> Mapping[str, float]:
        """The settings of the tokens written last."""
        return next(reversed(self.settings.values()), {})

    def record_settings(self, settings: Mapping[str, float]) -> None:
        """Record the settings that the next tokens are chosen with."""
        if not self.settings or settings != self.latest_settings:
            self.settings[len(self.ids)] = settings

    def until(self, position: int) -> "Branch":
        """A copy of the tokens before a position."""
        return Branch(
            self.ids[:position],
            self.probabilities[:position],
            self.pieces[:position],
            [other for other in self.picked if other < position],
            {at: each for at, each in self.settings.items() if at <= position},
        )


class BranchNode(NamedTuple):
    """A piece of text in a tree of branches, up to where they part."""

    text: str
    parent: int  # the index of the node before it; -1: the root
    log_probability: float  # of all tokens up to its end
    branches: list[int]  # the indices of the branches that run through it


def merge_branches(
    branches: Sequence[Branch], labels: Sequence[str], prompt: str
) -> list[BranchNode]:
    """The branches as one tree that forks where they do, the prompt in its root.

    Args:
        branches: at least one.
        labels: the names of the V tokens, for a node that completes no character.
        prompt: what all branches go on from.
    """
    nodes: list[BranchNode] = []

    def grow(group: list[int], start: int, parent: int) -> None:
        """Add what a group of branches shares from `start` on, and all below it."""
        first, *others = (branches[index] for index in group)
        positions = (common_prefix_length(first.ids, other.ids) for other in others)
        end = min(positions, default=len(first.ids))
        text = "".join(first.pieces[start:end])
        text = text or "".join(labels[id] for id in first.ids[start:end])
        log_probability = joint_log_probability(first.probabilities[:end])
        text = text if parent >= 0 else prompt + text
        nodes.append(BranchNode(text, parent, log_probability, group))
        index, below = len(nodes) - 1, {}
        for each in group:
            for id in branches[each].ids[end : end + 1]:
                below.setdefault(id, []).append(each)
        for smaller in below.values():
            grow(smaller, end, index)

    grow([*range(len(branches))], 0, -1)
    return nodes


def common_prefix_length(first_ids: Sequence[int], second_ids: Sequence[int]) -> int:
    """The first position at which two lists of ids differ, or the shorter one ends."""
    pairs = enumerate(zip(first_ids, second_ids))
    differ = (position for position, (one, other) in pairs if one != other)
    return next(differ, min(len(first_ids), len(second_ids)))


def joint_log_probability(probabilities: Sequence[float]) -> float:
    """The sum of log-probabilities in nats, finite even for a probability of 0."""
    return sum(math.log(max(each, 1e-30)) for each in probabilities)
