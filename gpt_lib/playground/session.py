"""What the playground remembers, and how it writes; nothing here shows anything.

A `Session` has a `Plan` for the next text. A `Run` is one press of Enter: it writes the
`Lane`s, maybe in a thread, while others look at them.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from gpt_lib.playground.messages import in_words, told

if TYPE_CHECKING:
    from gpt_lib.generation import Writer

RANGES = {"length": (1, 10_000), "seed": (0, 2**31 - 1)}


@dataclass(frozen=True)
class Plan:
    """How the next text is to be written; a change makes a new plan."""

    models: tuple[str, ...]  # one, or two to compare
    seed: int = 1  # of a text's luck
    length: int = 300  # tokens to write at a time
    settings: Mapping[str, float] = field(default_factory=dict)  # those not neutral

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                given = f"{name} is {getattr(self, name)}"
                raise ValueError(f"{given}; it must be from {low} to {high:,}")


class Lane:
    """One running text by one writer; place and seed decide its luck, so it can go on.

    Raises:
        ValueError: the writer cannot read the prompt, and why.
    """

    def __init__(self, model: str, writer: "Writer", prompt: str, seed: int) -> None:
        self.model, self.writer = model, writer
        self.prompt, self.seed = prompt, seed
        try:
            self.prompt_ids = writer.encode(prompt)
        except ValueError as error:
            raise ValueError(f"{model} cannot read this: {error}") from error
        self.ids: list[int] = []
        self.nats: list[float] = []  # the model's own surprise at each id
        self.settings: Mapping[str, float] = {}  # the latest

    @property
    def text(self) -> str:
        """The prompt, and what was written after it."""
        return self.prompt + "".join(self.writer.tokens[id] for id in self.ids)

    @property
    def title(self) -> str:
        """Who writes, and how."""
        return f"{self.model} · {in_words(self.settings)} · seed {self.seed}"

    def write(self, length: int, settings: Mapping[str, float]) -> Iterator[None]:
        """Write `length` more tokens, one a step."""
        self.settings = settings
        ids, skip = self.prompt_ids + self.ids, len(self.ids)
        for id, chance in self.writer.stream(
            ids, length, seed=self.seed, skip=skip, **settings
        ):
            self.ids.append(id)
            self.nats.append(-math.log(max(chance, 1e-30)))
            yield


class Run:
    """One press of Enter: what was asked for then, and how far it is.

    Args:
        session: whose texts it writes.
        prompt: of a new text; None goes on with the one that stands.
        length: tokens to write.
    """

    def __init__(self, session: "Session", prompt: str | None, length: int) -> None:
        self.session, self.prompt, self.length = session, prompt, length
        self.plan = session.plan
        self.lanes: list[Lane] = []  # once it writes
        self.stop = threading.Event()
        self.over, self.error = False, ""
        self.count, self.seconds = 0, 0.0

    @property
    def state(self) -> str:
        """How far it is, in a word."""
        if self.over and self.error:
            return "failed"
        if self.stop.is_set():
            return "stopped" if self.over else "stopping"
        if self.over:
            return "done"
        return "writing" if self.lanes else "waiting"

    def steps(self) -> Iterator[None]:
        """Do it, a token of each lane at a time; a failure is told in `error`."""
        try:
            for name in self.plan.models:
                if not self.stop.is_set():
                    yield from self.session.load(name)
            if not self.stop.is_set():
                yield from self.write()
        except Exception as error:
            self.error = told(error)
        finally:
            self.over = True

    def write(self) -> Iterator[None]:
        """Let the lanes write in turns, so that they stop at the same place."""
        self.lanes = self.session.lanes = self.choose_lanes()
        begun, goal = time.monotonic(), len(self.lanes[0].ids) + self.length
        # A lane that joined late has more to write.
        streams = [
            lane.write(max(self.length, goal - len(lane.ids)), self.plan.settings)
            for lane in self.lanes
        ]
        for _ in zip_longest(*streams):
            self.count, self.seconds = self.count + 1, time.monotonic() - begun
            yield
            if self.stop.is_set():
                return

    def choose_lanes(self) -> list[Lane]:
        """New texts, or those that stand; to another model, a text is its prompt."""
        prompt, seed, known = self.prompt, self.plan.seed, {}
        if prompt is None:
            first = self.session.lanes[0]
            prompt, seed = first.text, first.seed
            if first.model == self.plan.models[0]:
                prompt = first.prompt  # also for a second model, which joins
                known = {lane.model: lane for lane in self.session.lanes}
        writers = self.session.writers
        return [
            known.get(name) or Lane(name, writers[name], prompt, seed)
            for name in self.plan.models
        ]


class Session:
    """The playground's state: what there is to write with, the plan, the texts."""

    def __init__(
        self, loaders: Mapping[str, Callable[[], "Writer"]], plan: Plan
    ) -> None:
        self.loaders, self.plan = loaders, plan
        self.writers: dict[str, Writer] = {}  # what was loaded
        self.loading = ""  # what is being loaded
        self.lanes: list[Lane] = []  # the text that stands, or two
        self.run: Run | None = None  # the latest
        self.pressed = -math.inf  # when Ctrl-C was

    @property
    def busy(self) -> bool:
        """Whether something is being written and was not told to stop."""
        return bool(self.run and not self.run.over and not self.run.stop.is_set())

    def change(self, **what: object) -> None:
        """Change the plan; a ValueError leaves it as it is."""
        self.plan = replace(self.plan, **what)

    def load(self, name: str) -> Iterator[None]:
        """Have a writer at hand, once; a step before it, so that one can say so."""
        if name not in self.writers:
            self.loading = name
            try:
                yield
                self.writers[name] = self.loaders[name]()
            finally:
                self.loading = ""

    def begin(self, prompt: str | None = None, length: int | None = None) -> Run:
        """The run that replaces the one in progress; without a prompt, it goes on."""
        self.halt()
        if prompt is None and not self.lanes:
            prompt = "\n"
        self.run = Run(self, prompt, self.plan.length if length is None else length)
        return self.run

    def halt(self) -> None:
        """Ask the run in progress to stop."""
        if self.run:
            self.run.stop.set()

    def status(self) -> str:
        """The status line."""
        plan, run = self.plan, self.run
        state = f"loading {self.loading}" if self.loading else run and run.state
        parts = [state or "ready", " | ".join(plan.models), in_words(plan.settings)]
        parts.append(f"seed {plan.seed}")
        if run and run.count:
            parts.append(f"{run.count / max(run.seconds, 1e-9):,.0f} tokens/s")
        means = [sum(lane.nats) / len(lane.nats) for lane in self.lanes if lane.nats]
        if means:
            parts.append(f"{' | '.join(f'{nats:.2f}' for nats in means)} nats a token")
        return " · ".join(parts)
