"""A tree of texts that grow to the right: beams kept and pruned, texts rewritten."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import anywidget
import traitlets
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from gpt_lib.views.charts.basic import COLORS
from gpt_lib.views.picture import Picture, View, new_figure, page_script

SIGNS = {"kept": "", "pruned": "", "best": "★ ", "ended": "■ "}  # of each state
LONGEST_LABEL = 18  # characters of a label that fit into its box
GAP = 4  # characters between two columns of boxes
MAX_DRAWN, MAX_DRAWN_COLUMNS = 80, 14  # more cannot be read in a still picture
CHARACTER, ROW, BOX = 0.075, 0.44, 0.35  # inches of the still picture


@dataclass(frozen=True)
class Node:
    """One piece of text in a tree; the texts are read from a root to a node."""

    label: str  # a token, or a piece of text
    parent: int = -1  # its index in the list of nodes, before this one; -1: a root
    note: str = ""  # such as "−3.21" or "p 0.04 %"
    state: str = "kept"  # one of SIGNS

    def __post_init__(self) -> None:
        if self.state not in SIGNS:
            raise ValueError(f"state={self.state!r} is not one of {list(SIGNS)}")


class TreeWidget(anywidget.AnyWidget):
    """The live half of `tree`; its page is drawn by tree.js."""

    _esm = page_script("tokens/tree.js")
    title = traitlets.Unicode().tag(sync=True)
    boxes = traitlets.List(traitlets.Dict()).tag(sync=True)  # of `boxes_of`
    summary = traitlets.Unicode().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)  # index of a node, -1: none
    pickable = traitlets.Bool().tag(sync=True)  # somebody waits for a pick

    def show(self, nodes: Sequence[Node], selected: int | None = None) -> None:
        """Replace the whole tree at once, so that the page never mixes two trees.

        Args:
            nodes: each parent before its children; none clears the tree.
            selected: index of the node to select; None selects nothing.
        """
        chosen = -1 if selected is None else selected
        if not -1 <= chosen < len(nodes):
            raise ValueError(
                f"selected={selected} is not one of {len(nodes)} nodes, nor -1 (none)"
            )
        boxes = boxes_of(nodes)
        with self.hold_sync():
            self.boxes, self.selected = boxes, chosen
            self.summary = summary_of(nodes)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the index of each node clicked, or given Enter."""

        def answer(_: Any, content: dict, __: Any) -> None:
            index = content.get("pick", -1)
            if 0 <= index < len(self.boxes):  # a click may come after a new tree
                callback(index)

        self.on_msg(answer)
        self.pickable = True


def tree(nodes: Sequence[Node], title: str) -> View:
    """A tree to walk by mouse or arrow keys; the chosen path is read as one text.

    Args:
        nodes: each parent before its children; siblings in the order to be drawn in.
        title: what the tree shows.
    """
    if not nodes:
        raise ValueError("tree needs at least one node")
    widget = TreeWidget(title=title)
    widget.show(nodes)
    return View(widget, picture_of(nodes, title))


def columns_of(nodes: Sequence[Node]) -> list[int]:
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


def rows_of(nodes: Sequence[Node], columns: Sequence[int]) -> list[float]:
    """The height of each node: no two in one place, each parent amid its children.

    The idea is Reingold's and Tilford's (1981): lay out each subtree alone, then move
    it as near to the one above it as the fullest column allows.
    """
    rows = [0.0] * len(nodes)
    branches = [[] for _ in nodes]  # of each node: the subtrees below it
    roots = []
    for index in reversed(range(len(nodes))):
        below = branches[index][::-1]
        pack(below, rows, columns)
        if below:  # a subtree begins with its own root
            rows[index] = (rows[below[0][0]] + rows[below[-1][0]]) / 2
        parent = nodes[index].parent
        siblings = branches[parent] if parent >= 0 else roots
        siblings.append([index, *(member for branch in below for member in branch)])
    pack(roots[::-1], rows, columns)
    top = min(rows, default=0.0)
    return [row - top for row in rows]


def pack(
    branches: Iterable[Sequence[int]], rows: list[float], columns: Sequence[int]
) -> None:
    """Move each branch, a list of nodes, right below the ones before it."""
    free = {}  # column -> the first free row
    for branch in branches:
        shifts = [
            free[columns[member]] - rows[member]
            for member in branch
            if columns[member] in free
        ]
        for member in branch:
            rows[member] += max(shifts, default=0.0)
        for member in branch:
            column = columns[member]
            free[column] = max(free.get(column, rows[member]), rows[member] + 1)


