"""Every model of the course by one name: its shape, how it is trained, where it lies.

`TRAINING_RECIPES` are the models that the course trains, by `gpt-lib train`, for
`data/models` or on the ladder. `load` finds what was trained: models that come with the
course, and the learner's runs.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

import gpt_lib
from gpt_lib import checkpoints, text, tokens, training
from gpt_lib.cache import CachedReader, PackedWeightsReader
from gpt_lib.checkpoints import (
    CARD_FILE,
    CARD_SCHEMA,
    WEIGHTS_FILE,
    CheckpointError,
    LoadedModel,
    ModelCard,
    build_architecture,
    finite_state_dict,
    load_checkpoint,
    write_checkpoint_files,
)
from gpt_lib.generation import Reader, TextGenerator
from gpt_lib.gpt import PRESETS, GPTConfig
from gpt_lib.modern import ModernConfig, build_modern_gpt
from gpt_lib.muon import muon_from_config
from gpt_lib.prepare import (
    DocumentText,
    LargeText,
    Preparation,
    prepare_prompt,
    prepare_text,
)
from gpt_lib.race import build_ngram_gpt
from gpt_lib.runs import (
    RUNS,
    CheckpointFolder,
    best_checkpoint,
    check_run_name,
    naming_whole_checkpoint,
)
from gpt_lib.text import CharTokenizer, Tokenizer
from gpt_lib.training import TrainingConfig

# All that a checkpoint may name, of the whole course.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    **checkpoints.ARCHITECTURES,
    "modern-gpt": build_modern_gpt,
    "ngram-gpt": build_ngram_gpt,
}
TOKENIZER_LOADERS: dict[str, Callable[..., Tokenizer]] = {
    **text.TOKENIZER_LOADERS,
    **tokens.SUBWORD_LOADERS,
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    **training.OPTIMIZERS,
    "Muon": muon_from_config,
}
# What makes a text generator faster, by architecture: readers with a cache.
CACHED_READERS: dict[str, Callable[[nn.Module], Reader]] = {
    "gpt": PackedWeightsReader,
    "modern-gpt": CachedReader,
    "ngram-gpt": CachedReader,
}


# Recipes


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained; the text gives its vocabulary."""

    architecture: str  # a name in ARCHITECTURES
    training: TrainingConfig
    shape: Mapping[str, Any] = field(default_factory=dict)  # without vocab_size
    # What the model has read that comes with the course, if one does:
    text: str = "tinyshakespeare"
    tokenizer: str = "character"  # one of `TOKENIZER_NAMES`
    vocab_size: int | None = None  # of one that is learned


def ladder_training_config(learning_rate: float) -> TrainingConfig:
    """How the ladder trains a stage for equal tokens: 1,536 a step."""
    return TrainingConfig(
        steps=2500,
        batch_size=24,
        learning_rate=learning_rate,
        evaluate_every=10**6,
        evaluation_batches=1,
    )


def preset_shape(preset: str) -> dict[str, Any]:
    """The shape of one of lesson 08's presets, without its vocabulary."""
    shape = asdict(PRESETS[preset])
    del shape["vocab_size"]
    return shape


GPT_TRAINING = TrainingConfig(learning_rate=4e-3)
TRAINING_RECIPES = {
    "bigram": Recipe("bigram", ladder_training_config(0.1)),
    "averaging": Recipe("averaging", ladder_training_config(0.1)),
    "one-head": Recipe("one-head", ladder_training_config(0.003)),
    "many-heads-no-positions": Recipe(
        "multi-head", ladder_training_config(0.006), {"positions": False}
    ),
    "many-heads": Recipe("multi-head", ladder_training_config(0.01)),
    "block": Recipe("one-block", ladder_training_config(0.006)),
    # The shape of nanogpt-cpu as the ladder trains it: fewer tokens, a higher rate.
    "gpt": Recipe("gpt", ladder_training_config(0.006), preset_shape("nanogpt-cpu")),
    **{name: Recipe("gpt", GPT_TRAINING, preset_shape(name)) for name in PRESETS},
    "shakespeare": Recipe(
        "gpt",
        TrainingConfig(steps=3500, learning_rate=4e-3, evaluate_every=500),
        {"context": 128, "width": 160, "heads": 5, "depth": 4},
    ),
    "presidents": Recipe(
        "gpt",
        TrainingConfig(steps=6000, learning_rate=2e-3, evaluate_every=500),
        preset_shape("nanogpt-cpu"),
        "sotu",
        "bpe",
        2048,
    ),
    "austen": Recipe(
        "gpt",
        TrainingConfig(steps=3000, learning_rate=4e-3, evaluate_every=500),
        preset_shape("nanogpt-cpu"),
        "prideandprejudice",
    ),
    "modern": Recipe(
        "modern-gpt", TrainingConfig(learning_rate=0.02, optimizer="Muon")
    ),
}
# The stages of the course, from the highest loss to the lowest.
LADDER_MODEL_NAMES = (
    "bigram",
    "averaging",
    "one-head",
    "many-heads-no-positions",
    "many-heads",
    "block",
    "gpt",
)


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in TRAINING_RECIPES:
        raise ValueError(f"no preset {name!r}: there are {', '.join(TRAINING_RECIPES)}")
    return TRAINING_RECIPES[name]


