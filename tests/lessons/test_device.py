"""Choosing a device, with fakes of the machines that are not here."""

import pytest
import torch

from gpt_lib import device as lesson


def test_the_best_device_comes_first_and_the_cpu_is_always_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert lesson.available_devices() == ["cuda", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert lesson.available_devices() == ["cpu"]


@pytest.mark.parametrize("requested", [None, ""])
def test_without_a_request_the_first_device_is_taken(requested):
    assert lesson.resolve_device(requested, ["mps", "cpu"]) == "mps"


def test_a_requested_device_is_taken_or_refused():
    assert lesson.resolve_device("cpu", ["cuda", "cpu"]) == "cpu"
    with pytest.raises(
        ValueError, match=r"GPT_DEVICE=cuda is not available.* mps, cpu"
    ):
        lesson.resolve_device("cuda", ["mps", "cpu"])


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("GPT_DEVICE", "cpu")
    assert lesson.pick_device() == torch.device("cpu")
    monkeypatch.setenv("GPT_DEVICE", "abacus")
    with pytest.raises(ValueError, match="GPT_DEVICE=abacus"):
        lesson.pick_device()


def test_gib():
    assert lesson.bytes_to_gib(3 * 2**29) == 1.5


def test_the_device_info_names_the_machine():
    info = lesson.device_info("cpu")
    assert info["device"] == "cpu"
    assert info["PyTorch"] == torch.__version__
    assert int(info["CPU threads"]) == torch.get_num_threads()
    assert info["name"]
    assert info["memory"].endswith(" GiB")


def test_relative_error_by_hand():
    # the largest difference is 1, the largest size 200
    ours, reference = torch.tensor([100.0, -201.0]), torch.tensor([100.0, -200.0])
    assert lesson.relative_error(ours, reference) == pytest.approx(1 / 200)
    assert lesson.relative_error(-reference, reference) == pytest.approx(2.0)
    # one bad number among good ones, and one that is nearly zero
    ours, reference = torch.tensor([4.0, 4.0, 0.2]), torch.tensor([4.0, 4.0, 0.1])
    assert lesson.relative_error(ours, reference) == pytest.approx(0.1 / 4)


def test_the_probe_learns_and_repeats_itself():
    first, second = lesson.train_probe("cpu"), lesson.train_probe("cpu")
    assert first.keys() == {"forward", "gradient", "20 steps"}
    assert first["20 steps"][-1] < first["20 steps"][0]
    assert all(torch.equal(first[part], second[part]) for part in first)


def test_this_machine_agrees_with_its_cpu(device):
    assert lesson.reason_to_distrust(device.type) is None


@pytest.mark.parametrize("part", ["forward", "gradient", "20 steps"])
@pytest.mark.parametrize("fault", [1.01, torch.nan])
def test_a_device_that_computes_wrong_is_not_trusted(monkeypatch, part, fault):
    correct_probe = lesson.train_probe

    def broken_probe(name):
        results = correct_probe("cpu")
        if name == "cuda":
            results[part] = results[part] * fault
        return results

    monkeypatch.setattr(lesson, "train_probe", broken_probe)
    monkeypatch.setattr(lesson, "available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.delenv("GPT_DEVICE", raising=False)
    assert f"in {part}" in lesson.reason_to_distrust("cuda")
    with pytest.warns(UserWarning, match=f"computing on the CPU.*in {part}"):
        assert lesson.pick_device() == torch.device("cpu")


def test_a_device_that_cannot_compute_gives_the_reason():
    assert lesson.reason_to_distrust("meta").startswith("meta cannot run the probe: ")
