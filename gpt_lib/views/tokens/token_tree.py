"""A tree of texts that grows to the right: beams kept and pruned, texts rewritten."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import traitlets
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.picture import Picture, WidgetWithFallback, new_figure_and_axes
from gpt_lib.views.tokens.token_tree_data import (
    PAGE_SOURCES,
    TreeNode,
    best_path_end_index,
    node_boxes,
    node_depths,
    path_to,
    summarize_tree,
    token_tree_data,
)
from gpt_lib.views.widget import PickWidget

MAX_DRAWN, MAX_DRAWN_COLUMNS = 80, 14  # more cannot be read in a still picture
CHARACTER, ROW, BOX = 0.075, 0.44, 0.35  # inches of the still picture


class TokenTreeWidget(PickWidget):
    """Carries `token_tree_data` to its page."""

    _esm, _css = PAGE_SOURCES
    boxes = traitlets.List(traitlets.Dict()).tag(sync=True)  # of `node_boxes`
    summary = traitlets.Unicode().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)  # index of a node, -1: none
    pickable = traitlets.Bool().tag(sync=True)  # somebody waits for a pick

    def show(self, nodes: Sequence[TreeNode], selected: int | None = None) -> None:
        """Show another tree; see `token_tree_data`."""
        data = token_tree_data(nodes, selected)
        self.pick_count = len(nodes)
        self.put(data)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the index of each node clicked, or given Enter."""
        super().on_pick(callback)
        self.pickable = True


def token_tree(nodes: Sequence[TreeNode], title: str) -> WidgetWithFallback:
    """A tree to walk by mouse or arrow keys; the chosen path is read as one text.

    Args:
        nodes: each parent before its children; siblings in the order to be drawn in.
        title: what the tree shows.
    """
    if not nodes:
        raise ValueError("token_tree needs at least one node")
    widget = TokenTreeWidget(title=title)
    widget.show(nodes)
    return WidgetWithFallback(widget, tree_fallback(nodes, title))


def drawable_part(nodes: Sequence[TreeNode]) -> list[TreeNode]:
    """What a still picture can hold: the kept first, the deepest left out."""
    columns, chosen = node_depths(nodes), set()
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


def tree_fallback(nodes: Sequence[TreeNode], title: str) -> Picture:
    """The fallback: the tree as the page first shows it, or the part that fits."""
    part = drawable_part(nodes)
    boxes = node_boxes(part)
    description = f"{title}. Tree of {summarize_tree(nodes)}"
    if len(part) < len(nodes):
        description += f" The picture shows {len(part)} of them."
        title = f"{title} ({len(part)} of {len(nodes)} nodes)"
    width = CHARACTER * (max(box["x"] + box["width"] for box in boxes) + 3)
    height = ROW * (max(box["row"] for box in boxes) + 1)
    width = max(width, CHARACTER * len(title))
    figure, axes = new_figure_and_axes(width + 0.1, height + 0.4)
    axes.set_axis_off()
    axes.set(xlim=(-0.05, width), ylim=(height, 0))
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    best_path = path_to(part, best_path_end_index(part))
    for index, box in enumerate(boxes):
        if box["parent"] >= 0:
            draw_link(axes, boxes[box["parent"]], box, index in best_path)
        draw_box(axes, box)
    return Picture(figure, description)


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
    style |= {"parse_math": False}
    middle, weight = left + width / 2, "bold" if best else "normal"
    label_height = top + BOX * (0.32 if box["note"] else 0.5)
    axes.text(middle, label_height, box["short"], size=8.5, weight=weight, **style)
    axes.text(middle, top + 0.74 * BOX, box["note"], size=7, **style)


def draw_link(
    axes: Axes, parent: dict[str, Any], child: dict[str, Any], is_best: bool
) -> None:
    """A curve from a box to a child's: thick on the best path, dashed if pruned."""
    begin = CHARACTER * (parent["x"] + parent["width"] + 1.5)
    end = CHARACTER * child["x"]
    begin_height, end_height = ROW * (parent["row"] + 0.5), ROW * (child["row"] + 0.5)
    middle = (begin + end) / 2
    points = [(begin, begin_height), (middle, begin_height)]
    points += [(middle, end_height), (end, end_height)]
    curve = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
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