MAX_VOCABULARY_FOR_BIGRAM_EMBEDDING = (
    256  # tokens: the embedding has a row for each pair of them
)


def shape_from_recipe(name: str, vocab_size: int, **changes: Any) -> dict[str, Any]:
    """The shape of a model by its recipe, with changes, for a vocabulary.

    Raises:
        ValueError: there is no such recipe, or its models have no such field.
    """
    architecture, options = find_recipe(name).architecture, shape_defaults(name)
    if unknown := [key for key in changes if key not in options]:
        known = ", ".join(options) or "nothing to choose"
        raise ValueError(f"{architecture} has no {unknown[0]}: it has {known}")
    # Whole, so that a card says what was built, whatever the defaults are by then.
    shape = {"vocab_size": vocab_size, **find_recipe(name).shape, **changes}
    if architecture == "modern-gpt":
        shape.setdefault("kv_heads", shape.get("heads", ModernConfig.heads))
        small = vocab_size <= MAX_VOCABULARY_FOR_BIGRAM_EMBEDDING
        shape.setdefault("bigram_embedding", small)
    return options | shape


def shape_defaults(name: str) -> dict[str, Any]:
    """What can be chosen of a model's shape, besides the vocabulary, with defaults."""
    configs = {"gpt": GPTConfig, "modern-gpt": ModernConfig}
    architecture = find_recipe(name).architecture
    constructor = configs.get(architecture, ARCHITECTURES[architecture])
    parameters = signature(constructor).parameters
    return {key: p.default for key, p in parameters.items() if key != "vocab_size"}


def build_model(name: str, vocab_size: int, **changes: Any) -> nn.Module:
    """A fresh model by its recipe; its weights come from the global generator."""
    shape = shape_from_recipe(name, vocab_size, **changes)
    return build_architecture(find_recipe(name).architecture, shape, ARCHITECTURES)


# Tokenizers

DEFAULT_VOCAB_SIZE = 2048
# Kinds that learn a vocabulary of a size from a text; the others have their own.
LEARNED_TOKENIZERS = {
    "word": tokens.WordTokenizer.from_text,
    "bpe": tokens.BytePairTokenizer.from_text,
}
TOKENIZER_NAMES = ("character", *LEARNED_TOKENIZERS, "gpt2")


def make_tokenizer(
    name: str,
    text: str | Path | DocumentText | LargeText,
    vocab_size: int | None = None,
) -> Tokenizer:
    """A tokenizer for a text.

    A vocabulary is learned from the training part of the text alone, of a large one
    from the beginning of it. That of the characters is of the whole text, so that all
    of it can be encoded.

    Args:
        name: one of `TOKENIZER_NAMES`.
        text: as `prepare_text` takes or gives it. One of several documents adds a
            special token for their ends.
        vocab_size: of a vocabulary that is learned; 2,048 by default.

    Raises:
        ValueError: no such tokenizer, or no such size; also as `load_text`.
        OSError: as `load_text`.
    """
    if name not in TOKENIZER_NAMES:
        raise ValueError(
            f"no tokenizer {name!r}: there are {', '.join(TOKENIZER_NAMES)}"
        )
    if vocab_size and name not in LEARNED_TOKENIZERS:
        raise ValueError(
            f"tokenizer {name} has a vocabulary of its own: leave out vocab_size, or"
            f" take one of {', '.join(LEARNED_TOKENIZERS)}"
        )
    if name == "gpt2":
        return tokens.gpt2_tokenizer()
    if isinstance(text, str | Path):
        text = prepare_text(text)
    if name == "character":
        return CharTokenizer(text.characters())
    size = vocab_size or DEFAULT_VOCAB_SIZE
    return LEARNED_TOKENIZERS[name](text.training_text(), size, text.special_tokens)


# Trained models


def shipped_models_folder(package: Path) -> Path:
    """The models of the course: in the data/ of a clone, or in the package itself."""
    clone = package.parent / "data" / "models"
    return clone if clone.is_dir() else package / "shipped_models"


