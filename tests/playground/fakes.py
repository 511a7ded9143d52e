"""Text generators that write what a test wants, when it wants it."""

import threading
import time

import numpy as np
import torch

from gpt_lib.bigram import Bigram
from gpt_lib.generation import SamplingConfig, TextGenerator
from gpt_lib.text import CharTokenizer
from tests.byte_tokenizer import ByteTokenizer

CHARACTERS = "\n :abcdefgh"


class FakeTextGenerator:
    """Writes its letter; says of each token that it has the probabilities 0.1 … 0.4.

    Args:
        letter: one of "abcd".
        gate: a semaphore that each token waits for.
        fail_at: the number of the token at which it fails.
    """

    labels, text_name = "abcd", ""
    tokenizer = CharTokenizer(labels)

    def __init__(self, letter="a", gate=None, fail_at=None):
        self.id, self.gate, self.fail_at = self.labels.index(letter), gate, fail_at
        self.requests, self.forwards = [], 0

    def encode(self, text):
        if "?" in text:
            raise ValueError("'?' at position 0 is not <known>")
        return [0] * len(text)

    def logits(self, ids):
        self.forwards += 1
        return np.log([0.1, 0.2, 0.3, 0.4])

    def probabilities(self, logits, ids, **settings):
        k = settings.get("top_k") or 4
        ranks = np.argsort(np.argsort(-logits))
        weights = np.where(ranks < k, np.exp(logits), 0)
        return weights / weights.sum()

    def uniform(self, seed, position):
        return (seed * 7 + position) % 10 / 10

    def generate(self, ids, length, seed, skip, **settings):
        self.requests.append((len(ids), length, seed, skip, settings))
        for number in range(length):
            if number == self.fail_at:
                raise RuntimeError("out of <ink>")
            if self.gate:
                assert self.gate.acquire(timeout=5)
            yield self.id, 0.25, self.labels[self.id]


class ByteTextGenerator(FakeTextGenerator):
    """Writes the bytes of a text, a token each."""

    tokenizer = ByteTokenizer()
    labels = [*map(tokenizer.label, range(256))]  # noqa: RUF012

    def __init__(self, text):
        super().__init__()
        self.written = text.encode()

    def encode(self, text):
        return self.tokenizer.encode(text).tolist()

    def probabilities(self, logits, ids, **settings):
        return [1 / 256] * 256

    def generate(self, ids, length, seed, skip, **settings):
        for id in self.written[skip : skip + length]:
            yield id, 0.5, ""


class GatedTextGenerator:
    """Writes one letter, a token for each permit that its gate is given."""

    labels = "\nxyab?"
    tokenizer = CharTokenizer(labels)

    def __init__(self, letter="a", fail_at=None):
        self.id, self.fail_at = self.labels.index(letter), fail_at
        self.gate = threading.Semaphore(0)
        self.requests = []

    def encode(self, text):
        if "?" in text:
            raise ValueError("'?' at position 0 is not known")
        return [self.labels.index(letter) for letter in text]

    def generate(self, ids, length, seed=1, skip=0, **settings):
        SamplingConfig(**settings)
        self.requests.append((len(ids), length, skip))
        for number in range(length):
            if number == self.fail_at:
                raise RuntimeError("out of ink")
            assert self.gate.acquire(timeout=5)
            yield self.id, 0.5, self.labels[self.id]


def random_bigram(seed=0, tokenizer=None):
    """A text generator that is quick and whose texts vary."""
    tokenizer = tokenizer or CharTokenizer(CHARACTERS)
    model = Bigram(tokenizer.vocab_size)
    generator = torch.Generator().manual_seed(seed)
    model.bigram_logits.weight.data.normal_(generator=generator)
    return TextGenerator(model, tokenizer)


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
