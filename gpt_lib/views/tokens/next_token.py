"""From the model's probabilities to the token drawn: what the settings do to them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import anywidget
import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from gpt_lib.views.charts.basic import COLORS
from gpt_lib.views.picture import Picture, View, page_script, visible

ROWS, DRAWN_ROWS, TOLD = 12, 10, 5  # likeliest tokens in the page, picture, words
NARROWEST = 0.002  # of the bar: what a page of 800 pixels can still show
ROUNDING = 0.01  # how far a sum of half-precision probabilities may be from 1
PALE, GREY = "#dbe9f4", "#666666"
POINTS_PER_INCH, LONGEST_NAME = 72, 14
STRIPES = ("#bcd9ee", "#e3eff8")  # of the cumulative bar; black can be read on both


class Draw(NamedTuple):
    """Probabilities before and after the settings, and the token drawn."""

    names: Sequence[str]  # V tokens
    before: np.ndarray  # (V,)
    after: np.ndarray  # (V,), exactly 0 for a cut token
    u: float | None
    winner: int  # where u lands; -1 without u


class ChancesWidget(anywidget.AnyWidget):
    """The live half of `chances`; its page is drawn by chances.js."""

    _esm = page_script("tokens/next_token.js")
    title = traitlets.Unicode().tag(sync=True)
    sentence = traitlets.Unicode().tag(sync=True)
    # Of each row: id (-1 for the sum of the others), name, before and after as numbers,
    # `told` as texts; of each segment: id (-1 for many), name, start, width, told.
    rows = traitlets.List().tag(sync=True)
    segments = traitlets.List().tag(sync=True)
    u = traitlets.Float(None, allow_none=True).tag(sync=True)
    u_told = traitlets.Unicode().tag(sync=True)
    winner = traitlets.Int(-1).tag(sync=True)
    pick_label = traitlets.Unicode().tag(sync=True)  # such as "branch here with"

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.size = 0  # tokens shown, V
        self.on_msg(self.receive)
        self.pick_callbacks: list[Callable[[int], None]] = []

    def show(
        self,
        names: Sequence[str],
        before: ArrayLike,
        after: ArrayLike,
        u: float | None,
        title: str | None = None,
    ) -> None:
        """Show a distribution at once, so that the page never mixes two.

        Args:
            names: V tokens.
            before: (V,) the model's own probabilities.
            after: (V,) what the settings made of them, exactly 0 for a cut token.
            u: the random draw, 0 <= u < 1, or None.
            title: what is shown; None keeps the title.
        """
        draw = checked(names, before, after, u)
        with self.hold_sync():
            self.size, self.u, self.winner = len(names), draw.u, draw.winner
            self.rows, self.segments = rows_of(draw, ROWS), segments_of(draw)
            self.u_told, self.sentence = u_in_words(draw), in_words(draw)
            self.title = self.title if title is None else title

    def clear(self, sentence: str) -> None:
        """Show nothing but a sentence."""
        with self.hold_sync():
            self.size, self.u, self.winner = 0, None, -1
            self.rows, self.segments = [], []
            self.u_told, self.sentence = "", sentence

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback(index)` when a reader picks the token `names[index]`."""
        self.pick_callbacks.append(callback)

    def receive(self, _: object, message: dict, __: list) -> None:
        """Pass on what a reader picked."""
        index = message.get("id")
        if message.get("type") != "pick" or index not in range(self.size):
            return
        for callback in self.pick_callbacks:
            callback(index)


def chances(
    names: Sequence[str],
    before: ArrayLike,
    after: ArrayLike,
    title: str,
    u: float | None = None,
) -> View:
    """The chances of the next token, by the model and with settings, and the draw.

    Args:
        names: V tokens.
        before: (V,) the model's own probabilities.
        after: (V,) what the settings made of them, exactly 0 for a cut token.
        title: what is drawn.
        u: the random draw, 0 <= u < 1, or None.
    """
    widget = ChancesWidget()
    widget.show(names, before, after, u, title)
    return View(widget, picture_of_chances(names, before, after, title, u))


