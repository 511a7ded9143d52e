"""`gpt-lib doctor`: the machine, and where things are kept."""

from collections.abc import Iterator

import typer

from gpt_lib.cli.options import DeviceOption, exit_exception, runs_folder


def doctor(device: DeviceOption = None) -> None:
    """Is this machine right? What computes, and does it agree with the CPU?"""
    from gpt_lib.device import (
        available_devices,
        device_info,
        reason_to_distrust,
        resolve_device,
    )

    try:
        name = resolve_device(device, available_devices())
    except ValueError as error:
        raise exit_exception(error) from None
    for key, value in device_info(name).items():
        print_row(key, value)
    for key, value in gpu_rows():
        print_row(key, value)
    reason = reason_to_distrust(name)
    print_row("parity", reason or "agrees with the CPU")
    from gpt_lib.catalog import SHIPPED_MODELS_FOLDER
    from gpt_lib.data import DATA

    places = {"texts": DATA, "models": SHIPPED_MODELS_FOLDER, "runs": runs_folder()}
    for key, folder in places.items():
        print_row(key, folder)
    if reason:
        raise typer.Exit(1)


def gpu_rows() -> Iterator[tuple[str, str]]:
    """Number and description of each of NVIDIA's GPUs in this machine."""
    import torch

    from gpt_lib.device import bytes_to_gib

    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        memory = bytes_to_gib(gpu.total_memory)
        capability = f"compute capability {gpu.major}.{gpu.minor}"
        yield f"GPU {number}", f"{gpu.name}, {capability}, {memory:.0f} GiB"


def print_row(key: str, value: object) -> None:
    """Print a name and what it is, in two columns."""
    print(f"{key:14}{value}")
