"""One writer at work: its settings, its text, and what stands behind each token."""

import html
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ipywidgets import HTML, Box, Dropdown, HBox, VBox
from numpy.typing import ArrayLike

from gpt_lib.playground.notebook.branches import (
    Path,
    branches,
    forking,
    log_chance,
    shown,
)
from gpt_lib.views.controls import Controls
from gpt_lib.views.tokens.next_token import ChancesWidget
from gpt_lib.views.tokens.tokens_text import TokensWidget
from gpt_lib.views.tokens.tree import TreeWidget

SHOWN_BEFORE = 16  # characters of the text before a place, in its title


class Writer(Protocol):
    """A model with its tokenizer, of V tokens. `settings` are those of `Controls`."""

    tokens: Sequence[str]

    def encode(self, text: str) -> list[int]:
        """Ids of a text; a ValueError says what cannot be read."""

    def logits(self, ids: Sequence[int]) -> ArrayLike:
        """What the model says after ids: (V,)."""

    def chances(
        self, logits: ArrayLike, ids: Sequence[int], **settings: float
    ) -> ArrayLike:
        """Logits (V,) after ids -> chances (V,) under the settings."""

    def luck(self, seed: int, place: int) -> float:
        """The random number that decides the token at a place."""

    def stream(
        self,
        ids: Sequence[int],
        length: int,
        seed: int,
        skip: int,
        stop: str,
        **settings: float,
    ) -> Iterator[tuple[int, float]]:
        """Ids after ids, each with the model's own chance of it."""


class Request(NamedTuple):
    """What all lanes are asked."""

    prompt: str
    length: int
    seed: int
    stop: str


