"""What patience costs and what it saves: whole runs, asked where each would have ended.

`make patience` (10 minutes on two cores) trains a small GPT to its end on three texts
with three seeds, and writes down the losses of every evaluation. Early stopping decides
by the trainer's quick estimates, and is judged by the loss on the test part.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from gpt_lib import catalog
from gpt_lib.data import DATA, Corpus, load_corpus, load_text
from gpt_lib.device import pick_device
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.stopping import copy_weights
from gpt_lib.text import CharTokenizer, train_validation_test_split
from gpt_lib.training import (
    TrainingState,
    evaluate_loss,
    train,
    training_step,
)

EARLY_STOPPING_RESULTS = DATA / "results" / "early_stopping.json"
PATIENCES = range(1, 11)  # evaluations
PATIENCE_SEEDS = (1, 2, 3)
SHAPE = {"context": 64, "width": 96, "heads": 4, "depth": 3}
TRAINING_STEPS = 2000
EVALUATE_EVERY = 100
EVALUATION_BATCHES = 20
MAX_TEST_IDS = 100_000


def load_beginning(name: str, characters: int) -> Corpus:
    """The beginning of a text: a short one is soon known by heart."""
    text = load_text(name)[:characters]
    tokenizer = CharTokenizer.from_text(text)
    parts = train_validation_test_split(tokenizer.encode(text, torch.int16))
    return Corpus(name, "", tokenizer, *parts)


# label -> what loads the text
PATIENCE_TEXTS = {
    "Shakespeare, 40 kB": lambda: load_beginning("tinyshakespeare", 40_000),
    "Austen, 200 kB": lambda: load_beginning("prideandprejudice", 200_000),
    "presidents, 12 MB": lambda: load_corpus("sotu"),
}


def train_to_the_end(text: str, seed: int) -> dict[str, Any]:
    """A whole run: its evaluations, as [step, validation estimate, test loss] each."""
    corpus = PATIENCE_TEXTS[text]().to(pick_device())
    config = replace(
        catalog.find_recipe("gpt").training,
        steps=TRAINING_STEPS,
        warmup_steps=TRAINING_STEPS // 20,
        evaluate_every=EVALUATE_EVERY,
        evaluation_batches=EVALUATION_BATCHES,
        seed=seed,
    )
    torch.manual_seed(seed)
    V = corpus.tokenizer.vocab_size
    model, probe = (  # the second one holds what was evaluated
        catalog.build_model("gpt", V, **SHAPE).to(corpus.train.device) for _ in range(2)
    )
    state, evaluations = TrainingState.start(model, config), []

    def step(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if state.step % EVALUATE_EVERY == 0:  # these weights were evaluated
            probe.load_state_dict(copy_weights(model))
        return training_step(*arguments)

    for record in train(model, corpus.train, corpus.validation, config, state, step):
        if record.validation_estimate is None:
            continue
        if record.step == record.steps:
            probe.load_state_dict(copy_weights(model))
        test_loss = evaluate_loss(probe, corpus.test[:MAX_TEST_IDS])
        numbers = record.validation_estimate, test_loss
        evaluations.append([record.step, *(round(number, 4) for number in numbers)])
    return {"seconds": round(record.seconds, 1), "evaluations": evaluations}


def planned_runs() -> Iterator[dict[str, Any]]:
    """Text and seed of every run."""
    for text in PATIENCE_TEXTS:
        for seed in PATIENCE_SEEDS:
            yield {"text": text, "seed": seed}


def end_by_patience(estimates: list[float], patience: int) -> tuple[int, int]:
    """The number of the evaluation that ends a run, and of the best one up to there."""
    best = number = 0
    for number, estimate in enumerate(estimates):
        if estimate < estimates[best]:
            best = number
        if number - best >= patience:
            break
    return number, best


def cost_and_savings(row: dict[str, Any], patience: int) -> tuple[float, float]:
    """Test loss lost against the whole run, and the fraction of the steps saved.

    Both runs have the weights of their best validation estimate.
    """
    steps, estimates, test_losses = zip(*row["evaluations"])
    end, best = end_by_patience(list(estimates), patience)
    _, best_of_all = end_by_patience(list(estimates), len(estimates))
    return test_losses[best] - test_losses[best_of_all], 1 - steps[end] / steps[-1]


def read_early_stopping() -> tuple[dict[str, list], dict[str, list]]:
    """What each patience costs and saves: text -> for each patience, one a seed."""
    rows, lost, saved = read_json(EARLY_STOPPING_RESULTS), {}, {}
    for text in PATIENCE_TEXTS:
        of_text = [row for row in rows if row["text"] == text]
        pairs = [[cost_and_savings(row, p) for row in of_text] for p in PATIENCES]
        lost[text] = [[cost for cost, _ in seeds] for seeds in pairs]
        saved[text] = [[saving for _, saving in seeds] for seeds in pairs]
    return lost, saved


def main() -> None:
    """Train what is missing."""
    anew = parse_anew(__doc__.splitlines()[0])
    measure_missing(EARLY_STOPPING_RESULTS, planned_runs(), train_to_the_end, anew)


if __name__ == "__main__":
    main()
