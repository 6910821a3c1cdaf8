"""Which functions of given folders a block of code calls, by the interpreter's own account: a `sys.setprofile` hook.

It sees every Python call of its thread, however the function was reached: an import contract sees only names.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

REPOSITORY = Path(__file__).parents[2]

MAX_CALLS = 50
"""What is kept of one block; the first call says enough."""


@dataclass(slots=True)
class Calls:
    """The calls seen so far, each as `file:function` with the file relative to the repository, in order.

    `is_blind` says that none could be seen: a profiler of C code has the interpreter's one hook.
    """

    seen: list[str] = field(default_factory=list)
    is_blind: bool = False


@contextmanager
def calls_into(*folders: str) -> Iterator[Calls]:
    """Within the block, this thread's calls into Python files below `folders` (relative to the repository) are noted.

    A profile function that was there before is put back afterwards, and is not called in between; a profiler that
    could not be put back (cProfile is one) is left at work, and the block goes unseen.
    """
    found = Calls()
    inside = tuple(f"{REPOSITORY / folder}/" for folder in folders)
    note = found.seen.append

    def look(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(inside) and len(found.seen) < MAX_CALLS:
            code = frame.f_code
            note(f"{Path(code.co_filename).relative_to(REPOSITORY).as_posix()}:{code.co_name}")

    before = sys.getprofile()
    if before is not None and not callable(before):
        found.is_blind = True
        yield found
        return
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)