class Lane:
    """A column of the workbench.

    Args:
        writers: name -> writer, in the order of the picker.
        name: the first writer.
        lock: held while a model runs and while the page is written to.
        request: what the reader asks for at this moment.
        begin: called with this lane and a number of tokens to write.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        name: str,
        lock: threading.RLock,
        request: Callable[[], Request],
        begin: Callable[["Lane", int], None],
    ) -> None:
        self.writers, self.lock = dict(writers), lock
        self.request, self.begin = request, begin
        self.forget()
        self.picker = Dropdown(
            options=list(writers),
            value=name,
            description="Model",
            style={"description_width": "60px"},
        )
        self.controls = Controls(max(len(w.tokens) for w in writers.values()))
        self.status = HTML("ready")
        self.text = TokensWidget(label="Text")
        self.chances = ChancesWidget(pick_label="go on with")
        self.chances.clear(
            "Generate, or move a slider, to see the next token's chances."
        )
        self.tree = TreeWidget(
            title="Branches, each with the sum of its log-chances so far"
        )
        self.connect()
        self.box = self.lay_out()

    def connect(self) -> None:
        """What happens on a click, a key, or a moved slider."""
        self.picker.observe(lambda _: self.switched(), "value")
        self.controls.on_change(self.explain)
        self.text.observe(lambda _: self.explain(), "selected")
        self.chances.on_pick(self.branch)
        self.tree.on_pick(self.walk_to)

    def lay_out(self) -> VBox:
        """The column; its parts wrap where it is narrow."""
        self.status.add_class("gpt-status")
        self.chances.layout = {"flex": "1 1 380px", "min_width": "0"}
        self.tree.layout.display = "none"
        both = Box(
            [self.controls.box, self.chances],
            layout={"flex_flow": "row wrap", "grid_gap": "8px 20px"},
        )
        head = HBox([self.picker, self.status])
        for asking in (head, both, self.tree):
            asking.add_class("gpt-ask")  # switched off when the kernel is gone
        box = VBox([head, self.text, both, self.tree])
        box.layout = {"flex": "1 1 400px", "min_width": "0"}
        box.add_class("gpt-lane")
        return box

    # The text

    def forget(self) -> None:
        """Have no text."""
        self.paths: list[Path] = []
        self.through: list[list[int]] = []  # of each node of the tree: its texts
        self.current = 0
        self.writer: Writer | None = None  # who wrote the text, not who is picked
        self.asked: dict[str, Any] = {}
        self.prompt_ids: list[int] = []
        self.behind: tuple[tuple, ArrayLike] | None = None  # logits of one place

    @property
    def path(self) -> Path:
        """The text on the page."""
        return self.paths[self.current]

    def start(self, prompt: str) -> None:
        """An empty text by the writer that is picked, or a ValueError."""
        writer, request = self.writers[self.picker.value], self.request()
        prompt_ids = writer.encode(prompt)
        if not prompt_ids:
            raise ValueError("the prompt is empty: give at least one token")
        self.forget()
        self.writer, self.prompt_ids, self.paths = writer, prompt_ids, [Path()]
        self.asked = {
            "model": self.picker.value,
            "prompt": prompt,
            "seed": request.seed,
            "stop": request.stop,
        }
        self.text.label = f"Text by {self.picker.value}"
        self.show_text()
        self.show_tree()

    def resume(self) -> None:
        """Go on; another writer takes all that stands there as its prompt."""
        if not self.paths:
            self.start(self.request().prompt)
        elif self.picker.value != self.asked["model"]:
            self.start(self.asked["prompt"] + self.written())

    def stream(self, length: int) -> Iterator[tuple[int, float]]:
        """The next tokens of the current text, with the settings as they are now."""
        self.path.use(self.controls.settings)
        return self.writer.stream(
            self.prompt_ids + self.path.ids,
            length,
            seed=self.asked["seed"],
            skip=len(self.path.ids),
            stop=self.asked["stop"],
            **self.controls.settings,
        )

    def written(self, path: Path | None = None, start: int = 0) -> str:
        """The text of a path, from its token `start` on."""
        ids = (path or self.path).ids[start:]
        return "".join(self.writer.tokens[id] for id in ids)

    def show_text(self) -> None:
        """Put the current text on the page."""
        tokens = [self.writer.tokens[id] for id in self.path.ids]
        self.text.show(self.asked["prompt"], tokens, self.path.chances)

    def say(self, words: str) -> None:
        """Put words into the status line."""
        self.status.value = html.escape(words)

    def writing(self) -> None:
        """Tokens are about to come."""
        self.text.writing, self.text.selected = True, -1
        self.say(f"{self.asked['model']} is writing")

    def finish(self, words: str) -> None:
        """No more tokens come for now; the next one is ready to be looked at."""
        if self.path.chances:
            nats = -log_chance(self.path.chances) / len(self.path.chances)
            words += f", {nats:.2f} nats a token"
        name = re.sub(r"\W+", "-", self.asked["model"]).strip("-")
        with self.text.hold_sync():  # one message: a text at rest lacks no token
            self.show_text()
            self.text.record = f"{json.dumps(self.told())}\n\n{self.full_text()}\n"
            self.text.filename = f"{name}-seed-{self.asked['seed']}.txt"
            self.text.writing = False
        self.say(words)
        self.show_tree()
        if self.text.selected < 0:
            self.text.selected = len(self.path.ids)

    def told(self) -> dict[str, Any]:
        """Who wrote the text, and how: enough to write it again."""
        used = self.path.settings
        told = {**self.asked, "picked by hand": self.path.picked}
        told["settings"] = next(reversed(used.values()), {})
        if len(used) > 1:
            told["settings from token"] = {at + 1: each for at, each in used.items()}
        return told

    def full_text(self) -> str:
        """Prompt and text."""
        return self.asked["prompt"] + self.written()

    def switched(self) -> None:
        """Another model was picked: it changes nothing that stands there."""
        if self.paths and self.picker.value != self.asked["model"]:
            self.say(
                f"{self.asked['model']} wrote this; {self.picker.value} writes from the"
                " next Generate or Continue on"
            )

    # Behind a token

    def explain(self) -> None:
        """Show the chances at the selected place, before and after the settings.

        The model runs only for a new place: a slider reshapes the logits at hand.
        """
        with self.lock:
            try:
                if not self.paths:
                    self.start(self.request().prompt)
                    self.text.selected = 0  # which brings us here again
                elif self.text.selected >= 0:
                    self.show_chances(min(self.text.selected, len(self.path.ids)))
                elif not self.text.writing:
                    self.chances.clear("Select a token: what else could stand there?")
            except ValueError as error:
                self.say(str(error))
            except Exception as error:
                self.say(f"{type(error).__name__}: {error}")

    def show_chances(self, place: int) -> None:
        """What stood to choice at a place of the current text."""
        writer, ids = self.writer, self.prompt_ids + self.path.ids[:place]
        logits = self.logits_after(ids)
        self.chances.show(
            writer.tokens,
            writer.chances(logits, ids),
            writer.chances(logits, ids, **self.controls.settings),
            writer.luck(self.asked["seed"], place),
            self.title_of(place),
        )

    def logits_after(self, ids: list[int]) -> ArrayLike:
        """The model's logits, kept until another place is asked for."""
        if self.behind is None or self.behind[0] != tuple(ids):
            self.behind = tuple(ids), self.writer.logits(ids)
        return self.behind[1]

    def title_of(self, place: int) -> str:
        """Which place, after what, and what stands there."""
        before = (self.asked["prompt"] + self.written(Path(self.path.ids[:place])))[
            -SHOWN_BEFORE:
        ]
        where = f"Token {place + 1}, after “{shown(before)}”"
        if place == len(self.path.ids):
            return f"{where}: the next one"
        return (
            f"{where}: “{shown(self.writer.tokens[self.path.ids[place]])}” was written"
        )

    def branch(self, id: int) -> None:
        """Put another token at the selected place, and let the rest be written anew.

        At the end of the text nothing follows: so one can write by hand.
        """
        with self.lock:
            old, place = self.path, self.text.selected
            if not 0 <= place <= len(old.ids) or old.ids[place : place + 1] == [id]:
                return
            before = self.prompt_ids + old.ids[:place]
            own = self.writer.chances(self.logits_after(before), before)
            chance = float(own[id])
            rest = len(old.ids) - place - 1
            path = old.until(place)
            path.ids.append(id)
            path.chances.append(chance)
            path.picked.append(place)
            if rest < 0:  # nothing is lost, so nothing branches
                self.paths[self.current] = path
            else:
                self.current = len(self.paths)
                self.paths.append(path)
            self.begin(self, max(0, rest))

    def walk_to(self, index: int) -> None:
        """Put a text that runs through a node of the tree on the page."""
        with self.lock:
            if self.text.writing:
                self.say("Stop first, then walk to another branch")
                return
            runs_through = self.through[index]
            if self.current not in runs_through:
                self.current = runs_through[0]
            self.text.selected = -1
            self.finish(f"text {self.current + 1} of {len(self.paths)}")

    def show_tree(self) -> None:
        """The texts as one tree, which forks where they do; one text is no tree."""
        several = len(self.paths) > 1
        nodes, self.through = (
            branches(self.paths, self.writer.tokens, self.asked["prompt"])
            if several
            else ([], [])
        )
        ends = [at for at, texts in enumerate(self.through) if self.current in texts]
        self.tree.show(nodes, ends[-1] if several else None)
        self.tree.layout.display = "" if several else "none"
        others = (path for path in self.paths if path is not self.path)
        self.text.forks = sorted({forking(self.path.ids, path.ids) for path in others})
