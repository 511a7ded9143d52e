"""One session of writing with text generators. Every face drives it; it shows nothing.

`GenerationOptions` say how the next text is to be written. A `Run` is one press of a
button or of Enter: `Run.steps` loads what is missing, then writes a token of each
`GeneratedText` in a step, in the thread that iterates over it. `GeneratedText.lock` is
held while a token is written; so it is by others who run the model or change the text.

Random number n of a text's seed decides its token n. So a text that was stopped and
continued is the text that never stopped.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gpt_lib.playground.branches import Branch, joint_log_probability
from gpt_lib.playground.messages import error_text
from gpt_lib.playground.settings import (
    LENGTH_SETTING,
    SEED_SETTING,
    check_setting,
    describe_changed_settings,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gpt_lib.generation import TextGenerator
    from gpt_lib.text import TextDecoder


@dataclass(frozen=True)
class GenerationOptions:
    """How the next text is to be written; a change makes a new plan."""

    models: tuple[str, ...]  # one for each text that is written at a time
    seed: int = 1  # of a text's random numbers
    length: int = 300  # tokens to write at a time
    stop: str = ""  # a text ends once it has written this
    # Of each model; the last one holds for all models that follow.
    settings: tuple[Mapping[str, float], ...] = ({},)

    def __post_init__(self) -> None:
        check_setting(SEED_SETTING, self.seed)
        check_setting(LENGTH_SETTING, self.length)

    def settings_of(self, index: int) -> Mapping[str, float]:
        """The settings of the model at an index."""
        return self.settings[min(index, len(self.settings) - 1)]


class NextTokenDistribution(NamedTuple):
    """What can stand at a position of a text."""

    probabilities: "ArrayLike"  # (V,), the model's own
    reshaped: "ArrayLike"  # (V,), by the settings
    u: float  # the random number that decides


class GeneratedText:
    """A prompt, and what one text generator wrote after it, on one or more branches.

    Args:
        model: the name of the text generator.
        text_generator: writes.
        prompt: what the text begins with.
        seed: of its random numbers: number n decides token n.
        stop: the text ends, for now, once it has written this; empty: it does not.
        lock: all texts of one model share it; by default, the text has its own.

    Raises:
        ValueError: the text generator cannot encode the prompt, and why.
    """

    def __init__(
        self,
        model: str,
        text_generator: "TextGenerator",
        prompt: str,
        seed: int,
        stop: str = "",
        lock: "threading.RLock | None" = None,
    ) -> None:
        self.model, self.text_generator = model, text_generator
        self.lock = lock or threading.RLock()
        self.prompt, self.seed, self.stop = prompt, seed, stop
        try:
            self.prompt_ids = text_generator.encode(prompt)
        except ValueError as error:
            raise ValueError(f"{model} cannot read this: {error}") from error
        if not self.prompt_ids:
            raise ValueError("the prompt is empty: give at least one token")
        self.branches = [Branch()]
        self.select_branch(0)
        self.cached: tuple[list[int], ArrayLike] | None = None  # ids, their logits

    @property
    def branch(self) -> Branch:
        """The branch that is read and goes on."""
        return self.branches[self.current]

    @property
    def text(self) -> str:
        """The prompt and the whole characters that follow it."""
        return self.prompt + "".join(self.branch.pieces)

    @property
    def title(self) -> str:
        """Who writes, with which settings and seed."""
        settings = describe_changed_settings(self.branch.latest_settings)
        return f"{self.model} · {settings} · seed {self.seed}"

    @property
    def mean_surprisal(self) -> float | None:
        """The mean nats a token, by the model itself; None of a text without tokens."""
        total = -joint_log_probability(self.branch.probabilities)
        return total / len(self.branch.ids) if self.branch.ids else None

    def count_generated_tokens(self) -> int:
        """The tokens on the current branch, once that in the making is there."""
        with self.lock:
            return len(self.branch.ids)

    def select_branch(self, index: int) -> None:
        """Read and go on with another branch."""
        self.current = index
        self.decoder = new_decoder(self.text_generator)
        for id in self.branch.ids:
            self.decoder.feed(id)

    def append(self, id: int, probability: float) -> None:
        """Add a token to the current branch."""
        piece = self.decoder.feed(id)
        self.branch.ids.append(id)
        self.branch.probabilities.append(probability)
        self.branch.pieces.append(piece)

    def write(self, length: int, settings: Mapping[str, float]) -> Iterator[None]:
        """Write up to `length` more tokens, one a step."""
        branch, begin = self.branch, 0
        if self.ends_with_stop():  # reached before: the next one is waited for
            begin = len(branch.ids)
        branch.record_settings(settings)
        tokens = self.text_generator.generate(
            self.prompt_ids + branch.ids,
            length,
            seed=self.seed,
            skip=len(branch.ids),
            **settings,
        )
        for id, probability, *_ in tokens:
            self.append(id, probability)
            yield
            if self.ends_with_stop(begin):
                return

    def ends_with_stop(self, begin: int = 0) -> bool:
        """Whether the last token completed `stop` in what stands from `begin` on."""
        pieces, position = self.branch.pieces, len(self.branch.pieces)
        if not self.stop or position <= begin:
            return False
        # The end of `stop` lies in the last piece, its beginning maybe before it.
        longest, ending = len(self.stop) - 1 + len(pieces[-1]), ""
        while position > begin and len(ending) < longest:
            position -= 1
            ending = pieces[position] + ending
        return self.stop in ending[-longest:]

    def next_token(
        self, position: int, settings: Mapping[str, float]
    ) -> NextTokenDistribution:
        """What can stand at a position of the current branch.

        The model runs only for another position: settings reshape the same logits.
        """
        ids = self.prompt_ids + self.branch.ids[:position]
        if self.cached is None or self.cached[0] != ids:
            self.cached = ids, self.text_generator.logits(ids)
        logits, probabilities = self.cached[1], self.text_generator.probabilities
        return NextTokenDistribution(
            probabilities(logits, ids),
            probabilities(logits, ids, **settings),
            self.text_generator.uniform(self.seed, position),
        )

    def pick(self, position: int, id: int) -> int | None:
        """Put another token at a position; what followed it is to be written anew.

        It begins a branch, except at the end of the text, where nothing is lost: so one
        can write by hand.

        Returns:
            The number of tokens to write anew, or None where nothing changes: this
            token stands there already, or there is no such position.
        """
        old = self.branch
        if not 0 <= position <= len(old.ids):
            return None
        if position < len(old.ids) and old.ids[position] == id:
            return None
        probability = float(self.next_token(position, {}).probabilities[id])
        branch, remaining = old.until(position), len(old.ids) - position - 1
        if remaining < 0:
            self.branches[self.current] = branch
        else:
            self.branches.append(branch)
        self.select_branch(self.branches.index(branch))
        self.append(id, probability)
        branch.picked.append(position)
        return max(0, remaining)

    def record(self) -> dict[str, Any]:
        """Who wrote the text, and how: enough to write it again."""
        record: dict[str, Any] = {
            "model": self.model,
            "prompt": self.prompt,
            "seed": self.seed,
            "stop": self.stop,
            "picked by hand": self.branch.picked,
            "settings": self.branch.latest_settings,
        }
        if len(self.branch.settings) > 1:
            by_token = {at + 1: each for at, each in self.branch.settings.items()}
            record["settings from token"] = by_token
        return record


def new_decoder(text_generator: "TextGenerator") -> "TextDecoder":
    """What turns ids into whole characters, one id at a time."""
    from gpt_lib.text import TextDecoder  # who loads a text generator has loaded torch

    return TextDecoder(text_generator.tokenizer)


@dataclass(eq=False)
class TextProgress:
    """The part of one text in a run."""

    text: (
        GeneratedText | None
    )  # None: there is none, since its prompt could not be read
    tokens: Iterator[None] = field(default_factory=lambda: iter(()))
    count: int = 0  # tokens written
    outcome: str = ""  # "done" or "failed", once it has ended
    error: str = ""  # why it failed

    def write_next_token(self) -> None:
        """Write one more token, or record why there is none."""
        try:
            next(self.tokens)
            self.count += 1
        except StopIteration:
            self.outcome = "done"
        except Exception as error:
            self.outcome, self.error = "failed", error_text(error)


class Run:
    """One press of a button or of Enter: what it is to write, and how far it is.

    Args:
        session: whose text generators write; its plan of this moment is kept.
        prompt: of new texts; None goes on with `texts`.
        length: tokens to write.
        texts: those to go on with, one for each model of the plan. Where there is none,
            the model joins the first text. Where another model wrote it, the whole text
            becomes the prompt.
    """

    def __init__(
        self,
        session: "Session",
        prompt: str | None,
        length: int,
        texts: Sequence[GeneratedText | None],
    ) -> None:
        self.session, self.plan = session, session.plan
        self.prompt, self.length, self.earlier_texts = prompt, length, texts
        self.tasks: list[TextProgress] = []  # one for each model, once it writes
        self.load_errors: dict[str, Exception] = {}
        self.stop = threading.Event()
        self.is_over, self.start_time, self.seconds = False, 0.0, 0.0

    @property
    def texts(self) -> list[GeneratedText]:
        """The texts that it writes."""
        return [task.text for task in self.tasks if task.text]

    @property
    def error(self) -> str:
        """What failed, a line for each text."""
        return "\n".join(task.error for task in self.tasks if task.error)

    @property
    def state(self) -> str:
        """How far it is, in a word."""
        if self.is_over and self.error:
            return "failed"
        if self.stop.is_set():
            return "stopped" if self.is_over else "stopping"
        if self.is_over:
            return "done"
        return "writing" if self.tasks else "waiting"

    @property
    def tokens_per_second(self) -> float:
        """Of its longest text; all texts are written by turns."""
        count = max((task.count for task in self.tasks), default=0)
        return count / max(self.seconds, 1e-9)

    def write_in_steps(self) -> Iterator[None]:
        """Load and write, a token of each text a step; what fails is in `error`."""
        try:
            for name in dict.fromkeys(self.plan.models):
                if not self.stop.is_set():
                    yield from self.load_steps(name)
            self.prepare()
            if self.tasks:
                yield
            while self.step():
                yield
        finally:
            self.is_over = True

    def load_steps(self, name: str) -> Iterator[None]:
        """Load a text generator; a failure is told by the text that needs it."""
        try:
            yield from self.session.load_steps(name)
        except Exception as error:
            self.load_errors[name] = error

    def prepare(self) -> None:
        """Choose the text of each model, unless the run was stopped already."""
        if self.stop.is_set():
            return
        tasks: list[TextProgress] = []
        for index, model in enumerate(self.plan.models):
            try:
                first = next((task.text for task in tasks if task.text), None)
                task = TextProgress(self.choose_text(index, model, first))
            except Exception as error:
                task = TextProgress(None, outcome="failed", error=error_text(error))
            tasks.append(task)
        lengths = [
            task.text.count_generated_tokens() if task.text else 0 for task in tasks
        ]
        goal = self.length + next((n for n, t in zip(lengths, tasks) if t.text), 0)
        for index, task in enumerate(tasks):
            if task.text:  # one that joined late has more to write
                length = max(self.length, goal - lengths[index])
                task.tokens = task.text.write(length, self.plan.settings_of(index))
        with self.session.begin_lock:
            if not self.stop.is_set():
                self.tasks, self.start_time = tasks, time.monotonic()
                if self.texts:
                    self.session.model_texts = [task.text for task in tasks]

    def choose_text(
        self, index: int, model: str, first: GeneratedText | None
    ) -> GeneratedText:
        """A new text, or the one that stands, or one that goes on from it.

        Args:
            index: of the model in the plan.
            model: its name.
            first: the text of the first model that has one, for others to join.
        """
        if model in self.load_errors:
            raise self.load_errors[model]
        new_text = self.session.new_text
        if self.prompt is not None:
            return new_text(model, self.prompt, self.plan.seed, self.plan.stop)
        text = self.earlier_texts[index] if index < len(self.earlier_texts) else None
        if text and text.model == model:
            return text
        if text:
            return new_text(model, text.text, text.seed, text.stop)
        first = first or next(filter(None, self.earlier_texts))
        return new_text(model, first.prompt, first.seed, first.stop)

    def step(self) -> bool:
        """One more token of each text; False when there is nothing more to do."""
        for task in self.tasks:
            if not task.outcome:
                with task.text.lock:
                    if self.stop.is_set():
                        return False
                    task.write_next_token()
        is_writing = any(not task.outcome for task in self.tasks)
        if is_writing:
            self.seconds = time.monotonic() - self.start_time
        return is_writing

    def ending_summary(self, model_index: int) -> str:
        """How the text of one model ended: an error, or its tokens, speed and nats."""
        if model_index >= len(self.tasks):
            return "stopped"
        task = self.tasks[model_index]
        summary = task.error
        if not summary:
            speed = task.count / max(self.seconds, 1e-9)
            summary = f"{task.outcome or 'stopped'}: {task.count} tokens"
            summary += f", {speed:,.0f} tokens/s"
        surprisal = task.text and task.text.mean_surprisal
        return summary if surprisal is None else summary + f", {format_nats(surprisal)}"


class Session:
    """What there is to write with, the plan, the texts that stand, the latest run.

    Args:
        loaders: name -> a function that loads a text generator; called once, when it
            is needed.
        plan: how the first text is to be written.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], "TextGenerator"]],
        plan: GenerationOptions,
    ) -> None:
        self.loaders, self.plan = dict(loaders), plan
        self.text_generators: dict[str, TextGenerator] = {}  # those that are loaded
        self.loading = ""  # the name of the one that is being loaded
        # Of each model of the latest run; None: it could not read the prompt.
        self.model_texts: list[GeneratedText | None] = []
        self.run: Run | None = None  # the latest
        self.begin_lock = threading.Lock()  # held for a moment, never during a token
        self.model_locks = {name: threading.RLock() for name in loaders}

    @property
    def texts(self) -> list[GeneratedText]:
        """The texts that stand, of the latest run that wrote."""
        return [text for text in self.model_texts if text]

    @property
    def busy(self) -> bool:
        """Whether something is being written and was not told to stop."""
        return bool(self.run and not self.run.is_over and not self.run.stop.is_set())

    def change_options(self, **fields: object) -> None:
        """Change the plan; a ValueError leaves it as it is."""
        self.plan = replace(self.plan, **fields)

    def load_steps(self, name: str) -> Iterator[None]:
        """Load a text generator once; there is a step before, in which to say so."""
        if name not in self.text_generators:
            self.loading = name
            try:
                yield
                with self.model_locks[name]:  # two threads may want it at once
                    if name not in self.text_generators:
                        self.text_generators[name] = self.loaders[name]()
            finally:
                self.loading = ""

    def new_text(self, model: str, prompt: str, seed: int, stop: str) -> GeneratedText:
        """A text without tokens; loads its text generator if needed."""
        for _ in self.load_steps(model):
            pass
        text_generator, lock = self.text_generators[model], self.model_locks[model]
        return GeneratedText(model, text_generator, prompt, seed, stop, lock)

    def begin(
        self,
        prompt: str | None = None,
        length: int | None = None,
        texts: Sequence[GeneratedText | None] | None = None,
    ) -> Run:
        """A run that replaces the one in progress; somebody has to iterate its steps.

        Args:
            prompt: of new texts. None goes on with the texts that stand; where there
                are none, with a new line.
            length: tokens to write; by default those of the plan.
            texts: to go on with, by default those of the latest run.
        """
        texts = self.model_texts if texts is None else texts
        if prompt is None and not any(texts):
            prompt = "\n"
        length = self.plan.length if length is None else length
        with self.begin_lock:
            self.request_stop()
            self.run = Run(self, prompt, length, [*texts])
            return self.run

    def request_stop(self) -> None:
        """Ask the run in progress to stop; it finishes the token in the making."""
        if self.run:
            self.run.stop.set()

    def status(self) -> str:
        """State, models, settings, seed, tokens/s and nats a token, in one line."""
        plan, run = self.plan, self.run
        state = f"loading {self.loading}" if self.loading else run and run.state
        parts = [state or "ready", " | ".join(plan.models)]
        parts.append(" | ".join(map(describe_changed_settings, plan.settings)))
        parts.append(f"seed {plan.seed}")
        if run and run.tokens_per_second:
            parts.append(f"{run.tokens_per_second:,.0f} tokens/s")
        surprisals = [text.mean_surprisal for text in self.texts]
        known = [each for each in surprisals if each is not None]
        return " · ".join([*parts, *([format_nats(*known)] if known else [])])


def format_nats(*surprisals: float) -> str:
    """Means in nats a token, of one text or more, in words."""
    return f"{' | '.join(f'{each:.2f}' for each in surprisals)} nats a token"
