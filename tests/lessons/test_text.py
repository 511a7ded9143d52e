"""From a text to ids, batches and baselines; every error says what is allowed."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_lib import text as lesson
from gpt_lib.data import load_text
from tests.byte_tokenizer import BYTE_TOKENIZERS, ByteTokenizer


@given(st.text(min_size=1))
def test_decoding_undoes_encoding(text):
    tokenizer = lesson.CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert ids.dtype == torch.long
    assert ids.max() < tokenizer.vocab_size


def test_ids_are_positions_in_the_sorted_vocabulary():
    tokenizer = lesson.CharTokenizer.from_text("cabbage")
    assert tokenizer.characters == "abceg"
    assert tokenizer.encode("bag").tolist() == [1, 0, 4]
    assert tokenizer.encode("").dtype == torch.long


def test_an_unknown_character_is_named_with_its_position():
    tokenizer = lesson.CharTokenizer.from_text("abc")
    with pytest.raises(
        ValueError, match=r"'é' at position 2 is not among the 3 .*'abc'"
    ):
        tokenizer.encode("abé")


def test_a_tokenizer_survives_a_file(tmp_path):
    tokenizer = lesson.CharTokenizer.from_text('é\n"\\😀')
    lesson.save_tokenizer(tokenizer, tmp_path / "t.json")
    assert lesson.load_tokenizer(tmp_path / "t.json") == tokenizer


@pytest.mark.parametrize(
    "tokenizer",
    [lesson.CharTokenizer.from_text("caf\u00e9 \U0001f642"), ByteTokenizer()],
)
def test_every_tokenizer_keeps_its_promises(tokenizer):
    text = "é \U0001f642 café"
    assert isinstance(tokenizer, lesson.Tokenizer)
    ids = tokenizer.encode(text)
    assert ids.dtype == torch.long
    assert 0 <= ids.min() <= ids.max() < tokenizer.vocab_size
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids.tolist())) == text.encode()
    assert all(isinstance(tokenizer.label(id), str) for id in ids.tolist())
    assert tokenizer.special == {}
    card = json.loads(json.dumps(tokenizer.to_card()))
    assert BYTE_TOKENIZERS[card["kind"]](card) == tokenizer


def test_what_lacks_a_method_is_no_tokenizer():
    class OnlyEncodes:
        vocab_size = 256
        encode = ByteTokenizer.encode

    assert not isinstance(OnlyEncodes(), lesson.Tokenizer)


def test_the_label_of_a_character_is_the_character():
    tokenizer = lesson.CharTokenizer.from_text("ab\n")
    assert [tokenizer.label(id) for id in range(3)] == ["\n", "a", "b"]


@given(st.text())
def test_a_decoder_gives_whole_characters_only(text):
    decoder = lesson.TextDecoder(ByteTokenizer())
    pieces = [decoder.feed(id) for id in ByteTokenizer().encode(text).tolist()]
    assert "".join(pieces) == text
    assert [piece for piece in pieces if piece] == list(text)
    assert decoder.finish() == ""


@pytest.mark.parametrize("character", ["é", "€", "\U0001f642"])
def test_a_character_comes_with_its_last_byte(character):
    decoder = lesson.TextDecoder(ByteTokenizer())
    *first, last = ByteTokenizer().encode(character).tolist()
    assert [decoder.feed(id) for id in first] == [""] * len(first)
    assert decoder.feed(last) == character


def test_half_a_character_ends_as_a_replacement_character():
    decoder = lesson.TextDecoder(ByteTokenizer())
    assert decoder.feed(ord("a")) + decoder.feed(0xF0) + decoder.feed(0x9F) == "a"
    assert decoder.finish() == "\ufffd"
    assert decoder.feed(ord("b")) == "b"  # nothing of it is left behind
    assert decoder.feed(0xC3) + decoder.feed(ord("c")) == "\ufffdc"


def test_a_decoder_feeds_on_the_ids_of_characters_as_well():
    tokenizer = lesson.CharTokenizer.from_text("é\U0001f642")
    decoder = lesson.TextDecoder(tokenizer)
    assert [decoder.feed(id) for id in (1, 0, 1)] == ["\U0001f642", "é", "\U0001f642"]


@pytest.mark.parametrize("characters", ["", "aa"])
def test_a_vocabulary_needs_characters_and_each_once(characters):
    with pytest.raises(ValueError, match="each of them once"):
        lesson.CharTokenizer(characters)


@given(st.integers(40, 500))
def test_the_split_loses_nothing_and_shares_nothing(length):
    parts = lesson.train_validation_test_split(torch.arange(length))
    train, validation, test = parts
    assert torch.cat([validation, train, test]).equal(torch.arange(length))
    assert len(validation) == length * 5 // 100
    assert len(train) + len(validation) == length * 90 // 100


def test_the_test_part_is_the_last_tenth_in_every_split():
    ids = torch.arange(1115394)
    for split, begin in (("85/5/10", 55769), ("90/0/10", 0)):
        train, validation, test = lesson.train_validation_test_split(ids, split=split)
        assert (train[0], train[-1]) == (begin, 1003853)
        assert (test[0], test[-1]) == (1003854, 1115393)
    assert validation.equal(test)  # where none was set aside


def test_a_text_too_short_to_split_says_how_long_it_must_be():
    with pytest.raises(ValueError, match=r"leaves 9 .* needs 10: .*at least 200 "):
        lesson.train_validation_test_split(torch.arange(180), context=9)
    parts = lesson.train_validation_test_split(torch.arange(200), context=9)
    assert [len(part) for part in parts] == [170, 10, 20]
    with pytest.raises(ValueError, match=r"leaves 9 .* needs 10: .*at least 100 "):
        lesson.train_validation_test_split(torch.arange(90), 9, "90/0/10")


def test_targets_are_the_inputs_moved_by_one():
    x, y = lesson.inputs_and_targets(torch.arange(12).view(2, 6))
    assert x.tolist() == [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10]]
    assert y.tolist() == [[1, 2, 3, 4, 5], [7, 8, 9, 10, 11]]


def test_batches_are_windows_and_the_seed_decides_which(device):
    ids = torch.arange(50, device=device)
    (x, y), (same, _), (other, _) = (
        lesson.random_batch(ids, 200, 8, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert x.shape == y.shape == (200, 8)
    assert x.device.type == device.type
    assert y.equal(x + 1)
    assert (x[:, 0].min(), x[:, 0].max()) == (0, 41)  # every start, and no more
    assert x.equal(same)
    assert not x.equal(other)


def test_a_text_shorter_than_a_window_is_an_error():
    with pytest.raises(
        ValueError, match=r"8 ids is too short for a context of 8: .* 9"
    ):
        lesson.random_batch(torch.arange(8), 1, 8)
    assert lesson.random_batch(torch.arange(9), 1, 8)[0].shape == (1, 8)


@settings(max_examples=60)
@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 9))
def test_sequential_batches_hold_every_target_once(length, context, batch_size):
    ids = torch.arange(length)
    pairs = list(lesson.sequential_batches(ids, context, batch_size))
    targets = torch.cat([y.flatten() for _, y in pairs])
    assert targets.equal(ids[1:])
    assert all(y.equal(x + 1) and x.size(1) <= context for x, y in pairs)
    assert all(x.size(0) <= batch_size for x, _ in pairs)


def test_the_baselines_on_tiny_shakespeare():
    text = load_text("tinyshakespeare")
    tokenizer = lesson.CharTokenizer.from_text(text)
    train, _, test = lesson.train_validation_test_split(
        tokenizer.encode(text), split="90/0/10"
    )
    losses = lesson.baseline_losses(train, test, tokenizer.vocab_size)
    assert losses["ln V"] == pytest.approx(4.1744, abs=1e-4)
    assert losses["unigram"] == pytest.approx(3.3473, abs=1e-4)
    assert losses["bigram counts"] == pytest.approx(2.4819, abs=1e-4)


def test_the_unigram_loss_by_hand():
    # counts + 1 in training: 3, 2, 1 of 6; scored are the last two: 1 and 2
    train, validation = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])
    expected = (math.log(6 / 2) + math.log(6 / 1)) / 2
    assert lesson.unigram_loss(train, validation, 3) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.long])
def test_the_baselines_read_ids_of_any_type(dtype, device):
    ids = torch.arange(120) * 7 % 11
    expected = lesson.baseline_losses(ids[:90], ids[90:], 11)
    ids = ids.to(dtype).to(device)
    losses = lesson.baseline_losses(ids[:90], ids[90:], 11)
    assert losses == pytest.approx(expected, rel=1e-5)


def test_a_table_for_a_large_vocabulary_is_refused_with_its_size():
    lesson.check_bigram_table_memory(2**14)
    message = r"50,257 × 50,257 numbers would take 9\.4 GiB, and the limit is 1 GiB"
    with pytest.raises(ValueError, match=message):
        lesson.check_bigram_table_memory(50_257)
    ids = torch.arange(10)
    with pytest.raises(ValueError, match=message):
        lesson.bigram_loss(ids, ids, 50_257)
