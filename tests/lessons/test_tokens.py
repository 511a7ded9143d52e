"""Lesson 16: vocabularies of several bytes a token, equal to those of known peers."""

import json
import math
import pickle
import tracemalloc
from collections import Counter
from itertools import chain, pairwise

import pytest
import regex
import rustbpe
import tiktoken
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_lib import tokens as lesson
from gpt_lib.data import load_text
from gpt_lib.text import CharTokenizer, TextDecoder, Tokenizer

SINGLES = tuple(bytes([byte]) for byte in range(256))
# Characters of one to four bytes, marks that join the one before, white space of all
# kinds, what GPT-2's cut looks for, and whole special tokens.
# Programs know different versions of Unicode, and so other letters: none after 14.
ASSIGNED = st.characters(exclude_categories=["Cn", "Cs"])
PIECES = st.one_of(
    st.text(ASSIGNED, max_size=8),
    st.text("ab '\n", max_size=8),
    st.sampled_from(
        [
            "<|endoftext|>",
            "<|endof",
            "'ll",
            "'s",
            "  ",
            "\r\n",
            "e\u0301",
            "🙂",
            "\u3000",
        ]
    ),
)
UNICODE_TEXTS = st.lists(PIECES, max_size=8).map("".join)


@pytest.fixture(scope="module")
def shakespeare():
    return load_text()


@pytest.fixture(scope="module")
def words(shakespeare):
    return lesson.count_chunks(shakespeare)


@pytest.fixture(scope="module")
def bpe(shakespeare):
    return lesson.BytePairTokenizer.from_text(shakespeare[:200_000], 1024)


@pytest.fixture(scope="module")
def gpt2():
    return lesson.gpt2_tokenizer()


@pytest.fixture(scope="module")
def tiktoken_gpt2(gpt2):
    return tiktoken.Encoding(
        "gpt2",
        pat_str=lesson.CUTS["gpt2"],
        mergeable_ranks=gpt2.ranks,
        special_tokens=gpt2.special,
    )


def joined(merges):
    return [left + right for left, right in merges]


# Learning


def recounted_merges(words, count, key):
    """Merges by counting everything anew each time; of equals the smallest key."""
    words = {tuple(bytes([byte]) for byte in word): n for word, n in words.items()}
    merges = []
    while len(merges) < count:
        counts = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                counts[pair] += n
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], key(pair)))
        merges.append(best)
        after = Counter()
        for word, n in words.items():
            parts, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == best else 1
                parts.append(b"".join(word[i : i + step]))
                i += step
            after[tuple(parts)] += n
        words = after
    return merges


def test_merges_by_the_rule_of_cs336_are_those_of_counting_anew(words):
    few = dict(Counter(words).most_common(1500))

    def greatest(pair):
        return tuple([*(255 - byte for byte in part), 256] for part in pair)

    merges = lesson.learn_merges(few, 256 + 250, ties="greatest bytes")
    assert merges == recounted_merges(few, 250, greatest)


def test_merges_are_those_of_rustbpe(shakespeare, words):
    peer = rustbpe.Tokenizer()
    peer.train_from_iterator([shakespeare], 4096, pattern=lesson.CUTS["gpt2"])
    theirs = [bytes(token) for token, _ in peer.get_mergeable_ranks()]
    ours = lesson.learn_merges(words, 4096, ties="first ids")
    assert [*SINGLES, *joined(ours)] == theirs


