"""`gpt-lib train` on folders and large files: rules, documents, epochs, patience."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from gpt_lib import catalog, prepare, runs
from gpt_lib.cleaning import CLEANING_RULES, DEFAULT_RULES
from gpt_lib.cli import app, train_run
from gpt_lib.corpus import END_OF_TEXT
from gpt_lib.runs import CheckpointFolder
from gpt_lib.speed import MasterWeightStep
from gpt_lib.training import StepRecord

TINY = ["--context", "16", "--width", "16", "--heads", "2", "--depth", "1"]
TINY += ["--batch-size", "4"]


def call(*words, given=None):
    return CliRunner().invoke(app, [str(word) for word in words], given)


def flat(text):
    return " ".join(text.split())


@pytest.fixture
def notes(folder):
    """A diary of 60 days, one file a day, with what cleaning takes away."""
    (folder / "notes").mkdir()
    for day in range(60):
        month, number = divmod(day, 28)
        text = (
            f"{number + 1}.{month + 1}.2024\n\nI Walked to the mill, day {day}. \n\n\n"
        )
        path = folder / "notes" / f"{day:02}.txt"
        path.write_text(f"{text}\nSee www.mill.org/{day} or ask anna@mill.org.\n")
    return folder


def newest_card(folder, name):
    path = CheckpointFolder(name, folder / "runs").last() / "card.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("tokenizer", ["bpe", "word", "character", "gpt2"])
def test_a_folder_of_notes_becomes_a_model_that_writes(notes, tokenizer):
    size = ["--vocab-size", "300"] if tokenizer in ("bpe", "word") else []
    words = ["train", "notes/", "--clean", "-t", tokenizer, *size, *TINY]
    result = call(*words, "--steps", 20)
    assert result.exit_code == 0, result.output
    assert "talk to it with: gpt-lib chat notes" in flat(result.stdout)
    assert "60 documents, 60 with a date" in flat(result.stderr)
    card = newest_card(notes, "notes")
    assert card["preparation"] == {
        "rules": list(DEFAULT_RULES),
        "by_document": True,
        "version": 1,
    }
    assert card["text"] == str(notes / "notes")
    generator = catalog.load_text_generator("notes", notes / "runs")
    has_end = END_OF_TEXT in generator.tokenizer.special
    assert has_end == (tokenizer != "character")
    words = ["generate", "2024-02-30", "-m", "notes", "--length", 20]
    written = call(*words)
    assert written.exit_code == 0, written.output
    assert written.stdout.startswith("2024-02-30")
    chat = call("chat", "notes", "--length", 10, given="I Walked\n\n")
    assert chat.exit_code == 0, chat.output


def test_a_stopped_run_on_notes_resumes_on_the_same_ids(notes):
    words = ["train", "notes", "--clean", "-t", "bpe", "--vocab-size", 280, *TINY]
    assert call(*words, "--steps", 30, "-n", "whole").exit_code == 0
    assert call(*words, "--steps", 30, "-n", "cut").exit_code == 0
    whole, cut = (CheckpointFolder(name, notes / "runs") for name in ("whole", "cut"))
    for step in cut.steps()[1:]:  # as if it had been killed after its first save
        shutil.rmtree(cut.at(step))
    assert cut.steps()[-1] < 30
    assert call("train", "--resume", "--name", "cut").exit_code == 0
    models = [catalog.load(name, notes / "runs").model for name in ("whole", "cut")]
    for a, b in zip(*(model.state_dict().values() for model in models)):
        assert torch.equal(a, b)
    assert whole.steps()[-1] == cut.steps()[-1] == 30


def test_a_changed_or_added_note_is_another_text(notes):
    assert call("train", "notes", *TINY, "--steps", 5).exit_code == 0
    (notes / "notes" / "new.txt").write_text("1.12.2024\nOne more.")
    result = call("train", "--resume", "--name", "notes")
    assert result.exit_code == 1
    assert "is not the text that this run began with" in flat(result.stderr)


def test_other_versions_of_the_rules_cannot_go_on(notes, monkeypatch):
    assert call("train", "notes", "--clean", *TINY, "--steps", 5).exit_code == 0
    monkeypatch.setattr(prepare, "CLEANING_VERSION", 2)
    result = call("train", "--resume", "--name", "notes")
    assert result.exit_code == 1
    assert "was cleaned by version 1 of the rules" in flat(result.stderr)


def test_rules_by_name_and_a_prompt_that_is_cleaned_alike(folder):
    (folder / "poem.txt").write_text("I Walked To The Mill. \n" * 60)
    words = ["train", "poem.txt", "--rule", "lower-case", "--rule", "spaces", *TINY]
    assert call(*words, "--steps", 5).exit_code == 0
    card = newest_card(folder, "poem")
    assert card["preparation"]["rules"] == ["lower-case", "spaces"]
    assert card["tokenizer"]["characters"] == "".join(
        sorted(set("i walked to the mill.\n"))
    )
    written = call("generate", "I WALKED", "-m", "poem", "--length", 5)
    assert written.exit_code == 0, written.output  # its model knows no capitals
    refused = call("train", "poem.txt", "--rule", "spelling", *TINY, "-n", "x")
    assert refused.exit_code == 1
    known = ", ".join(CLEANING_RULES)
    assert f"no cleaning rule 'spelling': there are {known}" in flat(refused.stderr)


def test_epochs_are_readings_of_the_training_part(folder):
    text = (folder / "rhyme.txt").read_text()
    assert call("train", "rhyme.txt", *TINY, "--epochs", 2).exit_code == 0
    [*_, last] = CheckpointFolder("rhyme", folder / "runs").steps()
    train_ids = len(text) * 90 // 100 - len(text) * 5 // 100
    assert last == -(-2 * train_ids // (4 * 16))
    both = call("train", "rhyme.txt", *TINY, "--epochs", 2, "--steps", 3)
    assert both.exit_code == 2
    assert "give --steps or --epochs, not both" in flat(both.output)


def test_a_run_in_bfloat16_is_resumed_in_bfloat16(folder, monkeypatch):
    used = []

    class Step(MasterWeightStep):
        def __call__(self, *arguments):
            used.append(self.precision)
            return super().__call__(*arguments)

    monkeypatch.setitem(train_run.TRAINING_STEPS, "bfloat16", Step)
    words = ["train", "rhyme.txt", *TINY, "--steps", 6, "--precision", "bfloat16"]
    assert call(*words).exit_code == 0
    assert used == [torch.bfloat16] * 6
    assert newest_card(folder, "rhyme")["precision"] == "bfloat16"
    wrong = call("train", "rhyme.txt", "--precision", "float8")
    assert wrong.exit_code == 2
    assert "float32 or bfloat16" in flat(wrong.output)


def test_a_run_ends_when_its_patience_does(folder):
    """A few lines, learned by heart at a high rate: the validation loss rises."""
    generator = torch.Generator().manual_seed(1)
    letters = torch.randint(6, (900,), generator=generator)
    (folder / "noise.txt").write_text("".join("abcdef"[letter] for letter in letters))
    words = ["train", "noise.txt", *TINY, "--steps", 4000, "--learning-rate", 0.03]
    words += ["--evaluate-every", 20, "--patience", 3]
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert "and stopped early, after" in flat(result.stdout)
    assert "3 evaluations were no better" in flat(result.stdout)
    run = CheckpointFolder("noise", folder / "runs")
    last = newest_card(folder, "noise")
    assert last["patience"] == 3
    estimates = [
        (record["validation_estimate"], record["step"])
        for record in last["history"]
        if record["validation_estimate"] is not None
    ]
    _, best_step = min(estimates)
    assert estimates[-1][1] - best_step == 3 * 20
    best = runs.best_checkpoint(run)
    # The record was made before a step, and what is saved after it.
    assert abs(int(best.name.removeprefix("step-")) - best_step) <= 1
    assert best.name in result.stdout
    steps = run.steps()
    again = call("train", "--resume", "--name", "noise")
    assert again.exit_code == 0
    assert "and stopped early" in flat(again.stdout)
    assert run.steps() == steps


def test_without_patience_a_run_goes_to_its_end(folder):
    words = ["train", "rhyme.txt", *TINY, "--steps", 60, "--evaluate-every", 5]
    assert "stopped early" not in flat(call(*words).stdout)
    assert newest_card(folder, "rhyme")["step"] == 60


@pytest.mark.parametrize(("patience", "is_too_much"), [(11, False), (12, True)])
def test_a_patience_that_cannot_end_a_run_is_said(folder, patience, is_too_much):
    words = ["train", "rhyme.txt", *TINY, "--steps", 60, "--evaluate-every", 5]
    result = call(*words, "--patience", patience)
    assert result.exit_code == 0
    assert ("after its first evaluation it has 12" in result.stderr) == is_too_much


def test_an_interrupt_of_the_last_losses_says_that_the_model_is_there(
    folder, monkeypatch
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_run, "evaluate_loss", interrupt)
    result = call("train", "rhyme.txt", *TINY, "--steps", 5)
    assert result.exit_code == 130
    assert "rhyme is trained and saved, but its losses" in flat(result.stdout)


def test_a_new_run_reads_its_text_once(notes, monkeypatch):
    read, load_entries = [], prepare.load_entries
    monkeypatch.setattr(
        prepare, "load_entries", lambda name: read.append(name) or load_entries(name)
    )
    result = call("train", "notes", *TINY, "--steps", 2)
    assert result.exit_code == 0, result.output
    assert read == ["notes"]


@pytest.mark.parametrize("option", ["--clean", "--patience=3", "--precision=bfloat16"])
def test_a_resumed_run_keeps_its_own_settings(folder, option):
    result = call("train", "--resume", "--name", "x", option)
    assert result.exit_code == 2
    name = option.removeprefix("--").partition("=")[0]
    assert f"leave out {name}" in flat(result.output)


def test_a_large_text_is_tokenized_once(folder, monkeypatch):
    monkeypatch.setattr(prepare, "LARGE_TEXT_BYTES", 1000)
    monkeypatch.setattr(prepare, "READ_CHARACTERS", 500)
    monkeypatch.setattr(prepare, "DATA", folder / "data")
    (folder / "big.txt").write_text("Row, row, row your boat. " * 80 + END_OF_TEXT)
    words = ["train", "big.txt", "-t", "bpe", "--vocab-size", 280, *TINY, "--steps", 5]
    result = call(*words)
    assert result.exit_code == 0, result.output
    [ids] = (folder / "data" / "tokens").rglob("*.bin")
    before = ids.stat().st_mtime_ns
    assert call("train", "--resume", "--name", "big").exit_code == 0
    assert ids.stat().st_mtime_ns == before
    assert newest_card(folder, "big")["preparation"] == {}


def test_a_data_set_without_its_library_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    result = call("train", "hf:a/b", *TINY)
    assert result.exit_code == 1
    assert "pip install datasets" in flat(result.stderr)


def test_a_folder_without_text_is_one_line(folder):
    (folder / "empty").mkdir()
    result = call("train", "empty")
    assert result.exit_code == 1
    assert "has no text: give a folder with files .md, .txt" in flat(result.stderr)


def test_patience_counts_only_evaluations():
    records = [StepRecord(n, 9, 1, 1, 1, 1, 1, 1, None) for n in range(5)]
    records.append(replace(records[0], validation_estimate=1.0))
    assert train_run.evaluations_since_best(records) == 0
