"""The trained models that come with the course: `make shipped` trains them again.

Each is a checkpoint in a folder of `data/models`, as lesson 10 writes them; its recipe
is in the catalog.
"""

import argparse
import shutil
from datetime import date

import torch
from tqdm import tqdm

from gpt_lib.catalog import (
    SHIPPED_MODEL_NAMES,
    SHIPPED_MODELS_FOLDER,
    build_model,
    find_recipe,
    make_tokenizer,
    round_to_16_bits,
    save_model,
    shape_from_recipe,
)
from gpt_lib.checkpoints import ModelCard
from gpt_lib.device import device_info, pick_device
from gpt_lib.prepare import prepare_new_text
from gpt_lib.training import evaluate_loss, train

HALF = ("presidents", "austen")  # their weights lie in the file in 16 bits


def train_shipped(name: str) -> ModelCard:
    """Train a model by its recipe, and save it in data/models: its card."""
    device, recipe = pick_device(), find_recipe(name)
    config, text = recipe.training, prepare_new_text(recipe.text)
    tokenizer = make_tokenizer(recipe.tokenizer, text, recipe.vocab_size)
    corpus = text.to_corpus(tokenizer).to(device)
    torch.manual_seed(config.seed)
    model = build_model(name, corpus.tokenizer.vocab_size).to(device)
    with tqdm(total=config.steps, unit="step", desc=name) as bar:
        for record in train(model, corpus.train, corpus.validation, config):
            bar.update(record.step - bar.n)
            bar.set_postfix(loss=f"{record.batch_loss:.3f}", refresh=False)
    if name in HALF:  # before the losses are measured
        round_to_16_bits(model)
    card = ModelCard(
        architecture=recipe.architecture,
        shape=shape_from_recipe(name, corpus.tokenizer.vocab_size),
        tokenizer=corpus.tokenizer.to_card(),
        text=recipe.text,
        text_sha256=corpus.sha256,
        split=corpus.split,
        preparation=text.preparation.to_card(),
        training=config,
        step=config.steps,
        seconds=round(record.seconds),
        validation_loss=round(evaluate_loss(model, corpus.validation), 4),
        test_loss=round(evaluate_loss(model, corpus.test), 4),
        machine=device_info(str(device)),
        date=date.today().isoformat(),
    )
    shutil.rmtree(SHIPPED_MODELS_FOLDER / name, ignore_errors=True)  # git has it
    save_model(SHIPPED_MODELS_FOLDER / name, model, card, half=name in HALF)
    return card


def main() -> None:
    """Train the models that come with the course, and save them under data/models."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    known = ", ".join(SHIPPED_MODEL_NAMES)
    parser.add_argument("names", nargs="*", help=f"of {known}; all by default")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in SHIPPED_MODEL_NAMES]:
        parser.error(f"no model {', '.join(unknown)}: there are {known}")
    for name in names or SHIPPED_MODEL_NAMES:
        card = train_shipped(name)
        print(f"{name}: validation {card.validation_loss}, test {card.test_loss}")


if __name__ == "__main__":
    main()