def boxes_of(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Each node with its place: `x` and `width` in characters, `row` in rows."""
    columns = columns_of(nodes)
    shorts = [SIGNS[node.state] + shortened(node.label) for node in nodes]
    widths = [1] * (max(columns, default=0) + 1)
    for column, short, node in zip(columns, shorts, nodes):
        note = ceil(0.85 * len(node.note))  # its letters are smaller
        widths[column] = max(widths[column], len(short), note)
    lefts = [sum(widths[:column]) + GAP * column for column in range(len(widths))]
    return [
        {**vars(node), "short": short, "row": row, "x": lefts[c], "width": widths[c]}
        for node, short, row, c in zip(nodes, shorts, rows_of(nodes, columns), columns)
    ]


def shortened(label: str) -> str:
    """A label as its box shows it: one short line, no end of it invisible."""
    shown = re.sub(r"\A +| +\Z", lambda spaces: "␣" * len(spaces[0]), label)
    shown = shown.replace("\n", "↵").replace("\t", "⇥")
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"


def path_to(nodes: Sequence[Node], index: int) -> list[int]:
    """The indices from a root to a node; of -1, none."""
    path = []
    while index >= 0:
        path.append(index)
        index = nodes[index].parent
    return path[::-1]


def best_of(nodes: Sequence[Node]) -> int:
    """The deepest of the nodes that are best, or -1."""
    columns = columns_of(nodes)
    best = (index for index, node in enumerate(nodes) if node.state == "best")
    return max(best, key=lambda index: columns[index], default=-1)


def summary_of(nodes: Sequence[Node]) -> str:
    """How many nodes there are of each kind, and what the best path reads."""
    if not nodes:
        return "No nodes yet."
    pruned = sum(node.state == "pruned" for node in nodes)
    s = "" if len(nodes) == 1 else "s"
    words = f"{len(nodes)} node{s}: {len(nodes) - pruned} kept, {pruned} pruned."
    best = best_of(nodes)
    if best < 0:
        return words
    text = "".join(nodes[index].label for index in path_to(nodes, best))
    note = f" · {nodes[best].note}" if nodes[best].note else ""
    return f"{words} Best: “{text}”{note}.".replace("\n", "↵")


def part_of(nodes: Sequence[Node]) -> list[Node]:
    """What a still picture can hold: the kept first, the deepest left out."""
    columns, chosen = columns_of(nodes), set()
    for index in sorted(
        range(len(nodes)), key=lambda index: nodes[index].state == "pruned"
    ):
        if len(chosen) == MAX_DRAWN:
            break
        if columns[index] < MAX_DRAWN_COLUMNS and nodes[index].parent in {-1, *chosen}:
            chosen.add(index)
    new = {old: index for index, old in enumerate(sorted(chosen))} | {-1: -1}
    return [
        replace(nodes[old], parent=new[nodes[old].parent]) for old in sorted(chosen)
    ]


def picture_of(nodes: Sequence[Node], title: str) -> Picture:
    """The static twin: the tree as the page first shows it, or the part that fits."""
    part = part_of(nodes)
    boxes = boxes_of(part)
    words = f"{title}. Tree of {summary_of(nodes)}"
    if len(part) < len(nodes):
        words += f" The picture shows {len(part)} of them."
        title = f"{title} ({len(part)} of {len(nodes)} nodes)"
    width = CHARACTER * (max(box["x"] + box["width"] for box in boxes) + 3)
    height = ROW * (max(box["row"] for box in boxes) + 1)
    width = max(width, CHARACTER * len(title))
    figure, axes = new_figure(width + 0.1, height + 0.4)
    axes.set_axis_off()
    axes.set(xlim=(-0.05, width), ylim=(height, 0))
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    best = path_to(part, best_of(part))
    for index, box in enumerate(boxes):
        if box["parent"] >= 0:
            draw_link(axes, boxes[box["parent"]], box, index in best)
        draw_box(axes, box)
    return Picture(figure, words)


def draw_box(axes: Axes, box: dict[str, Any]) -> None:
    """A frame with the label above the note; dashed and grey where it was pruned."""
    pruned, best = box["state"] == "pruned", box["state"] == "best"
    left, top = CHARACTER * box["x"], ROW * box["row"] + (ROW - BOX) / 2
    width = CHARACTER * (box["width"] + 1.5)
    frame = Rectangle(
        (left, top),
        width,
        BOX,
        facecolor="white",
        edgecolor="#777777" if pruned else "black",
        linestyle="--" if pruned else "-",
        linewidth=2.2 if best else 0.9,
    )
    axes.add_patch(frame)
    ink = "#666666" if pruned else "black"
    style = {"ha": "center", "va": "center", "family": "monospace", "color": ink}
    middle = left + width / 2
    first = top + BOX * (0.32 if box["note"] else 0.5)
    weight = "bold" if best else "normal"
    axes.text(
        middle, first, box["short"], **style, size=8.5, weight=weight, parse_math=False
    )
    axes.text(middle, top + 0.74 * BOX, box["note"], **style, size=7, parse_math=False)


def draw_link(
    axes: Axes, parent: dict[str, Any], child: dict[str, Any], is_best: bool
) -> None:
    """A curve from a box to a child's: thick on the best path, dashed if pruned."""
    begin = CHARACTER * (parent["x"] + parent["width"] + 1.5)
    end = CHARACTER * child["x"]
    high, low = ROW * (parent["row"] + 0.5), ROW * (child["row"] + 0.5)
    bend = (begin + end) / 2
    curve = Path(
        [(begin, high), (bend, high), (bend, low), (end, low)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    pruned = child["state"] == "pruned"
    axes.add_patch(
        PathPatch(
            curve,
            fill=False,
            edgecolor="#777777" if pruned else COLORS[0],
            linestyle="--" if pruned else "-",
            linewidth=2.5 if is_best else 1.0,
        )
    )
