"""The committed comparison of tokenizers: complete, and what it says holds."""

import pytest

from gpt_lib.experiments import tokenizers
from gpt_lib.experiments.bench.tokenizers import LONG_WORD, vocabulary_of_characters
from gpt_lib.tokens import gpt2_tokenizer

ROWS = tokenizers.read_tokenizer_rows()


def test_every_tokenizer_has_three_seeds_on_both_texts():
    runs = [(row["tokenizer"], row["text"], row["seed"]) for row in ROWS]
    planned = [(*run.values(),) for run in tokenizers.planned_runs()]
    assert sorted(runs) == sorted(planned)
    assert len(planned) == 2 * 5 * 3


def test_equal_seconds_are_equal():
    for row in ROWS:
        assert row["seconds"] == pytest.approx(tokenizers.TRAINING_SECONDS, rel=0.5)


def test_blocks_have_one_shape_so_parameters_follow_the_vocabulary():
    C = 128
    for row in ROWS:
        blocks = row["parameters"] - row["vocab_size"] * (2 * C + 1)
        assert blocks == ROWS[0]["parameters"] - ROWS[0]["vocab_size"] * (2 * C + 1)


def test_a_run_trains_and_scores_in_bits_per_byte(monkeypatch):
    monkeypatch.setattr(tokenizers, "TRAINING_SECONDS", 0.2)
    monkeypatch.setitem(tokenizers.TOKENIZERS, "few", ("bpe", 300))
    row = tokenizers.train_on_tokens("few", "toy-diary", seed=1)
    assert row["vocab_size"] == 300
    assert 0 < row["test_bits_per_byte"] < 9
    # The same loss, over fewer bytes than tokens have on average.
    assert row["test_bits_per_byte"] < row["test_loss"] / 0.693


def test_the_vocabulary_for_hugging_face_is_gpt2s():
    vocabulary, merges = vocabulary_of_characters()
    assert len(vocabulary) == 50256
    assert len(merges) == 50000
    assert merges[0] == ("Ġ", "t")
    assert vocabulary["Ġthe"] == gpt2_tokenizer().encode(" the").item()
    assert len(LONG_WORD) > 0.99e6
