"""The trained model that comes with the course: `make model` trains it again.

Weights are safetensors, which hold numbers and no code; a JSON card says what they are.
"""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from gpt_lib.device import describe, pick_device
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.text import DATA, TEXTS, CharTokenizer, load_text, split
from gpt_lib.training import TrainingConfig, train, validation_loss

WEIGHTS = DATA / "models" / "shakespeare.safetensors"
CARD = WEIGHTS.with_suffix(".json")
TEXT = "tinyshakespeare"
SHAPE = {"context": 128, "width": 160, "heads": 5, "depth": 4}
PLAN = TrainingConfig(steps=3500, learning_rate=4e-3, evaluate_every=500)


def load_shipped() -> tuple[GPT, CharTokenizer, dict[str, Any]]:
    """The model on the CPU, its tokenizer, and its card.

    Raises:
        FileNotFoundError: the files are not there.
    """
    for path in (CARD, WEIGHTS):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path.name} is not in {path.parent}: restore it with git, or train it"
                " again with `make model`"
            )
    card = json.loads(CARD.read_text(encoding="utf-8"))
    model = GPT(GPTConfig(**card["config"]))
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval(), CharTokenizer(card["characters"]), card


def main() -> None:
    """Train the model, and keep it with its card under data/models."""
    device, text = pick_device(), load_text(TEXT)
    tokenizer = CharTokenizer.from_text(text)
    ids = [part.to(device) for part in split(tokenizer.encode(text))]
    torch.manual_seed(PLAN.seed)
    model = GPT(GPTConfig(tokenizer.vocab_size, **SHAPE)).to(device)
    with tqdm(total=PLAN.steps, unit="step") as bar:
        for record in train(model, *ids, PLAN):
            bar.update(record.step - bar.n)
            if record.validation_estimate is not None:
                bar.set_postfix(validation=f"{record.validation_estimate:.3f}")
    card = {
        "config": asdict(model.config),
        "characters": tokenizer.characters,
        "text": TEXT,
        "text_sha256": TEXTS[TEXT].sha256,
        "seed": PLAN.seed,
        "training": asdict(PLAN),
        "command": "make model",
        "validation_loss": round(validation_loss(model, ids[1]), 4),
        "tokens": record.tokens,
        "seconds": round(record.seconds),
        "machine": describe(str(device)),
        "date": date.today().isoformat(),
    }
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    save_file(weights, WEIGHTS)
    CARD.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{WEIGHTS.name}: validation loss {card['validation_loss']}")


if __name__ == "__main__":
    main()
