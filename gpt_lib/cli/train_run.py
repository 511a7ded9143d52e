"""Training a run by its name, with a progress bar, until its end or an interruption."""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import torch
from filelock import FileLock
from torch import Tensor, nn
from tqdm import tqdm

from gpt_lib.bigram import LanguageModel
from gpt_lib.catalog import (
    ARCHITECTURES,
    OPTIMIZERS,
    SHIPPED_MODEL_NAMES,
    TOKENIZER_LOADERS,
    find_recipe,
    make_tokenizer,
    run_names,
    shape_from_recipe,
)
from gpt_lib.checkpoints import (
    CheckpointError,
    LoadedModel,
    ModelCard,
    build_architecture,
    build_on_meta,
    build_tokenizer,
    load_checkpoint,
    total_bytes,
)
from gpt_lib.data import PUBLIC_TEXTS, Corpus
from gpt_lib.device import bytes_to_gib, pick_device
from gpt_lib.prepare import (
    DocumentText,
    LargeText,
    Preparation,
    is_hf_name,
    prepare_text,
)
from gpt_lib.runs import (
    CheckpointWriter,
    TrainingPause,
    TrainingProgress,
    best_checkpoint,
    checkpointed,
    load_for_resuming,
    newest_whole_step,
    set_damaged_aside,
    try_to_save,
)
from gpt_lib.speed import MasterWeightStep
from gpt_lib.stopping import evaluations_since_best
from gpt_lib.text import Tokenizer
from gpt_lib.training import (
    StepFunction,
    StepRecord,
    TrainingConfig,
    TrainingState,
    bits_per_byte,
    evaluate_loss,
    train,
    training_step,
)

# by the precision that a card has
TRAINING_STEPS: dict[str, Callable[[], StepFunction]] = {
    "float32": lambda: training_step,
    "bfloat16": MasterWeightStep,
}
MAX_UNSAVED_SECONDS = 300.0  # of training that a power cut may take away


def plan_new_run(
    text: DocumentText | LargeText,
    preset: str,
    shape: Mapping[str, Any],
    training: Mapping[str, Any],
    tokenizer: Tokenizer | None = None,
    epochs: float | None = None,
    **others: Any,
) -> tuple[ModelCard, Corpus]:
    """The card of a new run, and the ids that it trains on.

    Args:
        text: prepared.
        preset: a name in `catalog.TRAINING_RECIPES`.
        shape: what to change of the preset's shape.
        training: what to change of how it is trained.
        tokenizer: by default, one for the characters of the text.
        epochs: how often the training part is read, instead of a number of steps.
        others: more fields of the card.

    Raises:
        ValueError: what was given cannot be trained, and why.
    """
    preset_recipe = find_recipe(preset)
    tokenizer = tokenizer or make_tokenizer("character", text)
    shape = shape_from_recipe(preset, tokenizer.vocab_size, **shape)
    # A text that is too short for the context is an error before a run is there.
    context = shape.get("context") or TrainingConfig.context
    corpus = text.to_corpus(tokenizer, context)
    if epochs:
        batch = context * training.get("batch_size", TrainingConfig.batch_size)
        steps = math.ceil(epochs * len(corpus.train) / batch)
        training = {**training, "steps": steps}
    config = merge_training_options(preset_recipe.training, training)
    if "context" in shape:
        config["context"] = shape["context"]  # for a model that reads any length
    model = build_on_meta(preset_recipe.architecture, shape, ARCHITECTURES)
    config = TrainingConfig(**config)
    check_memory(model, config)
    card = ModelCard(
        architecture=preset_recipe.architecture,
        shape=shape,
        tokenizer=tokenizer.to_card(),
        text=known_text(corpus.name),
        text_sha256=corpus.sha256,
        split=corpus.split,
        preparation=text.preparation.to_card(),
        training=config,
        **others,
    )
    return card, corpus


def check_memory(model: LanguageModel, config: TrainingConfig) -> None:
    """Check that a training step of a model, which may be on meta, fits into memory.

    Raises:
        ValueError: it does not, by an estimate: weights, gradients and the optimizer's
            two numbers for each; what every layer gives, and gradients of that; logits.
    """
    tokens = config.batch_size * (model.context or config.context)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    features = sum(layer.out_features for layer in layers) + model.vocab_size
    needed = 4 * total_bytes(model.state_dict()) + 2 * 4 * tokens * features
    device = pick_device()
    memory = psutil.virtual_memory().total
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    if needed > memory:
        raise ValueError(
            f"a training step takes about {bytes_to_gib(needed):,.0f} GiB, and"
            f" {device.type} has {bytes_to_gib(memory):,.0f}: try a smaller batch size,"
            " context, width or depth"
        )


