"""What each swap of lesson 13 is worth: `make ablation` (10 minutes on two cores).

The modern GPT is trained whole, and with one swap undone or added at a time, on the
same batches, with several seeds. Lesson 13 draws its picture from the file it writes.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from gpt_lib.device import describe, pick_device
from gpt_lib.experiments.results import write_json
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import fast_recipe
from gpt_lib.text import DATA, CharTokenizer, load_text, split
from gpt_lib.training import TrainingConfig, train, validation_loss

if TYPE_CHECKING:
    from gpt_lib.views import Picture

RESULTS = DATA / "results" / "ablation.json"
SEEDS = (1, 2, 3)
PLAN = TrainingConfig(
    steps=200,
    batch=16,
    learning_rate=4e-3,
    warmup=20,
    evaluate_every=10**6,
    evaluation_batches=1,
)
SWAPS: Mapping[str, dict[str, Any]] = {
    "nothing": {},
    "LayerNorm for RMSNorm": {"norm": "layer"},
    "learned positions for RoPE": {"positions": "learned"},
    "GELU for ReLU²": {"bend": "gelu"},
    "SwiGLU for ReLU²": {"bend": "swiglu"},
    "no QK-norm": {"qk_norm": False},
    "two heads share a key": {"key_heads": 1},
    "no quiet start": {"quiet": False},
    "no pairs": {"pairs": False},
    "tied embedding": {"tied": True},
    "logits capped at 15": {"cap": 15.0},
}


def run(swap: str, seed: int) -> dict[str, Any]:
    """Train one model, and score it by a full pass over the hidden text."""
    device = pick_device()
    text = load_text("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(text)
    ids = [part.to(device) for part in split(tokenizer.encode(text))]
    torch.manual_seed(seed)
    model = ModernGPT(ModernConfig(tokenizer.vocab_size, **SWAPS[swap])).to(device)
    config = TrainingConfig(**vars(PLAN) | {"seed": seed})
    *_, last = train(model, *ids, config, learn=fast_recipe(device))
    return {
        "swap": swap,
        "seed": seed,
        "val_loss": round(validation_loss(model, ids[1]), 4),
        "seconds": round(last.seconds, 1),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def read_ablation() -> list[dict[str, Any]]:
    """Every run of the committed ablation."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["results"]


def losses_by_swap() -> dict[str, list[float]]:
    """The losses of each swap's seeds, swaps from the worst to the best."""
    found: dict[str, list[float]] = {}
    for row in read_ablation():
        found.setdefault(row["swap"], []).append(row["val_loss"])
    return dict(sorted(found.items(), key=lambda pair: -statistics.mean(pair[1])))


def picture() -> "Picture":
    """The ablation as a ladder: the mean of each swap, a point for each seed."""
    from gpt_lib import views

    found = losses_by_swap()
    return views.ladder(
        list(found),
        {"all else equal": list(found.values())},
        f"One swap at a time, {PLAN.steps} steps, {len(SEEDS)} seeds",
    )


def main() -> None:
    """Run what is missing, and keep every row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="forget the old runs")
    anew = parser.parse_args().anew
    rows = [] if anew or not RESULTS.exists() else read_ablation()
    done = {(row["swap"], row["seed"]) for row in rows}
    wanted = [(swap, seed) for seed in SEEDS for swap in SWAPS]
    for swap, seed in tqdm([each for each in wanted if each not in done]):
        rows.append(run(swap, seed))
        content = {
            "machine": describe(str(pick_device())),
            "date": date.today().isoformat(),
            "results": rows,
        }
        write_json(RESULTS, content)


if __name__ == "__main__":
    main()
