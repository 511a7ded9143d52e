"""Tokenizers beside those of other libraries: learning a vocabulary, and encoding.

Ours are plain Python; the others are written in Rust, and two of them use both cores.
"""

import time
from collections.abc import Callable, Iterator

from gpt_lib.data import load_text
from gpt_lib.experiments.bench.comparison import Comparison, peer_comparisons
from gpt_lib.experiments.interleave import interleave
from gpt_lib.pretrained_files import BYTE_OF_CHARACTER
from gpt_lib.tokens import CUTS, BytePairTokenizer, gpt2_tokenizer

OURS = "tokens of lesson 16"
VOCAB_SIZE, ROUNDS = 4096, 5
MAX_SECONDS = {"tinyshakespeare": 1.5, "sotu": 10.0}  # to learn a vocabulary in
LONG_WORD = "abracadabra" * (10**6 // 11)


def compare_tokenizers() -> Iterator[Comparison]:
    """Learning from two texts, encoding one of them, and one very long word."""
    for name, seconds in MAX_SECONDS.items():
        figures = interleave(learners(load_text(name)), ROUNDS)
        what = f"learning {VOCAB_SIZE:,} tokens from {name}"
        target = f"ours at most {seconds:g} s"
        yield from peer_comparisons(what, "s", figures, target)
    text = load_text()
    speeds = {
        peer: [len(text) / 1e6 / seconds for seconds in times]
        for peer, times in interleave(encoders(text), ROUNDS).items()
    }
    what = "encoding tinyshakespeare by GPT-2's vocabulary"
    yield from peer_comparisons(what, "MB/s", speeds, "ours at least 3 MB/s")
    figures = interleave(encoders_of_words(), ROUNDS)
    what = "encoding a word of a megabyte"
    yield from peer_comparisons(what, "s", figures, "below 1.5: it is linear")


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """A measurement: the seconds that an action takes."""

    def measure() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return measure


def learners(text: str) -> dict[str, Callable[[], float]]:
    """Who learns a vocabulary from `text`."""
    import rustbpe
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def learn_by_tokenizers() -> None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)

    def learn_by_rustbpe() -> None:
        lines = text.splitlines(keepends=True)
        tokenizer = rustbpe.Tokenizer()
        tokenizer.train_from_iterator(lines, VOCAB_SIZE, pattern=CUTS["gpt2"])

    return {
        OURS: timed(lambda: BytePairTokenizer.from_text(text, VOCAB_SIZE)),
        "tokenizers": timed(learn_by_tokenizers),
        "rustbpe": timed(learn_by_rustbpe),
    }


def encoders(text: str) -> dict[str, Callable[[], float]]:
    """Who encodes `text` by the vocabulary of GPT-2."""
    import tiktoken
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    ours = gpt2_tokenizer()
    rust = tiktoken.Encoding(
        "gpt2", pat_str=CUTS["gpt2"], mergeable_ranks=ours.ranks, special_tokens={}
    )
    vocabulary, merges = vocabulary_of_characters()
    face = Tokenizer(models.BPE(vocabulary, merges))
    face.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    face.decoder = decoders.ByteLevel()
    return {
        OURS: timed(lambda: ours.encode(text)),
        "tiktoken": timed(lambda: rust.encode_to_numpy(text, disallowed_special=())),
        "tokenizers": timed(lambda: face.encode(text).ids),
    }


def vocabulary_of_characters() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """GPT-2's vocabulary and merges as Hugging Face writes them, in characters."""
    ours = gpt2_tokenizer()
    character = {byte: written for written, byte in BYTE_OF_CHARACTER.items()}

    def written(id: int) -> str:
        return "".join(character[byte] for byte in ours.tokens[id])

    vocabulary = {written(id): id for id in range(len(ours.tokens))}
    merges = [tuple(map(written, ours.parents(id))) for id in range(256, 50256)]
    return vocabulary, merges


def encoders_of_words() -> dict[str, Callable[[], float]]:
    """One word of a megabyte, and ten of a tenth of it, which are different."""
    tokenizer = gpt2_tokenizer()
    tenth = LONG_WORD[: len(LONG_WORD) // 10]
    ten = " ".join(letter + tenth for letter in "abcdefghij")
    return {
        "one word": timed(lambda: tokenizer.encode(LONG_WORD)),
        "ten words of a tenth": timed(lambda: tokenizer.encode(ten)),
    }
