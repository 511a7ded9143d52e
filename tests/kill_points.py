"""A process that dies before any chosen one of its changes to the file system."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

DIED = 77
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate"}


def is_change(event: str, arguments: tuple) -> bool:
    """Whether an audit event is a change to the file system that is about to happen."""
    if event == "open":
        flags = arguments[2] or 0
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in CHANGES


def dies_before(number: int, action: Callable[[], object]) -> bool:
    """Whether `action`, in a process of its own, died before change `number`.

    It did not if it makes fewer changes. What was written to a file, and was not yet
    brought to the disk, is lost by half.
    """
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, DIED), code
        return code == DIED
    remaining, fsync = [number], os.fsync

    def count_down() -> bool:
        remaining[0] -= 1
        return remaining[0] < 0

    def lose_half(descriptor: int) -> None:
        if count_down():
            remaining[0] = 99  # what follows is not counted
            with suppress(OSError):  # a folder cannot be cut
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os._exit(DIED)
        fsync(descriptor)

    def watch(event: str, arguments: tuple) -> None:
        if is_change(event, arguments) and count_down():
            os._exit(DIED)

    os.fsync = lose_half
    sys.addaudithook(watch)
    try:
        action()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def deaths(action: Callable[[], object]) -> Iterator[int]:
    """Let `action` die before each of its changes: the number of each."""
    for number in count():
        if not dies_before(number, action):
            return
        yield number