SHIPPED_MODELS_FOLDER = shipped_models_folder(Path(gpt_lib.__file__).resolve().parent)
# Stages of the course that come trained on Shakespeare, from the lowest loss on.
SHIPPED_STAGE_NAMES = (
    "shakespeare",
    "block",
    "many-heads",
    "one-head",
    "averaging",
    "bigram",
)
# The models that come with the course: those, and two that have read other texts.
SHIPPED_MODEL_NAMES = (
    "shakespeare",
    "presidents",
    "austen",
    *SHIPPED_STAGE_NAMES[1:],
)


def model_names(root: Path = RUNS) -> list[str]:
    """The models of the course, then the runs in `root`."""
    return [*SHIPPED_MODEL_NAMES, *run_names(root)]


def run_names(root: Path = RUNS) -> list[str]:
    """The runs in `root` that have a checkpoint, in order."""
    if not root.is_dir():
        return []
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [
        name
        for name in folders
        if is_allowed_run_name(name) and CheckpointFolder(name, root).steps()
    ]


def is_allowed_run_name(name: str) -> bool:
    """Whether a run may have this name: a model of the course is never hidden."""
    try:
        return check_run_name(name) not in SHIPPED_MODEL_NAMES
    except ValueError:
        return False


def checkpoint_folder(name: str, root: Path = RUNS) -> Path:
    """The checkpoint that a model is read from; of a run, its best.

    Raises:
        ValueError: there is no such model.
    """
    if name in SHIPPED_MODEL_NAMES:
        return SHIPPED_MODELS_FOLDER / name
    if name not in run_names(root):
        raise ValueError(f"no model {name!r}: there are {', '.join(model_names(root))}")
    return best_checkpoint(CheckpointFolder(name, root))


def load(name: str, root: Path = RUNS) -> LoadedModel:
    """A trained model by its name, on the CPU, with its tokenizer and its card.

    Raises:
        ValueError: there is no such model, or it cannot be read.
    """
    folder = checkpoint_folder(name, root)
    if name in SHIPPED_MODEL_NAMES:
        return load_checkpoint(folder, ARCHITECTURES, TOKENIZER_LOADERS)
    with naming_whole_checkpoint(CheckpointFolder(name, root), folder, ARCHITECTURES):
        return load_checkpoint(folder, ARCHITECTURES, TOKENIZER_LOADERS)


def load_text_generator(name: str, root: Path = RUNS) -> TextGenerator:
    """A trained model with its tokenizer, ready to generate text."""
    model, tokenizer, card = load(name, root)
    prepare = partial(prepare_prompt, preparation=card_preparation(card))
    make_reader = CACHED_READERS.get(card.architecture)
    text_name = Path(card.text).stem
    return TextGenerator(model, tokenizer, make_reader, prepare, text_name)


def card_preparation(card: ModelCard) -> Preparation:
    """How the text of a model was read.

    Raises:
        CheckpointError: by rules that are not those of today.
    """
    try:
        return Preparation.from_card(card.preparation)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def load_all_text_generators(root: Path = RUNS) -> dict[str, TextGenerator]:
    """Every model that can be read, by name; stderr names those that cannot."""
    generators = {}
    for name in model_names(root):
        try:
            generators[name] = load_text_generator(name, root)
        except CheckpointError as error:
            print(f"left out: {error}", file=sys.stderr)
    return generators


def model_table_row(name: str, root: Path = RUNS) -> dict[str, Any]:
    """A row of the table of models; of a run, its best checkpoint."""
    model, _, card = load(name, root)
    losses = {"loss": card.validation_loss, "test": card.test_loss}
    return {
        "model": name,
        "kind": card.architecture,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "text": Path(card.text).stem,
        "steps": card.step,
        "of": card.training.steps,
        # Before the first step there is none; of a run, none on the test part.
        **{name: loss and round(loss, 3) for name, loss in losses.items()},
        "trained": card.date,
    }


def round_to_16_bits(model: nn.Module) -> None:
    """Round the weights to what bfloat16 has; they still take 32 bits in memory."""
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()


def save_model(
    folder: Path, model: nn.Module, card: ModelCard, half: bool = False
) -> None:
    """Write a checkpoint that is only read, never trained on; in 16 bits if `half`.

    Raises:
        ValueError: the weights are not finite.
    """
    tensors = finite_state_dict(model, card.step)
    if half:
        tensors = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    weights = save(tensors)
    files = {CARD_FILE: CARD_SCHEMA.dump_json(card, indent=1), WEIGHTS_FILE: weights}
    write_checkpoint_files(folder, files)
