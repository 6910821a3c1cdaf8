"""How many file operations each story has, by kind: the table beside this file, and what strace saw."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

COUNTED = "file operations by strace"
"""The property of a test report that holds a row of the table as strace counts it."""

RECORDED = Path(__file__).with_name("operations.md")
KINDS = ("mkdir", "open", "write", "sync", "truncate", "rename", "link", "unlink")
"""The kinds that the worker makes; any other that strace sees is a difference."""

Counts = Mapping[str, int]

_CALLS = {
    "open": ("open", "openat", "openat2", "creat"),
    "write": ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"),
    "sync": ("fsync", "fdatasync", "syncfs", "sync_file_range", "msync"),
    "truncate": ("ftruncate", "truncate", "fallocate"),
    "rename": ("rename", "renameat", "renameat2"),
    "link": ("link", "linkat"),
    "symlink": ("symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat"),
    "rmdir": ("rmdir",),
    "mkdir": ("mkdir", "mkdirat"),
    "chmod": ("chmod", "fchmod", "fchmodat", "fchmodat2"),
    "chown": ("chown", "fchown", "lchown", "fchownat"),
    "utime": ("utime", "utimes", "futimesat", "utimensat"),
    "xattr": ("setxattr", "fsetxattr", "lsetxattr", "removexattr", "fremovexattr", "lremovexattr"),
    "mknod": ("mknod", "mknodat"),
}
_KIND_OF = {call: kind for kind, calls in _CALLS.items() for call in calls}

STRACE_EVENTS = "trace=" + ",".join(f"?{call}" for call in sorted(_KIND_OF))
"""Every call that changes files; the question mark lets strace pass over one that this machine's kernel lacks."""

_CALL = re.compile(r"^(?:\d+ +)?(?P<name>\w+)\((?P<arguments>.*)$")
_WRITING = re.compile(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|APPEND)\b")
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')


def recorded() -> dict[str, Counts]:
    """The table, by the name of the story."""
    lines = [line for line in RECORDED.read_text().splitlines() if line.startswith("| ")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {
        row[0]: {kind: int(cell) for kind, cell in zip(header[1:-1], row[1:-1], strict=True) if cell != "0"}
        for row in rows
    }


def as_table(counts: Mapping[str, Counts]) -> list[str]:
    """The lines of the table: a row per story, a column per kind and one for all."""
    kinds = [*KINDS, *sorted({kind for count in counts.values() for kind in count} - set(KINDS))]
    return [
        f"| story | {' | '.join(kinds)} | all |",
        f"| --- |{' ---: |' * (len(kinds) + 1)}",
        *(
            f"| {name} | {' | '.join(str(count.get(kind, 0)) for kind in kinds)} | {sum(count.values())} |"
            for name, count in counts.items()
        ),
    ]


def counted_in(trace: Iterable[str], home: Path) -> Counts:
    """The file operations below `home` that strace wrote down (`-f -y`), refused ones too."""
    return dict(Counter(_kinds(trace, str(home))))


def _kinds(trace: Iterable[str], home: str) -> Iterator[str]:
    for line in trace:
        call = _CALL.match(line)
        if call is None or call["name"] not in _KIND_OF:
            continue
        kind, arguments = _KIND_OF[call["name"]], call["arguments"]
        if kind == "open" and call["name"] != "creat" and _WRITING.search(arguments) is None:
            continue
        if any(path == home or path.startswith(f"{home}/") for path in _paths(arguments)):
            yield "rmdir" if "AT_REMOVEDIR" in arguments else kind


def _paths(arguments: str) -> list[str]:
    """The paths that a call is about: that of its descriptor, or those it names."""
    descriptor = _DESCRIPTOR.match(arguments)
    if descriptor is not None and not _PATH.match(arguments):
        return [descriptor["path"]]
    return [str(Path(found["folder"] or "/", found["path"])) for found in _PATH.finditer(arguments)]
