"""What may be on a disk after a power cut, told from the file steps a process took; the model is `sim.schedule.volume`.

A kill keeps everything the process wrote; a power cut keeps only what was synced. Names are lost each for itself, which
is the weakest promise that POSIX makes.
"""

from collections.abc import Sequence
from pathlib import Path

from sim.schedule.volume import Volume
from tests.worker.writers.file_steps import FileStep

Disk = dict[Path, bytes]


def possible_disks(start: Disk, steps: Sequence[FileStep]) -> list[Disk]:
    """Every different disk a power cut right after `steps` can leave, if `start` was durable before them."""
    volume = Volume[bytes | None](names_in_order=False)
    for folder in sorted(_folders(start, steps)):
        volume.holds(str(folder), None, is_folder=True)
    for path, content in start.items():
        volume.holds(str(path), content)
    for step in steps:
        _take(volume, step)
    found: list[Disk] = []
    for left in volume.disks():
        disk = {Path(path): content for path, content in left.files.items() if content is not None}
        if disk not in found:
            found.append(disk)
    return found


def _folders(start: Disk, steps: Sequence[FileStep]) -> set[Path]:
    """The folders that were there before `steps`."""
    paths = {*start, *(path for step in steps for path in (step.path, step.target) if path is not None)}
    synced = {step.path for step in steps if step.operation == "sync folder"}
    made = {step.path for step in steps if step.operation == "mkdir"}
    return ({folder for path in paths for folder in path.parents} | synced) - made


def _take(volume: Volume[bytes | None], step: FileStep) -> None:
    path, target = str(step.path), str(step.target)
    match step.operation:
        case "create":
            volume.creates(path, b"")
        case "write":
            volume.writes(path, (volume.reads(path) or b"") + step.content)
        case "sync file" | "sync folder":
            volume.syncs(path)
        case "rename":
            volume.renames(path, target)
        case "link":
            volume.links(path, target)
        case "mkdir":
            volume.creates(path, None, is_folder=True)
        case "unlink":
            volume.removes(path)
        case other:
            raise AssertionError(f"no model for {other}")


def read_disk(state: Path) -> Disk:
    """What is in the folder `state` now, the lock aside."""
    return {path: path.read_bytes() for path in sorted(state.iterdir()) if path.is_file() and path.name != ".lock"}


def write_disk(disk: Disk, *, old_state: Path, new_state: Path) -> None:
    """Effects: the files of `disk`, which lay in `old_state` and below it, in the new folder `new_state`."""
    new_state.mkdir(parents=True)
    for path, content in disk.items():
        place = new_state / path.relative_to(old_state)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def inside(state: Path, steps: Sequence[FileStep]) -> list[FileStep]:
    """The steps on the folder `state` and on files in it; not those on the lock file, which carries nothing."""
    return [step for step in steps if step.path == state or (step.path.parent == state and step.path.name != ".lock")]
