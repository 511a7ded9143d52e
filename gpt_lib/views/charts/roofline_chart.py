"""The roofline: what a machine can reach at best, and what operators reach of it."""

from collections.abc import Mapping

import numpy as np

from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.picture import Picture, new_figure_and_axes

MARKERS = "osD^vPX*"
GIGA = 1e9


def roofline_chart(
    flops: float,
    bandwidth: float,
    work: Mapping[str, tuple[float, float]],
    title: str,
) -> Picture:
    """The roofline over arithmetic intensity, and a mark under it for each operator.

    Args:
        flops: floating-point operations a second, at most.
        bandwidth: bytes a second, at most.
        work: name -> (operations a byte moved, operations a second reached).
        title: what machine this is.

    Source: Williams, Waterman, Patterson (2009), "Roofline".
    """
    figure, axes = new_figure_and_axes(7, 3.6)
    ridge = flops / bandwidth
    intensities = [ridge, *(intensity for intensity, _ in work.values())]
    x = np.geomspace(min(intensities) / 3, max(intensities) * 3, 200)
    attainable = np.minimum(flops, bandwidth * x) / GIGA
    axes.loglog(x, attainable, color="#444444", linewidth=1.8, label="the roof")
    parts = []
    for index, (name, (intensity, reached)) in enumerate(work.items()):
        fraction = reached / min(flops, bandwidth * intensity)
        axes.loglog(
            intensity,
            reached / GIGA,
            MARKERS[index % len(MARKERS)],
            color=COLORS[index % len(COLORS)],
            label=f"{name}: {fraction:.0%}",
        )
        parts.append(f"{name} {reached / GIGA:.3g} GFLOP/s, {fraction:.0%} of its roof")
    axes.set(xlabel="operations for each byte moved", ylabel="GFLOP a second")
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(fontsize=9, framealpha=1, edgecolor="white", loc="lower right")
    heading = (
        f"{title}. Roofline: {bandwidth / GIGA:.3g} GB/s on the left of {ridge:.3g}"
        f" operations a byte, {flops / GIGA:.3g} GFLOP/s on the right"
    )
    return Picture(figure, f"{heading}. {'; '.join(parts)}.")
