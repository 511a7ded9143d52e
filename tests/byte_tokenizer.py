"""A tokenizer whose ids are bytes: nothing in the course may rely on characters.

It does not inherit from `Tokenizer`: having the same methods must be enough.
"""

from dataclasses import dataclass

import torch

from gpt_lib.text import TOKENIZER_LOADERS


@dataclass(frozen=True)
class ByteTokenizer:
    """Ids are the bytes of a text in UTF-8: `é` has two, an emoji four."""

    vocab_size = 256
    special = {}  # noqa: RUF012

    @classmethod
    def from_card(cls, card):
        return cls()

    def to_card(self):
        return {"kind": "bytes"}

    def encode(self, text, dtype=torch.long):
        return torch.tensor(list(text.encode()), dtype=dtype)

    def decode(self, ids):
        return bytes(ids.tolist()).decode(errors="replace")

    def token_bytes(self, id):
        return bytes([id])

    def label(self, id):
        return chr(id) if id < 128 else f"<{id:02X}>"


BYTE_TOKENIZERS = TOKENIZER_LOADERS | {"bytes": ByteTokenizer.from_card}
