"""What the page of a tree of texts shows: boxes, and where they stand."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from gpt_lib.views.page import load_page_files

PAGE_SOURCES = load_page_files("tokens/token_tree")
STATE_SIGNS = {"kept": "", "pruned": "", "best": "★ ", "ended": "■ "}
MAX_LABEL = 18  # characters of a label that fit into its box
COLUMN_GAP = 4  # characters between two columns of boxes
NOTE_SCALE = 0.85  # the letters of a note are smaller


@dataclass(frozen=True)
class TreeNode:
    """One piece of text in a tree; the texts are read from a root to a node."""

    label: str  # a token, or a piece of text
    parent: int = -1  # its index in the list of nodes, before this one; -1: a root
    note: str = ""  # such as "−3.21" or "p 0.04 %"
    state: str = "kept"  # a key of STATE_SIGNS

    def __post_init__(self) -> None:
        if self.state not in STATE_SIGNS:
            raise ValueError(f"state={self.state!r} is not one of {list(STATE_SIGNS)}")


def token_tree_data(
    nodes: Sequence[TreeNode], selected: int | None = None
) -> dict[str, Any]:
    """The state of the page for a tree.

    Args:
        nodes: each parent before its children; none clears the tree.
        selected: index of the node to select; None selects nothing.
    """
    index = -1 if selected is None else selected
    if not -1 <= index < len(nodes):
        raise ValueError(
            f"selected={selected} is not one of {len(nodes)} nodes, nor -1 (none)"
        )
    return {
        "boxes": node_boxes(nodes),
        "selected": index,
        "summary": summarize_tree(nodes),
    }


def node_depths(nodes: Sequence[TreeNode]) -> list[int]:
    """The depth of each node, once every parent comes before its children."""
    columns = []
    for index, node in enumerate(nodes):
        if not -1 <= node.parent < index:
            raise ValueError(
                f"node {index} has parent={node.parent}; a parent comes before its"
                f" children: 0 to {index - 1}, or -1 for a root"
            )
        columns.append(0 if node.parent < 0 else columns[node.parent] + 1)
    return columns


def node_rows(nodes: Sequence[TreeNode], columns: Sequence[int]) -> list[float]:
    """The height of each node: none covers another, each parent amid its children.

    The idea is Reingold's and Tilford's (1981): lay out each subtree alone, then move
    it as near to the one above it as the fullest column allows.
    """
    rows = [0.0] * len(nodes)
    subtrees = [[] for _ in nodes]  # of each node: the subtrees of its children
    roots = []
    for index in reversed(range(len(nodes))):
        children = subtrees[index][::-1]
        move_subtrees_apart(children, rows, columns)
        if children:  # a subtree begins with its own root
            rows[index] = (rows[children[0][0]] + rows[children[-1][0]]) / 2
        parent = nodes[index].parent
        siblings = subtrees[parent] if parent >= 0 else roots
        siblings.append([index, *(member for child in children for member in child)])
    move_subtrees_apart(roots[::-1], rows, columns)
    top = min(rows, default=0.0)
    return [row - top for row in rows]


def move_subtrees_apart(
    subtrees: Iterable[Sequence[int]], rows: list[float], columns: Sequence[int]
) -> None:
    """Move each subtree, a list of nodes, right below the ones before it."""
    free_rows = {}  # column -> its first free row
    for subtree in subtrees:
        shifts = [
            free_rows[columns[member]] - rows[member]
            for member in subtree
            if columns[member] in free_rows
        ]
        for member in subtree:
            rows[member] += max(shifts, default=0.0)
        for member in subtree:
            column = columns[member]
            free = free_rows.get(column, rows[member])
            free_rows[column] = max(free, rows[member] + 1)


def node_boxes(nodes: Sequence[TreeNode]) -> list[dict[str, Any]]:
    """Each node with its position: `x` and `width` in characters, `row` in rows."""
    columns = node_depths(nodes)
    texts = [STATE_SIGNS[node.state] + shorten_label(node.label) for node in nodes]
    widths = [1] * (max(columns, default=0) + 1)
    for column, text, node in zip(columns, texts, nodes):
        note_width = ceil(NOTE_SCALE * len(node.note))
        widths[column] = max(widths[column], len(text), note_width)
    lefts = [
        sum(widths[:column]) + COLUMN_GAP * column for column in range(len(widths))
    ]
    return [
        {**vars(node), "short": text, "row": row, "x": lefts[c], "width": widths[c]}
        for node, text, row, c in zip(nodes, texts, node_rows(nodes, columns), columns)
    ]


def shorten_label(label: str) -> str:
    """A label as its box shows it: one short line, with spaces at its ends visible."""
    text = re.sub(r"\A +| +\Z", lambda spaces: "␣" * len(spaces[0]), label)
    text = text.replace("\n", "↵").replace("\t", "⇥")
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


def path_to(nodes: Sequence[TreeNode], index: int) -> list[int]:
    """The indices from a root to a node; of -1, none."""
    path = []
    while index >= 0:
        path.append(index)
        index = nodes[index].parent
    return path[::-1]


def best_path_end_index(nodes: Sequence[TreeNode]) -> int:
    """The index of the deepest node that is best, or -1."""
    columns = node_depths(nodes)
    best = (index for index, node in enumerate(nodes) if node.state == "best")
    return max(best, key=lambda index: columns[index], default=-1)


def summarize_tree(nodes: Sequence[TreeNode]) -> str:
    """How many nodes there are of each kind, and what the best path reads."""
    if not nodes:
        return "No nodes yet."
    pruned = sum(node.state == "pruned" for node in nodes)
    s = "" if len(nodes) == 1 else "s"
    counts = f"{len(nodes)} node{s}: {len(nodes) - pruned} kept, {pruned} pruned."
    best = best_path_end_index(nodes)
    if best < 0:
        return counts
    text = "".join(nodes[index].label for index in path_to(nodes, best))
    note = f" · {nodes[best].note}" if nodes[best].note else ""
    return f"{counts} Best: “{text}”{note}.".replace("\n", "↵")
