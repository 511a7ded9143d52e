"""What each swap of lesson 13 is worth: `make ablation` (15 minutes on two cores).

The modern GPT is trained whole, and with one swap undone or added at a time, on the
same batches, with several seeds. Lesson 13 draws its picture from the file it writes.
What the ablation is for is a choice, so its losses are those on the validation part.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from gpt_lib.data import DATA, load_corpus
from gpt_lib.device import pick_device
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import pick_fastest_train_step
from gpt_lib.training import (
    OPTIMIZERS,
    TrainingConfig,
    TrainingState,
    evaluate_loss,
    train,
)

if TYPE_CHECKING:
    from gpt_lib.views import Picture

ABLATION_RESULTS = DATA / "results" / "ablation.json"
ABLATION_SEEDS = (1, 2, 3)
ABLATION_TRAINING = TrainingConfig(
    steps=200,
    batch_size=16,
    learning_rate=4e-3,
    warmup_steps=20,
    evaluate_every=10**6,
    evaluation_batches=1,
)
# Label -> the one thing that is changed in the modern GPT's config. (A tied unembedding
# cannot start at zero: compare it with "unembedding not zero".)
SWAPS: Mapping[str, dict[str, Any]] = {
    "nothing": {},
    "LayerNorm for RMSNorm": {"norm": "layer"},
    "no norm after the embedding": {"embedding_norm": False},
    "learned positions for RoPE": {"positions": "learned"},
    "GELU for ReLU²": {"activation": "gelu"},
    "SwiGLU for ReLU²": {"activation": "swiglu"},
    "no QK-norm": {"qk_norm": False},
    "scores not times 1.3": {"attention_scale": 1.0},
    "two heads share a key": {"kv_heads": 1},
    "branches not zero at first": {"zero_init": False},
    "unembedding not zero at first": {"zero_init_unembed": False},
    "tied embedding": {"tie_embeddings": True},
    "no bigram embedding": {"bigram_embedding": False},
    "logits capped at 15": {"logit_softcap": 15.0},
}


def train_and_score(
    shape: Mapping[str, Any],
    config: TrainingConfig,
    optimizers: Mapping[str, Callable[..., Optimizer]] = OPTIMIZERS,
) -> dict[str, Any]:
    """Train a modern GPT of this shape on Tiny Shakespeare: losses, by full passes."""
    device = pick_device()
    corpus = load_corpus("tinyshakespeare").to(device)
    torch.manual_seed(config.seed)
    model = ModernGPT(ModernConfig(corpus.tokenizer.vocab_size, **shape)).to(device)
    state = TrainingState.start(model, config, optimizers)
    parts, step = (corpus.train, corpus.validation), pick_fastest_train_step(device)
    *_, last = train(model, *parts, config, state, step)
    return {
        "val_loss": round(evaluate_loss(model, corpus.validation), 4),
        "test_loss": round(evaluate_loss(model, corpus.test), 4),
        "seconds": round(last.seconds, 1),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def measure_swap(swap: str, seed: int) -> dict[str, Any]:
    """What one swap, with one seed, comes to."""
    return train_and_score(SWAPS[swap], replace(ABLATION_TRAINING, seed=seed))


def read_ablation() -> list[dict[str, Any]]:
    """Every run of the committed ablation."""
    return read_json(ABLATION_RESULTS)


def read_losses_by_swap() -> dict[str, list[float]]:
    """The losses of each swap, one a seed; swaps from the worst to the best."""
    losses: dict[str, list[float]] = {}
    for row in read_ablation():
        losses.setdefault(row["swap"], []).append(row["val_loss"])
    return dict(sorted(losses.items(), key=lambda item: -statistics.mean(item[1])))


def ablation_chart() -> "Picture":
    """The ablation as a ladder: the mean of each swap, a point for each seed."""
    from gpt_lib import views

    losses = read_losses_by_swap()
    steps, seeds = ABLATION_TRAINING.steps, len(ABLATION_SEEDS)
    return views.loss_ladder(
        list(losses),
        {"all else equal": list(losses.values())},
        f"One swap at a time, {steps} steps, {seeds} seeds",
    )


def main() -> None:
    """Run what is missing, and save every row as soon as it is there."""
    planned = [{"swap": s, "seed": seed} for seed in ABLATION_SEEDS for s in SWAPS]
    anew = parse_anew(__doc__.splitlines()[0])
    measure_missing(ABLATION_RESULTS, planned, measure_swap, anew)


if __name__ == "__main__":
    main()