def checked(
    names: Sequence[str], before: ArrayLike, after: ArrayLike, u: float | None
) -> Draw:
    """The arrays as float64, once they fit the names and sum to 1."""
    V, arrays = len(names), []
    for what, given in (("before", before), ("after", after)):
        array = np.asarray(given, dtype=float)
        if array.shape != (V,) or not V:
            raise ValueError(f"{what} has shape {array.shape}; {V} names need ({V},)")
        if not (array >= 0).all() or abs(array.sum() - 1) > ROUNDING:
            raise ValueError(
                f"{what} runs from {array.min():.4g} to {array.max():.4g} and sums to"
                f" {array.sum():.4g}; probabilities are at least 0 and sum to 1"
            )
        arrays.append(array)
    if u is not None and not 0 <= u < 1:
        raise ValueError(f"u={u} is not a draw: 0 <= u < 1")
    winner = -1 if u is None else landing(arrays[1], u)
    return Draw(names, *arrays, None if u is None else float(u), winner)


def falling(chances: np.ndarray) -> np.ndarray:
    """Indices (V,) by falling chance; of equals the lower first."""
    return np.argsort(-chances, kind="stable")


def kept(after: np.ndarray) -> np.ndarray:
    """Indices of the tokens that are not cut, in the order of the cumulative bar."""
    return falling(after)[: np.count_nonzero(after)]


def landing(after: ArrayLike, u: float) -> int:
    """The token drawn: where the running sum, likeliest first, first exceeds u.

    Args:
        after: (V,) chances, not all 0; they need not sum to exactly 1.
        u: 0 <= u < 1, a share of their sum.
    """
    array = np.asarray(after, dtype=float)
    order = kept(array)
    sums = np.cumsum(array[order])
    return int(order[np.searchsorted(sums, u * sums[-1], side="right")])


def percent(chance: float) -> str:
    """A probability for readers, never rounded down to nothing."""
    return "<0.1 %" if 0 < chance < 0.001 else f"{100 * chance:.1f} %"


def shown_name(token: str) -> str:
    """A token whose spaces and line breaks can be seen."""
    return "".join(map(visible, token))


def rows_of(draw: Draw, count: int) -> list[dict]:
    """The `count` likeliest tokens by the model, and one row for all others.

    The token drawn is always among them, if need be in the place of the last.
    """
    top = falling(draw.before)[:count].tolist()
    if draw.winner >= 0 and draw.winner not in top:
        top[-1] = draw.winner
    rows = [
        row_of(id_, shown_name(draw.names[id_]), draw.before[id_], draw.after[id_])
        for id_ in top
    ]
    if others := len(draw.names) - len(top):
        sums = [np.delete(array, top).sum() for array in (draw.before, draw.after)]
        rows.append(row_of(-1, f"{others:,} other{'s' * (others > 1)}", *sums))
    return rows


def row_of(id_: int, name: str, before: float, after: float) -> dict:
    """One row of the page; `after` is 0 for what is cut."""
    told = [percent(before), percent(after) if after else "cut"]
    return {
        "id": id_,
        "name": name,
        "before": float(before),
        "after": float(after),
        "told": told,
    }


def segments_of(draw: Draw) -> list[dict]:
    """The cumulative bar from 0 to 1: tokens by falling chance, the narrow in one.

    The token drawn is a segment of its own, however narrow.
    """
    order = kept(draw.after)
    sums = np.concatenate([[0.0], np.cumsum(draw.after[order])])
    sums /= sums[-1]
    wide = int((np.diff(sums) >= NARROWEST).sum())
    cuts = {*range(wide + 1), len(order)}
    if draw.winner >= 0:
        place = int(np.flatnonzero(order == draw.winner)[0])
        cuts |= {place, place + 1}
    return [
        {
            "id": int(order[low]) if high - low == 1 else -1,
            "name": shown_name(draw.names[order[low]])
            if high - low == 1
            else f"{high - low:,} more",
            "start": float(sums[low]),
            "width": float(sums[high] - sums[low]),
            "told": percent(sums[high] - sums[low]),
        }
        for low, high in pairwise(sorted(cuts))
    ]


def u_in_words(draw: Draw) -> str:
    """The draw to three digits, never rounded up to 1; "" without a draw."""
    return "" if draw.u is None else f"u = {round(min(draw.u, 0.999), 3)}"


def in_words(draw: Draw) -> str:
    """Where u lands, or what is likeliest, and how many tokens are cut."""
    V, cut = len(draw.names), int((draw.after == 0).sum())
    which = int(draw.after.argmax()) if draw.u is None else draw.winner
    name = shown_name(draw.names[which])
    begin = "The likeliest is" if draw.u is None else f"{u_in_words(draw)} lands on"
    lost = f"{cut:,} of {V:,} tokens {'is' if cut == 1 else 'are'} cut"
    return (
        f"{begin} “{name}”: the model gave it {percent(draw.before[which])},"
        f" the settings {percent(draw.after[which])};"
        f" {lost if cut else 'no token is cut'}."
    )


