"""The complete playground: write, look behind each token, branch, and compare."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ipywidgets import (
    BoundedIntText,
    Box,
    Button,
    HBox,
    IntSlider,
    Text,
    Textarea,
    ToggleButton,
    VBox,
)

from gpt_lib.playground.notebook.column import Lane, Request, Writer
from gpt_lib.playground.notebook.playground import (
    MAX_LENGTH,
    SECONDS_BETWEEN_FLUSHES,
    twin_of,
)
from gpt_lib.views.accessible import form
from gpt_lib.views.controls import link
from gpt_lib.views.picture import Picture, View


@dataclass(eq=False)
class Task:
    """The tokens that one lane waits for."""

    lane: Lane
    stream: Iterator[tuple[int, float]]
    count: int = 0
    ending: str = ""  # "done" or "failed", once it has ended
    error: str = ""  # why it failed


@dataclass(eq=False)
class Job:
    """What one press of a button set going."""

    tasks: list[Task]
    stop: threading.Event = field(default_factory=threading.Event)
    begun: float = field(default_factory=time.monotonic)


class Workbench(View):
    """Generate, stop, continue; click a token to see its chances, pick another one.

    Sliders reshape the chances at once, and `u`, the random number that decides the
    token, stays. Compare puts a second writer, or the same with other settings, beside.

    Args:
        writers: name -> writer, in the order of the picker.
        prompt: the first prompt.
        sample: text to show where no kernel runs, such as one real generation.
        picture: what to show there below the text, such as the chances behind a token.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        prompt: str = "\n",
        sample: str = "",
        picture: Picture | None = None,
    ) -> None:
        if not writers:
            raise ValueError("the workbench needs at least one writer")
        # Held by whoever runs a model or writes to the page; a trait that is set may
        # call back into the same thread, so it can be taken twice.
        self.lock = threading.RLock()
        self.job: Job | None = None
        names = list(writers)
        self.lanes = [
            Lane(writers, name, self.lock, self.request, self.begin)
            for name in (names[0], names[min(1, len(names) - 1)])
        ]
        self.build_controls(prompt)
        super().__init__(self.lay_out(), twin_of(names, prompt, sample, picture))

    def build_controls(self, prompt: str) -> None:
        """What both lanes share."""
        wide = {"description_width": "70px"}
        # Sent whole when left: letter by letter, Generate can overtake what was typed.
        whole = {"continuous_update": False}
        self.prompt = Textarea(
            value=prompt, description="Prompt", rows=2, style=wide, **whole
        )
        self.length = IntSlider(
            300, 1, MAX_LENGTH, description="Length", readout=False, style=wide
        )
        self.length_box = BoundedIntText(
            300, 1, MAX_LENGTH, tooltip="Length", layout={"width": "80px"}
        )
        self.seed = BoundedIntText(
            1, 0, 2**31 - 1, description="Seed", layout={"width": "170px"}
        )
        self.stop_at = Text(
            description="Stop at",
            placeholder="such as ↵↵",
            tooltip="the text ends when it has written this; ↵ is a new line",
            layout={"width": "190px"},
            **whole,
        )
        self.generate_button = Button(
            description="Generate", icon="play", button_style="primary"
        )
        self.stop_button = Button(description="Stop", icon="stop", disabled=True)
        self.continue_button = Button(
            description="Continue", icon="forward", disabled=True
        )
        self.compare = ToggleButton(
            description="Compare", icon="columns", tooltip="a second text beside"
        )
        self.generate_button.on_click(lambda _: self.generate())
        self.continue_button.on_click(lambda _: self.resume())
        self.stop_button.on_click(lambda _: self.halt())
        self.compare.observe(lambda _: self.show_lanes(), "value")

    def lay_out(self) -> VBox:
        """Shared controls above, the lanes side by side below."""
        link(self.length, self.length_box)
        self.prompt.layout.width = "min(640px, 98%)"
        buttons = [self.generate_button, self.stop_button, self.continue_button]
        self.columns = Box(
            layout={"flex_flow": "row wrap", "grid_gap": "12px 24px", "width": "100%"}
        )
        self.show_lanes()
        settings = [self.length, self.length_box, self.seed, self.stop_at]
        rows = [
            self.prompt,
            Box(settings, layout={"flex_flow": "row wrap"}),
            HBox([*buttons, self.compare]),
        ]
        asked = VBox(rows)
        asked.add_class("gpt-ask")  # switched off when the kernel is gone
        box = form(VBox([asked, self.columns]))
        box.add_class("gpt-workbench")
        return box

    def show_lanes(self) -> None:
        """One lane, or two."""
        with self.lock:
            self.columns.children = [lane.box for lane in self.in_use()]

    def in_use(self) -> list[Lane]:
        """The lanes on the page."""
        return self.lanes[: 1 + self.compare.value]

    def request(self) -> Request:
        """What the reader asks for, as it stands on the page."""
        stop = self.stop_at.value.replace("↵", "\n")
        return Request(self.prompt.value, self.length.value, self.seed.value, stop)

    # Buttons

    def generate(self) -> None:
        """Begin anew in every lane on the page."""
        self.halt()
        with self.lock:
            lanes = [lane for lane in self.in_use() if self.ready(lane, anew=True)]
            self.run(lanes, self.length.value)

    def resume(self) -> None:
        """Go on where each text ends, with the settings as they are now."""
        self.halt()
        with self.lock:
            lanes = [lane for lane in self.in_use() if self.ready(lane, anew=False)]
            self.run(lanes, self.length.value)

    def ready(self, lane: Lane, anew: bool) -> bool:
        """Prepare a lane; what it cannot read is said in its status line."""
        try:
            lane.start(self.prompt.value) if anew else lane.resume()
        except ValueError as error:
            lane.say(str(error))
            return False
        return True

    def halt(self) -> None:
        """Ask the job in progress to stop."""
        if self.job:
            self.job.stop.set()

    def begin(self, lane: Lane, length: int) -> None:
        """Let one lane write on: it was given another token."""
        self.halt()
        self.run([lane], length)

    # The job

    def run(self, lanes: list[Lane], length: int) -> None:
        """Replace the job in progress, which can write no more from here on."""
        tasks = [Task(lane, lane.stream(length)) for lane in lanes]
        self.end(self.job)
        self.job = Job(tasks)
        for lane in lanes:
            lane.writing()
        self.stop_button.disabled, self.continue_button.disabled = not tasks, True
        threading.Thread(target=self.write, args=[self.job], daemon=True).start()

    def write(self, job: Job) -> None:
        """Let the lanes write in turns, in a thread of its own, until all ended."""
        shown = 0.0
        while self.step(job):
            if time.monotonic() - shown > SECONDS_BETWEEN_FLUSHES:
                self.show(job)
                shown = time.monotonic()
                time.sleep(0.001)  # so that whoever waits for the lock gets it
        with self.lock:
            if job is self.job:
                self.end(job)

    def step(self, job: Job) -> bool:
        """One more token in each lane; False when there is nothing more to do."""
        with self.lock:
            if job is not self.job or job.stop.is_set():
                return False
            for task in job.tasks:
                if not task.ending:
                    advance(task)
            return not all(task.ending for task in job.tasks)

    def show(self, job: Job) -> None:
        """Put what was written so far on the page, unless a newer job owns it."""
        with self.lock:
            if job is self.job:
                for task in job.tasks:
                    task.lane.show_text()

    def end(self, job: Job | None) -> None:
        """Say in every lane how it ended, once."""
        if job is None or not any(task.lane.text.writing for task in job.tasks):
            return
        seconds = max(time.monotonic() - job.begun, 1e-9)
        for task in job.tasks:
            speed = f"{task.count} tokens, {task.count / seconds:,.0f} tokens/s"
            task.lane.finish(task.error or f"{task.ending or 'stopped'}: {speed}")
        self.stop_button.disabled, self.continue_button.disabled = True, False


def advance(task: Task) -> None:
    """Add one token to the text of a task's lane, or note why there is none."""
    try:
        for id, chance in task.stream:
            task.lane.path.ids.append(id)
            task.lane.path.chances.append(chance)
            task.count += 1
            return
        task.ending = "done"
    except ValueError as error:
        task.ending, task.error = "failed", str(error)
    except Exception as error:
        task.ending, task.error = "failed", f"{type(error).__name__}: {error}"
