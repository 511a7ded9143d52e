"""The loss curve, as a picture of a finished run and live with a Stop button."""

import asyncio
import html
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

from IPython.display import DisplayHandle, display
from ipywidgets import HTML, Button, Image, VBox

from gpt_lib.views.charts.basic import line_chart
from gpt_lib.views.picture import HtmlPanel, Picture, WidgetWithFallback

SECONDS_BETWEEN_DRAWINGS = 0.4
IMAGE_WIDTH = 672  # CSS pixels
# Lab saves by itself every two minutes, also in the middle of a run.
UNFINISHED = "Training was in progress when this was saved: run the cell again."


class LossRecord(Protocol):
    """What a curve needs to know of one record of a trainer."""

    step: int
    batch_loss: float
    train_estimate: float | None
    validation_estimate: float | None
    tokens_per_second: float
    seconds_left: float


def loss_curve(
    history: Sequence[LossRecord],
    lines: Mapping[str, float] | None = None,
    title: str = "Loss while training",
) -> Picture:
    """The losses of a run, over lines to compare with.

    Args:
        history: the trainer's records; those without an estimate add only a batch loss.
        lines: name -> loss in nats a token, such as ln V.
        title: what the run was.
    """
    points = {"this batch": [(record.step, record.batch_loss) for record in history]}
    for name in ("train", "validation"):
        estimates = [(r.step, getattr(r, f"{name}_estimate")) for r in history]
        points[f"{name}, estimated"] = [(x, y) for x, y in estimates if y is not None]
    series = {
        name: ([x for x, _ in pairs], [y for _, y in pairs])
        for name, pairs in points.items()
        if pairs
    }
    labels = "training step", "loss (nats a token)"
    return line_chart(series, title, *labels, lines, faint=["this batch"])


async def train_and_plot(
    records: Generator[LossRecord, None, None],
    lines: Mapping[str, float] | None = None,
    title: str = "Loss while training",
) -> list[LossRecord]:
    """Run a training while drawing its curve; Stop, or Lab's ■, ends it cleanly.

    Await it, because only a cell that awaits receives clicks:
    `history = await train_and_plot(train(...))`.

    Args:
        records: the trainer; it is closed when stopped.
        lines: as for `loss_curve`.
        title: as for `loss_curve`.

    Returns:
        Every record up to the end, or to the stop.
    """
    history: list[LossRecord] = []
    live = LiveCurve(lines, title)
    ending = "failed"
    try:
        for record in records:
            history.append(record)
            live.show(history)
            await asyncio.sleep(0)  # clicks arrive here
            if live.stopped:
                ending = "stopped by you"
                break
        else:
            ending = "finished"
    except (KeyboardInterrupt, asyncio.CancelledError):  # Lab's ■
        ending = "interrupted by you"
    finally:
        records.close()
        live.finish(history, ending)
    return history


class LiveCurve:
    """The widget behind `train_and_plot`: a Stop button, a status line, a picture."""

    def __init__(self, lines: Mapping[str, float] | None, title: str) -> None:
        self.lines, self.title = lines, title
        self.stopped, self.drawn_at = False, time.monotonic()
        self.button = Button(description="Stop training", icon="stop")
        self.button.on_click(self.stop)
        self.status = HTML("starting")
        self.image = Image(format="png", width=IMAGE_WIDTH)
        self.status.add_class("gpt-status")
        self.box = VBox([self.button, self.status, self.image])
        view = WidgetWithFallback(
            self.box, HtmlPanel(f"<p>{UNFINISHED}</p>", UNFINISHED)
        )
        self.handle: DisplayHandle = display(view, display_id=True)

    def stop(self, _: Button) -> None:
        """End the run after the record in progress."""
        self.stopped = True
        self.button.disabled = True

    def show(self, history: Sequence[LossRecord]) -> None:
        """Draw the newest record, if the last drawing is old enough."""
        if time.monotonic() - self.drawn_at < SECONDS_BETWEEN_DRAWINGS:
            return
        self.status.value = html.escape(describe_progress(history[-1]))
        self.image.value = loss_curve(history, self.lines, self.title).png
        self.drawn_at = time.monotonic()

    def finish(self, history: Sequence[LossRecord], ending: str) -> None:
        """Replace the widget by a picture of the whole run, which a notebook saves."""
        if not history:
            status = f"{ending} before the first step"
            self.handle.update(HtmlPanel(f"<p>{status}</p>", status))
        else:
            status = f"{ending} at {describe_progress(history[-1])}"
            picture = loss_curve(history, self.lines, self.title)
            page = f'<p class="gpt-status">{html.escape(status)}</p>{picture.html}'
            self.handle.update(HtmlPanel(page, f"{status}\n{picture.description}"))
        for widget in (*self.box.children, self.box):
            widget.close()


def describe_progress(record: LossRecord) -> str:
    """One line about a record: step, loss, speed, and the time left if there is any."""
    speed = f"{record.tokens_per_second:,.0f} tokens/s"
    line = f"step {record.step} · loss {record.batch_loss:.3f} · {speed}"
    seconds = record.seconds_left
    return f"{line} · {seconds:.0f} s left" if seconds > 0 else line