def picture_of_chances(
    names: Sequence[str],
    before: ArrayLike,
    after: ArrayLike,
    title: str,
    u: float | None = None,
) -> Picture:
    """The static twin: the likeliest tokens in bars, and where u lands.

    Its scale is always 0 to 100 %, so that two pictures can be compared by eye. It
    takes what `chances` takes.
    """
    draw = checked(names, before, after, u)
    rows = rows_of(draw, DRAWN_ROWS)
    figure = Figure(figsize=(7, 3.5), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, height_ratios=[len(rows) + 1, 1.9])
    upper.set_title(title, loc="left", fontsize=11, parse_math=False)
    draw_rows(upper, rows, draw.winner)
    draw_bar(lower, draw, figure.get_figwidth())
    told = ", ".join(f"{row['name']} {' → '.join(row['told'])}" for row in rows[:TOLD])
    words = f"{title}. Chances by the model → with the settings: {told}."
    return Picture(figure, f"{words} {in_words(draw)}")


def draw_rows(axes: Axes, rows: list[dict], winner: int) -> None:
    """Each row's chance by the model, dashed, and on it the settings' one, solid."""
    for place, row in enumerate(rows):
        cut, drawn = not row["after"], row["id"] == winner >= 0
        ink = GREY if cut else "black"
        look = {"facecolor": PALE, "edgecolor": COLORS[0], "linestyle": "--"}
        if cut:
            look |= {"facecolor": "#eeeeee", "edgecolor": GREY, "hatch": "//////"}
        axes.barh(place, 100 * row["before"], height=0.8, linewidth=0.8, **look)
        axes.barh(place, 100 * row["after"], height=0.4, color=COLORS[0])
        weight = "bold" if drawn else "normal"
        end = 100 * max(row["before"], row["after"]) + 1
        told = " → ".join(row["told"]) + "  ◂ drawn" * drawn
        style = {"fontsize": 8, "va": "center", "color": ink, "weight": weight}
        axes.text(end, place, told, **style)
        name = row["name"][:LONGEST_NAME]
        axes.text(-1, place, name, ha="right", parse_math=False, **style)
    axes.set(xlim=(0, 130), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    model = Patch(facecolor=PALE, edgecolor=COLORS[0], linestyle="--")
    handles = [model, Patch(color=COLORS[0])]
    axes.legend(handles, ["the model", "the settings"], loc="center right", fontsize=8)


def draw_bar(axes: Axes, draw: Draw, inches: float) -> None:
    """The tokens in a line from 0 to 1, and below it where u lands."""
    for place, part in enumerate(segments_of(draw)):
        drawn = part["id"] == draw.winner >= 0
        look = {"facecolor": STRIPES[place % 2], "zorder": 1}
        if part["id"] < 0:
            look |= {"facecolor": "white", "edgecolor": "#bbbbbb", "hatch": "////"}
        if drawn:
            look |= {"edgecolor": COLORS[1], "linewidth": 2, "zorder": 3}
        axes.barh(0, part["width"], left=part["start"], height=1, **look)
        if part["width"] * inches * POINTS_PER_INCH > 7 * len(part["name"]):
            style = {"weight": "bold" if drawn else "normal", "zorder": 4}
            style |= {"ha": "center", "va": "center", "parse_math": False}
            middle = part["start"] + part["width"] / 2
            axes.text(middle, 0, part["name"], fontsize=8, **style)
    for end, side in ((0, "right"), (1, "left")):
        axes.text(end, 0, f" {end} ", ha=side, va="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(-2.2, 0.6))
    axes.axis("off")
    if draw.u is not None:
        draw_marker(axes, draw)


def draw_marker(axes: Axes, draw: Draw) -> None:
    """A line and a triangle at u, and below them the token it lands on."""
    axes.plot([draw.u] * 2, [-0.75, 0.5], color="black", linewidth=1, zorder=5)
    axes.plot(draw.u, -0.75, "^", color="black", clip_on=False)
    side = "left" if draw.u < 0.2 else "right" if draw.u > 0.8 else "center"
    told = f"{u_in_words(draw)} → {shown_name(draw.names[draw.winner])}"
    style = {"fontsize": 9, "weight": "bold", "parse_math": False}
    axes.text(draw.u, -1.3, told, ha=side, va="top", **style)
