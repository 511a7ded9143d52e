"""What each swap of lesson 13 is worth: `make ablation` (10 minutes on two cores).

The modern GPT is trained whole, and with one swap undone or added at a time, on the
same batches, with several seeds. Lesson 13 draws its picture from the file it writes.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from gpt_lib.data import DATA, load_corpus
from gpt_lib.device import device_info, pick_device
from gpt_lib.experiments.results import write_json
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import pick_train_step
from gpt_lib.training import TrainingConfig, train, validation_loss

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
# Label -> what is changed in the modern GPT's config.
SWAPS: Mapping[str, dict[str, Any]] = {
    "nothing": {},
    "LayerNorm for RMSNorm": {"norm": "layer"},
    "learned positions for RoPE": {"positions": "learned"},
    "GELU for ReLU²": {"activation": "gelu"},
    "SwiGLU for ReLU²": {"activation": "swiglu"},
    "no QK-norm": {"qk_norm": False},
    "two heads share a key": {"kv_heads": 1},
    "no quiet start": {"zero_init": False},
    "no pairs": {"bigram_embedding": False},
    "tied embedding": {"tie_embeddings": True},
    "logits capped at 15": {"logit_softcap": 15.0},
}


def measure_swap(swap: str, seed: int) -> dict[str, Any]:
    """Train one model, and score it by a full pass over the validation text: a row."""
    device = pick_device()
    corpus = load_corpus("tinyshakespeare").to(device)
    torch.manual_seed(seed)
    config = ModernConfig(corpus.tokenizer.vocab_size, **SWAPS[swap])
    model = ModernGPT(config).to(device)
    *_, last = train(
        model,
        corpus.train,
        corpus.validation,
        replace(ABLATION_TRAINING, seed=seed),
        step_function=pick_train_step(device),
    )
    return {
        "swap": swap,
        "seed": seed,
        "val_loss": round(validation_loss(model, corpus.validation), 4),
        "seconds": round(last.seconds, 1),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def read_ablation() -> list[dict[str, Any]]:
    """Every run of the committed ablation."""
    return json.loads(ABLATION_RESULTS.read_text(encoding="utf-8"))["results"]


def losses_by_swap() -> dict[str, list[float]]:
    """The losses of each swap, one a seed; swaps from the worst to the best."""
    losses: dict[str, list[float]] = {}
    for row in read_ablation():
        losses.setdefault(row["swap"], []).append(row["val_loss"])
    return dict(sorted(losses.items(), key=lambda item: -statistics.mean(item[1])))


def ablation_chart() -> "Picture":
    """The ablation as a ladder: the mean of each swap, a point for each seed."""
    from gpt_lib import views

    losses = losses_by_swap()
    steps, seeds = ABLATION_TRAINING.steps, len(ABLATION_SEEDS)
    return views.loss_ladder(
        list(losses),
        {"all else equal": list(losses.values())},
        f"One swap at a time, {steps} steps, {seeds} seeds",
    )


def main() -> None:
    """Run what is missing, and save every row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="forget the old runs")
    anew = parser.parse_args().anew
    rows = [] if anew or not ABLATION_RESULTS.exists() else read_ablation()
    done = {(row["swap"], row["seed"]) for row in rows}
    planned = [(swap, seed) for seed in ABLATION_SEEDS for swap in SWAPS]
    for swap, seed in tqdm([run for run in planned if run not in done]):
        rows.append(measure_swap(swap, seed))
        content = {
            "machine": device_info(str(pick_device())),
            "date": date.today().isoformat(),
            "results": rows,
        }
        write_json(ABLATION_RESULTS, content)


if __name__ == "__main__":
    main()