def merge_training_options(
    preset: TrainingConfig, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """How a run is trained: a preset's optimizer and learning rate, and the changes."""
    steps = changes.get("steps", TrainingConfig.steps)
    return {
        "learning_rate": preset.learning_rate,
        "optimizer": preset.optimizer,
        # A short run warms up briefly.
        "warmup_steps": min(TrainingConfig.warmup_steps, steps // 10),
        **changes,
    }


def evaluate_with_bar(model: LanguageModel, ids: Tensor, label: str) -> float:
    """`evaluate_loss`, with a progress bar if it takes longer than two seconds."""
    with tqdm(
        total=len(ids) - 1, unit="token", desc=label, delay=2, leave=False
    ) as bar:
        return evaluate_loss(model, ids, report=bar.update)


def known_text(text: str) -> str:
    """What a card calls a text: its name, or the whole path of a file."""
    is_name = text == "toy-diary" or text in PUBLIC_TEXTS or is_hf_name(text)
    return text if is_name else str(Path(text).expanduser().resolve())


def begin(run: CheckpointWriter, card: ModelCard) -> tuple[LoadedModel, TrainingState]:
    """A fresh model of a card, saved before its first step."""
    torch.manual_seed(card.training.seed)
    model = build_architecture(card.architecture, card.shape, ARCHITECTURES).to(
        pick_device()
    )
    state = TrainingState.start(model, card.training, OPTIMIZERS)
    run.save(model, state, card)
    return LoadedModel(
        model, build_tokenizer(card.tokenizer, TOKENIZER_LOADERS), card
    ), state


def load_run_corpus(loaded: LoadedModel) -> Corpus:
    """The text of a run as ids of its tokenizer.

    Raises:
        ValueError: the text is not there, or is not the one that the run began with.
    """
    card, name = loaded.card, loaded.card.text
    preparation = Preparation.from_card(card.preparation)
    try:
        text = prepare_text(name, preparation)
        text_sha256 = text.sha256
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{error}. If the text of this run was moved, say where it is now: gpt-lib"
            " train FILE --resume --name NAME; it is known by its content"
        ) from None
    if text_sha256 != card.text_sha256:
        raise ValueError(
            f"{name} is not the text that this run began with, or has changed since: it"
            " cannot be resumed with another text; train a new run, under another name"
        )
    return text.to_corpus(loaded.tokenizer, split=card.split)


def train_until_interrupted(progress: TrainingProgress, corpus: Corpus) -> None:
    """Train to the end, or until a signal asks to stop; either is saved."""
    state, config = progress.state, progress.card.training
    progress.report_unsaved = lambda error: tqdm.write(
        f"gpt-lib: not saved: {error}; the training goes on, and saving is tried again",
        sys.stderr,
    )
    bar = tqdm(
        total=config.steps, initial=state.step, unit="step", desc=progress.run.name
    )
    step_function = TRAINING_STEPS[progress.card.precision]()
    with interrupts() as interrupts_seen, bar:
        while not is_over(progress) and not interrupts_seen:
            step = PausingStep(interrupts_seen, step_function)
            parts = corpus.train, corpus.validation
            records = train(progress.model, *parts, config, state, step)
            with closing(checkpointed(records, progress)) as records:
                show_records(patient(records, progress), state, bar)


def is_over(progress: TrainingProgress) -> bool:
    """Whether all steps are done, or its patience is at its end."""
    card = progress.card
    waited = evaluations_since_best(card.history)
    is_out_of_patience = card.patience is not None and waited >= card.patience
    return progress.state.step >= card.training.steps or is_out_of_patience


def patient(
    records: Iterator[StepRecord], progress: TrainingProgress
) -> Iterator[StepRecord]:
    """The records of a run until its patience ends; each best model is saved."""
    for record in records:
        yield record
        if progress.card.patience is None or record.validation_estimate is None:
            continue
        if evaluations_since_best(progress.card.history) == 0:
            try_to_save(progress)
        if is_over(progress):
            return


def show_records(
    records: Iterator[StepRecord], state: TrainingState, bar: tqdm
) -> None:
    """Show every record in the progress bar."""
    losses = {}
    for record in records:
        bar.update(state.step - bar.n)
        losses["loss"] = f"{record.batch_loss:.3f}"
        if record.validation_estimate is not None:
            losses["validation"] = f"{record.validation_estimate:.3f}"
        bar.set_postfix(losses, refresh=False)


@dataclass
class PausingStep:
    """A step function, until a signal was seen or it is time to save: then a pause."""

    interrupts_seen: list[int]  # numbers of signals
    step_function: StepFunction = training_step
    first_call: float | None = field(default=None, init=False)

    def __call__(self, *arguments: Any) -> tuple[Tensor, Tensor]:
        """A step; TrainingPause instead, between two steps."""
        now = time.monotonic()
        self.first_call = self.first_call or now  # one step is made in any case
        if self.interrupts_seen or now - self.first_call > MAX_UNSAVED_SECONDS:
            raise TrainingPause
        return self.step_function(*arguments)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """The signals that asked to stop: no step is cut in half, but a second one ends it.

    They are Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends when it is closed.
    """
    seen: list[int] = []

    def handle_signal(number: int, _: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        with suppress(OSError):  # the terminal may be gone
            tqdm.write(
                "stopping after this step; Ctrl-C again ends at once", sys.stderr
            )

    names = "SIGINT", "SIGTERM", "SIGHUP"
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    # Who started us may have asked that a signal be ignored, as nohup does.
    handled = [number for number in numbers if before[number] != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handle_signal)
    try:
        yield seen
    finally:
        for number in handled:
            signal.signal(number, before[number])


def train_new_run(
    run: CheckpointWriter, card: ModelCard, corpus: Corpus
) -> tuple[str, bool]:
    """Train what `plan_new_run` gave; a message, and whether it got to its end.

    Raises:
        ValueError: the name is taken, by a model of the course or by a run.
    """
    name = run.name
    if name in SHIPPED_MODEL_NAMES:
        raise ValueError(f"{name!r} comes with the course: take another name")
    run.root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Two processes may begin two names at one moment: one after the other.
        with FileLock(run.root / ".new-run.lock"):
            for other in run_names(run.root):
                # Some file systems take both for one folder.
                if other.lower() == name.lower() and other != name:
                    raise ValueError(
                        f"{name!r} is too like the run {other!r}: take another name"
                    )
            stack.enter_context(run.lock(new=True))
            loaded, state = begin(run, card)
        return run_to_end(run, loaded, state, corpus)


def resume_run(
    run: CheckpointWriter, moved_to: str | None = None, skip_damaged: bool = False
) -> tuple[str, bool]:
    """Go on with a run that was stopped; returns what `train_new_run` does.

    Args:
        moved_to: where its text is now, if not where the card says.
        skip_damaged: go on from the newest whole checkpoint, with newer ones set aside.
    """
    newest = run.newest_step()  # an unknown name is an error before a folder is made
    with run.lock():
        if skip_damaged:
            for folder in set_damaged_aside(run, ARCHITECTURES):
                print(f"set aside: {folder}", file=sys.stderr)
        options = ARCHITECTURES, TOKENIZER_LOADERS, OPTIMIZERS
        try:
            loaded, state = load_for_resuming(run, pick_device(), *options)
        except CheckpointError as error:
            if newest_whole_step(run, ARCHITECTURES) in (None, newest):
                raise
            raise CheckpointError(
                f"{error}; to go on from there, and set what is newer aside: gpt-lib"
                f" train --resume --skip-damaged --name {run.name}"
            ) from None
        if moved_to:
            card = replace(loaded.card, text=known_text(moved_to))
            loaded = loaded._replace(card=card)
        return run_to_end(run, loaded, state, load_run_corpus(loaded))


def run_to_end(
    run: CheckpointWriter,
    loaded: LoadedModel,
    state: TrainingState,
    corpus: Corpus,
) -> tuple[str, bool]:
    """Train; a message on how it ended, and whether at its end."""
    card, corpus = loaded.card, corpus.to(pick_device())
    print(f"saving in {run.folder}", file=sys.stderr)
    progress = TrainingProgress(run, loaded.model, state, card, corpus.validation)
    if not is_over(progress):
        train_until_interrupted(progress, corpus)
    if not is_over(progress):
        is_saved = run.steps()[-1:] == [state.step]
        ending = "stopped and saved" if is_saved else "stopped, but not saved,"
        message = f"{ending} after {state.step} of {card.training.steps} steps;"
        return f"{message} go on with: gpt-lib train --resume --name {run.name}", False
    talk = f"talk to it with: gpt-lib chat {run.name}"
    try:
        return f"{describe_end(progress, corpus)} {talk}", True
    except KeyboardInterrupt:
        ending = "is trained and saved, but its losses were not measured to the end"
        return f"{run.name} {ending}; {talk}", False


def describe_end(progress: TrainingProgress, corpus: Corpus) -> str:
    """How good the model is that a whole training has left, by all held-out text."""
    run, state, card = progress.run, progress.state, progress.card
    model, best, steps = progress.model, best_checkpoint(run), card.training.steps
    held_out = {"validation": corpus.validation, "test": corpus.test}
    if state.step < steps:  # stopped early: the best one is what was wanted
        best_loaded = load_checkpoint(best, ARCHITECTURES, TOKENIZER_LOADERS)
        model = best_loaded.model.to(pick_device())
    loss, test_loss = (
        evaluate_with_bar(model, ids, f"{part} loss") for part, ids in held_out.items()
    )
    guess = math.log(corpus.tokenizer.vocab_size)
    verdict = "is trained" if loss < guess else f"is worse than a guess ({guess:.3f})"
    if state.step < steps:
        verdict += (
            f", and stopped early, after {state.step} of {steps} steps:"
            f" {card.patience} evaluations were no better"
        )
    message = (
        f"{run.name} {verdict}: validation loss {loss:.5g}, test loss {test_loss:.5g}"
    )
    bits = bits_per_byte(test_loss, corpus.test.cpu(), corpus.tokenizer)
    message += f" ({bits:.3g} bits per byte), {state.seconds:.0f} s;"
    if best != run.last():
        message += f" its best checkpoint is {best.name}, and that one writes;"
    return message