def unicode_of_bytes():
    """GPT-2's characters for bytes, as other programs write them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + n): byte for n, byte in enumerate(hidden)
    }


def test_merges_are_those_of_hugging_face(shakespeare, words):
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=4096, initial_alphabet=alphabet, show_progress=False
    )
    peer.train_from_iterator([shakespeare], trainer)
    byte_of = unicode_of_bytes()
    theirs = [
        tuple(bytes(byte_of[c] for c in side) for side in pair)
        for pair in json.loads(peer.to_str())["model"]["merges"]
    ]
    assert lesson.learn_merges(words, 4096, ties="first GPT-2 ids") == theirs


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text("ab", min_size=1, max_size=7), st.integers(1, 4), max_size=8
    )
)
def test_the_lazy_heap_is_counting_anew(few):
    words = {word.encode(): n for word, n in few.items()}
    ours = lesson.learn_merges(words, 256 + 6)
    assert joined(ours)[:6] == joined(recounted_merges_by_ids(words, 6))[:6]


def recounted_merges_by_ids(words, count):
    """The same, of equals the pair whose ids are smallest."""
    known = {}

    def ids(pair):
        return tuple(part[0] if len(part) == 1 else known[part] for part in pair)

    merges = []
    for number in range(count):
        merges = recounted_merges(words, number + 1, ids)
        if len(merges) <= number:
            break
        known.setdefault(b"".join(merges[-1]), 256 + len(known))
    return merges


@pytest.mark.parametrize("rule", lesson.TIES)
def test_a_tie_is_decided_by_the_rule_not_by_the_order_of_the_words(rule):
    words = {b"xy": 2, b"ab": 2, b" z": 2, b"\nq": 2}
    backwards = dict(reversed(words.items()))
    assert lesson.learn_merges(words, 260, rule) == lesson.learn_merges(
        backwards, 260, rule
    )


def test_an_unknown_rule_lists_those_that_there_are():
    with pytest.raises(ValueError, match=r"ties='mine' must be one of 'first ids', "):
        lesson.learn_merges({b"ab": 1}, 300, "mine")


def test_a_merge_makes_no_token_of_a_text_without_pairs():
    assert lesson.learn_merges({b"a": 3}, 300) == []
    assert lesson.BytePairTokenizer.from_text("a b", 300).vocab_size == 257


def test_no_token_crosses_a_cut(bpe):
    pattern = regex.compile(lesson.CUTS["gpt2"])
    for token in bpe.tokens[256:]:
        text = token.decode(errors="replace")
        assert pattern.findall(text) == [text]


def test_special_tokens_are_no_text_to_learn_from():
    text = "aa<|end|>aa<|end|>aa"
    tokenizer = lesson.BytePairTokenizer.from_text(text, 300, ("<|end|>",))
    assert tokenizer.tokens[256:] == (b"aa",)
    assert tokenizer.special == {"<|end|>": 257}


# Cutting


@given(
    UNICODE_TEXTS,
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from([*lesson.CUTS]),
)
def test_blocks_are_cut_like_the_whole_text(text, places, cut):
    places = sorted({min(place, len(text)) for place in places})
    blocks = [text[a:b] for a, b in pairwise([0, *places, len(text)])]
    special = ("<|endoftext|>", "<|endoftext|>" * 2, "'l")
    for names in ((), special):
        whole = lesson.split_chunks(text, cut, names)
        assert "".join(whole) == text
        chunks = [*chain.from_iterable(lesson.stream_chunks(blocks, cut, names))]
        if cut == "none" and not names:
            chunks, whole = ["".join(chunks)], ["".join(whole)]
        assert chunks == whole


# Encoding and decoding


@given(UNICODE_TEXTS)
def test_every_text_comes_back(bpe, text):
    word = lesson.WordTokenizer(bpe.tokens)
    for tokenizer in (bpe, word, lesson.BytePairTokenizer(SINGLES)):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert b"".join(map(tokenizer.token_bytes, ids.tolist())) == text.encode()


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(UNICODE_TEXTS)
def test_ten_thousand_texts_have_the_ids_of_tiktoken(gpt2, tiktoken_gpt2, text):
    check_ids_are_those_of_tiktoken(gpt2, tiktoken_gpt2, text)


@settings(deadline=None)
@given(UNICODE_TEXTS)
def test_gpt2_ids_are_those_of_tiktoken(gpt2, tiktoken_gpt2, text):
    check_ids_are_those_of_tiktoken(gpt2, tiktoken_gpt2, text)


def check_ids_are_those_of_tiktoken(gpt2, tiktoken_gpt2, text):
    assert gpt2.encode(text).tolist() == tiktoken_gpt2.encode_ordinary(text)
    theirs = tiktoken_gpt2.encode(text, allowed_special="all")
    assert gpt2.encode(text, with_special=True).tolist() == theirs
    assert gpt2.decode(torch.tensor(theirs, dtype=torch.long)) == text


def test_gpt2_ids_of_a_long_text_are_those_of_tiktoken(
    gpt2, tiktoken_gpt2, shakespeare
):
    ids = gpt2.encode(shakespeare)
    assert ids.tolist() == tiktoken_gpt2.encode_ordinary(shakespeare)
    assert len(ids) == 338_025


@pytest.mark.parametrize("block_size", [1, 5, 1000])
def test_the_size_of_the_blocks_changes_nothing(monkeypatch, gpt2, block_size):
    text = load_text()[:3000] + "<|endoftext|>" * 3 + " 'll\r\n\r\n🙂"
    expected = gpt2.encode(text), gpt2.encode(text, with_special=True)
    monkeypatch.setattr(lesson, "BLOCK_SIZE", block_size)
    for ids, with_special in zip(expected, (False, True)):
        assert torch.equal(gpt2.encode(text, with_special=with_special), ids)


def test_of_overlapping_special_tokens_the_longest_counts(bpe):
    names = ("<|end|>", "<|end|><|end|>")
    tokenizer = lesson.BytePairTokenizer(bpe.tokens, names)
    ids = tokenizer.encode("a<|end|><|end|>b<|end|>", with_special=True).tolist()
    assert [tokenizer.label(id) for id in ids] == [
        "a", "<|end|><|end|>", "b", "<|end|>",
    ]  # fmt: skip


def test_a_special_token_in_a_text_is_text_unless_asked(bpe):
    tokenizer = lesson.BytePairTokenizer(bpe.tokens, ("<|end|>",))
    ids = tokenizer.encode("<|end|>")
    assert max(ids) < len(bpe.tokens)
    assert tokenizer.decode(ids) == "<|end|>"


def test_encoding_a_stream_takes_little_memory(shakespeare, bpe):
    blocks = [shakespeare[at : at + 2000] for at in range(0, len(shakespeare), 2000)]
    tokenizer = lesson.BytePairTokenizer(bpe.tokens)
    assert tokenizer.ranks  # which are no memory of the text
    tracemalloc.start()
    total = sum(len(ids) for ids in tokenizer.encode_blocks(blocks, torch.int16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == len(bpe.encode(shakespeare))
    assert peak < 2.5e6


class CountingTokenizer(lesson.BytePairTokenizer):
    """A tokenizer that lists the chunks that it has encoded."""

    @property
    def encoded(self):
        return self.__dict__.setdefault("encoded chunks", [])

    def encode_chunk(self, chunk):
        self.encoded.append(chunk)
        return super().encode_chunk(chunk)


def test_many_texts_with_the_same_words_encode_each_once(bpe):
    tokenizer = CountingTokenizer(bpe.tokens)
    for _ in range(3):
        tokenizer.encode("the king, the king")
    assert tokenizer.encoded == [b"the", b" king", b",", b" the"]


def test_a_long_chunk_is_not_remembered(bpe):
    tokenizer = CountingTokenizer(bpe.tokens)
    for _ in range(2):
        tokenizer.encode("z" * (lesson.CACHED_LENGTH + 1))
    assert len(tokenizer.encoded) == 2


def test_what_a_tokenizer_remembers_is_not_sent_to_a_process(bpe):
    bpe.encode("the king")
    sent = pickle.loads(pickle.dumps(bpe))
    assert sent == bpe
    assert {*vars(sent)} == {"tokens", "special_tokens", "cut"}
    assert sent.encode("the king").equal(bpe.encode("the king"))


def test_encoding_takes_less_than_twenty_times_the_text(shakespeare, bpe):
    tracemalloc.start()
    bpe.encode(shakespeare)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(shakespeare)


class CountingRanks(dict):
    """Ranks that count how often they are asked."""

    asked = 0

    def get(self, *arguments):
        self.asked += 1
        return super().get(*arguments)


def test_one_long_word_takes_linear_work(bpe):
    asked = []
    for size in (10_000, 80_000):
        word = (b"abracadabra" * (size // 11 + 1))[:size]
        ranks = CountingRanks(bpe.ranks)
        parts = lesson.merge_lowest_ranks([bytes([b]) for b in word], ranks)
        assert b"".join(parts) == word
        asked.append(ranks.asked)
    assert asked[1] < 8.1 * asked[0]


def test_half_a_character_is_shown_by_no_decoder(bpe):
    decoder, written = TextDecoder(bpe), ""
    for id in bpe.encode("né 🙂!").tolist():
        new = decoder.feed(id)
        assert "\ufffd" not in new
        written += new
    assert written == "né 🙂!"
    assert bpe.decode(bpe.encode("é")[:1]) == "\ufffd"
    assert bpe.label(0xC3) == "\\xc3"


def test_the_parents_of_a_token_are_two_earlier_ones(bpe, gpt2):
    for tokenizer in (bpe, gpt2):
        for id in [*range(256, 400), len(tokenizer.tokens) - 1]:
            left, right = tokenizer.parents(id)
            assert max(left, right) < id
            token = tokenizer.token_bytes(left) + tokenizer.token_bytes(right)
            assert token == tokenizer.token_bytes(id)
    assert bpe.parents(65) == gpt2.parents(50256) == []


def test_words_that_are_not_known_are_bytes():
    tokenizer = lesson.WordTokenizer.from_text("to be or not to be", 258)
    assert tokenizer.tokens[256:] == (b" be", b" not")
    assert tokenizer.encode(" be or").tolist() == [256, *b" or"]


# Saving


@pytest.mark.parametrize("kind", ["bpe", "gpt2", "words"])
def test_a_card_makes_the_same_tokenizer(kind, bpe, gpt2):
    names = "<|a|>", "<|b|>"
    tokenizer = {
        "bpe": lesson.BytePairTokenizer(bpe.tokens, names),
        "gpt2": gpt2,
        "words": lesson.WordTokenizer(bpe.tokens[:300], names, "none"),
    }[kind]
    assert isinstance(tokenizer, Tokenizer)
    card = json.loads(json.dumps(tokenizer.to_card()))
    again = lesson.SUBWORD_LOADERS[card["kind"]](card)
    assert again == tokenizer
    assert type(again) is type(tokenizer)
    assert len(json.dumps(gpt2.to_card())) < 200


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": SINGLES[1:]}, "the first 256 tokens must be the 256 single bytes"),
        ({"tokens": (*SINGLES, b"ab", b"ab")}, "every token must stand once"),
        ({"tokens": (*SINGLES, b"")}, "every token must stand once and have bytes"),
        ({"special_tokens": ("<|a|>", "<|a|>")}, "must be different texts"),
        ({"special_tokens": ("",)}, "none empty"),
        ({"cut": "mine"}, "cut='mine' must be one of 'gpt2', 'smollm', 'none'"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        lesson.BytePairTokenizer(**{"tokens": SINGLES, **change})


@pytest.mark.parametrize("kind", [lesson.WordTokenizer, lesson.BytePairTokenizer])
def test_a_vocabulary_smaller_than_bytes_and_special_tokens_is_refused(kind):
    with pytest.raises(
        ValueError, match="vocab_size=256 must be at least 257: 256 byt"
    ):
        kind.from_text("some text", 256, ("<|end|>",))


def test_a_surrogate_is_named(bpe):
    with pytest.raises(ValueError, match=r"'\\ud83d' is one half of a character"):
        bpe.encode("ab\ud83d")


def test_ids_that_are_none_are_named(bpe):
    for id in (-1, bpe.vocab_size):
        with pytest.raises(ValueError, match=f"id {id} must be from 0 to 1023"):
            bpe.decode(torch.tensor([id]))


RANKS = b"YQ== 0\nYg== 1\nYWI= 2\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RANKS.replace(b" 1", b" 7"), "rank 1 is missing: 3 tokens need 0 to 2"),
        (RANKS.replace(b" 1", b" 0"), "rank 0 stands twice, the second time in line 2"),
        (RANKS.replace(b"Yg==", b"Y!"), "line 2 is no token and rank"),
        (RANKS.replace(b"== 1", b"==1"), "line 2 is no token and rank"),
        (RANKS.replace(b" 1", b" one"), "line 2 is no token and rank"),
    ],
)
def test_a_file_of_ranks_with_a_hole_or_a_double_is_refused(content, message):
    assert lesson.parse_ranks(RANKS) == [b"a", b"b", b"ab"]
    with pytest.raises(ValueError, match=message):
        lesson.parse_ranks(content)


def test_the_card_of_another_gpt2_is_refused():
    with pytest.raises(ValueError, match="sha256 'x' must be 306cd27f"):
        lesson.GPT2Tokenizer.from_card({"kind": "gpt2", "sha256": "x"})


def test_a_tokenizer_of_characters_has_the_same_bits_of_a_uniform_model(shakespeare):
    # The example of the lesson, by hand.
    tokenizer = CharTokenizer.from_text(shakespeare)
    bits = math.log(tokenizer.vocab_size) / math.log(2)
    assert bits == pytest.approx(6.02, abs=0.005)
