"""The comparison of tokenizers: its runs, its rates, and the bench beside it."""

import json
from statistics import mean

import pytest

from gpt_lib import catalog
from gpt_lib.course.export import ROOT
from gpt_lib.data import load_corpus
from gpt_lib.experiments import tokenizers
from gpt_lib.experiments.bench.tokenizers import LONG_WORD, vocabulary_of_characters
from gpt_lib.tokens import gpt2_tokenizer


@pytest.fixture
def rates(tmp_path, monkeypatch):
    """A choice in which the middle rate is best, but for one tokenizer."""
    monkeypatch.setattr(tokenizers, "RATE_RESULTS", tmp_path / "rates.json")
    rows = [
        {**run, "validation_loss": abs(run["learning_rate"] - 0.004)}
        for run in tokenizers.planned_rates()
    ]
    rows[2]["validation_loss"] = -1.0
    tokenizers.RATE_RESULTS.write_text(json.dumps(rows), encoding="utf-8")


def test_every_tokenizer_has_three_seeds_on_both_texts_at_its_best_rate(rates):
    planned = list(tokenizers.planned_runs())
    assert len({tuple(run.values()) for run in planned}) == len(planned) == 2 * 5 * 3
    first, *others = tokenizers.TOKENIZERS
    assert {r["learning_rate"] for r in planned if r["tokenizer"] == first} == {0.006}
    assert {r["learning_rate"] for r in planned if r["tokenizer"] in others} == {0.004}


def test_rates_are_tried_with_one_seed_on_the_smaller_text():
    planned = list(tokenizers.planned_rates())
    assert len(planned) == 5 * 3
    assert {(run["text"], run["seed"]) for run in planned} == {("tinyshakespeare", 1)}


def test_steps_are_what_fits_into_the_time(tmp_path, monkeypatch):
    path = tmp_path / "speeds.json"
    path.write_text(json.dumps([{"step_seconds": {"characters": 0.25}}]))
    monkeypatch.setattr(tokenizers, "SPEED_RESULTS", path)
    assert tokenizers.steps_of("characters") == 240


def test_every_planned_run_is_committed_once_and_has_its_steps():
    planned = list(tokenizers.planned_runs())
    rows = tokenizers.read_tokenizer_rows()
    measured = [{key: row[key] for key in planned[0]} for row in rows]
    assert sorted(map(str, measured)) == sorted(map(str, planned))
    for row in rows:
        assert row["steps"] == tokenizers.steps_of(row["tokenizer"])
        assert row["test_bits_per_byte"] > 1


def test_the_readme_has_the_means_of_the_committed_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("*", "")
    names, losses = tokenizers.read_tokenizer_losses()
    for number, name in enumerate(names):
        means = [f"{mean(lists[number]):.3f}" for lists in losses.values()]
        [line] = [
            line
            for line in readme.splitlines()
            if line.startswith(f"| {name}") and line.endswith(f"{' | '.join(means)} |")
        ]
        assert f"| {tokenizers.steps_of(name)} |" in line


def test_a_run_trains_and_scores_in_bits_per_byte(monkeypatch):
    monkeypatch.setattr(tokenizers, "steps_of", lambda tokenizer: 10)
    monkeypatch.setitem(tokenizers.TOKENIZERS, "few", ("bpe", 300))
    row = tokenizers.train_on_tokens("few", "toy-diary", seed=1, learning_rate=0.004)
    assert row["vocab_size"] == 300
    assert 0 < row["test_bits_per_byte"] < 9
    few = load_corpus("toy-diary", catalog.make_tokenizer("bpe", "toy-diary", 300))
    text = few.tokenizer.decode(few.test)
    expected = len(text.encode()) / len(few.test)
    assert tokenizers.bytes_a_token(row) == pytest.approx(expected, rel=0.01)


def test_the_vocabulary_for_hugging_face_is_gpt2s():
    vocabulary, merges = vocabulary_of_characters()
    assert len(vocabulary) == 50256
    assert len(merges) == 50000
    assert merges[0] == ("Ġ", "t")
    assert vocabulary["Ġthe"] == gpt2_tokenizer().encode(" the").item()
    assert len(LONG_WORD) > 0.99e6
