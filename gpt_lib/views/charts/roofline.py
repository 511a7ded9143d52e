"""The roofline: what a machine can do at best, and what pieces of work get of it."""

from collections.abc import Mapping

import numpy as np

from gpt_lib.views.charts.basic import COLORS
from gpt_lib.views.picture import Picture, new_figure

MARKS = "osD^vPX*"
GIGA = 1e9


def roofline(
    flops: float,
    bandwidth: float,
    work: Mapping[str, tuple[float, float]],
    title: str,
) -> Picture:
    """The roof over arithmetic intensity, and a mark for each piece of work under it.

    Args:
        flops: floating-point operations a second, at most.
        bandwidth: bytes a second, at most.
        work: name -> (operations a byte moved, operations a second reached).
        title: what machine this is.

    Source: Williams, Waterman, Patterson (2009), "Roofline".
    """
    figure, axes = new_figure(7, 3.6)
    ridge = flops / bandwidth
    places = [intensity for intensity, _ in work.values()]
    reach = np.geomspace(min([*places, ridge]) / 3, max([*places, ridge]) * 3, 200)
    roof = np.minimum(flops, bandwidth * reach) / GIGA
    axes.loglog(reach, roof, color="#444444", linewidth=1.8, label="the roof")
    words = []
    for index, (name, (intensity, reached)) in enumerate(work.items()):
        share = reached / min(flops, bandwidth * intensity)
        axes.loglog(
            intensity,
            reached / GIGA,
            MARKS[index % len(MARKS)],
            color=COLORS[index % len(COLORS)],
            label=f"{name}: {share:.0%}",
        )
        words.append(f"{name} {reached / GIGA:.3g} GFLOP/s, {share:.0%} of its roof")
    axes.set(xlabel="operations for each byte moved", ylabel="GFLOP a second")
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(fontsize=9, framealpha=1, edgecolor="white", loc="lower right")
    told = (
        f"{title}. Roofline: {bandwidth / GIGA:.3g} GB/s on the left of {ridge:.3g}"
        f" operations a byte, {flops / GIGA:.3g} GFLOP/s on the right"
    )
    return Picture(figure, f"{told}. {'; '.join(words)}.")
