"""`baseline_holdings.json` and `managed_state.json` changed together, or not at all (G-DR-14).

The intent file is the point of no return: before it stands, nothing has changed; once it stands, whoever takes the
home lock next finishes the change. Source: contract §8, "Two files, one change".
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from worker.contracts.commands import CommandId
from worker.contracts.errors import Reason, TransientError
from worker.readers.baseline import Baseline
from worker.readers.document import DamagedFile, exists, read_bytes
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAssets
from worker.readers.pair import Pair, decode_pair, sha256_or_absent
from worker.writers.atomic import (
    HomeWriteError,
    discard,
    is_temp,
    remove,
    rename_over,
    sync_file,
    sync_folder,
    temp_path,
    write_temp,
)
from worker.writers.baseline import encode_baseline, encode_managed_state
from worker.writers.home_lock import HomeLock
from worker.writers.intent import Intent, Side, decode_intent, encode_intent


class TwoFileConflict(TransientError):
    """What is on disk is neither what a change found nor what it leaves; it was left alone, for a person to look at."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            Reason.TWO_FILE_CONFLICT,
            f"{'; '.join(problems)}; nothing was touched: compare with the audit snapshots and restore what belongs "
            "there",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What `recover` found to do: the change it finished, if any, and the leftovers it removed."""

    finished: Intent | None
    removed: tuple[Path, ...]


def change_both(
    home: Home,
    lock: HomeLock,
    *,
    command_id: CommandId,
    attempt: int,
    before: Pair,
    baseline: Baseline,
    managed_state: ManagedAssets,
) -> Pair:
    """Put `baseline` and `managed_state` in place of `before`, together; the new pair.

    The caller holds `lock`, has called `recover`, and has read `before` under this same lock. Both new files carry
    the generation after that of `before`.

    Raises: `TwoFileConflict` if a file is no longer the one in `before`, or an intent stands (nothing has changed);
    `HomeWriteError` (nothing has changed, or the intent stands and the next `recover` finishes the change);
    `ValueError` for contents the schemas refuse or of another generation; `HomeLockNotHeld`.
    Effects: both files, durable on return.
    """
    lock.require_held(home)
    intent = _plan(home, command_id, attempt, before=before, baseline=baseline, managed_state=managed_state)
    _require_unmoved(home, intent)
    with ExitStack() as undo:
        for side in intent.sides:
            temp = temp_path(side.path, owner=intent.owner)
            write_temp(temp, side.after)
            undo.callback(discard, temp)
        intent_temp = temp_path(home.intent, owner=intent.owner)
        write_temp(intent_temp, encode_intent(intent))
        undo.callback(discard, intent_temp)
        rename_over(intent_temp, home.intent)
        # From here on the change can only go forward, and recovery may use the temporary files.
        undo.pop_all()
    sync_folder(home.state)
    for side in intent.sides:
        rename_over(temp_path(side.path, owner=intent.owner), side.path)
    _close(home)
    return decode_pair(home, baseline_content=intent.baseline.after, managed_content=intent.managed_state.after)


def recover(home: Home, lock: HomeLock) -> Recovery:
    """Finish the change a dead attempt left behind, and remove its temporary files.

    To be called each time the lock is taken, before anything is read. Being killed in here is harmless: the next call
    goes on.

    Raises: `TwoFileConflict` when the intent is damaged, or a file is neither as it was before nor as it will be
    after (then nothing is touched); `HomeWriteError` and `UnreadableFile` (call again later); `HomeLockNotHeld`.
    Effects: `state/` and its two folders of files written once.
    """
    lock.require_held(home)
    intent = pending_intent(home)
    if intent is not None:
        _roll_forward(home, intent)
    removed = [temp for folder in (home.state, home.risk_proposals, home.audit_snapshots) for temp in _clean(folder)]
    return Recovery(finished=intent, removed=tuple(removed))


def pending_intent(home: Home) -> Intent | None:
    """The change that is under way or was left behind, None when there is none. It can be read without the lock.

    Raises: `TwoFileConflict` when the intent is damaged; `UnreadableFile`.
    """
    try:
        content = read_bytes(home.intent)
        return None if content is None else decode_intent(content, home=home)
    except DamagedFile as damaged:
        # An intent is put in place whole, so a damaged one is not ours to interpret.
        raise TwoFileConflict([f"{home.intent} is damaged at {damaged.place}: {damaged.problem}"]) from damaged


def _plan(
    home: Home,
    command_id: CommandId,
    attempt: int,
    *,
    before: Pair,
    baseline: Baseline,
    managed_state: ManagedAssets,
) -> Intent:
    generation = before.generation + 1
    found = (baseline.generation, managed_state.generation)
    if found != (generation, generation):
        raise ValueError(f"expected generation {generation} in both files, found {found[0]} and {found[1]}")
    return Intent(
        command_id=command_id,
        attempt=attempt,
        generation=generation,
        baseline=Side(path=home.baseline_holdings, before=before.baseline_sha256, after=encode_baseline(baseline)),
        managed_state=Side(
            path=home.managed_state,
            before=before.managed_state_sha256,
            after=encode_managed_state(managed_state),
        ),
    )


def _require_unmoved(home: Home, intent: Intent) -> None:
    problems = [
        f"{side.path} was {_shown(side.before)} when it was read and is {_shown(found)} now"
        for side in intent.sides
        if (found := sha256_or_absent(read_bytes(side.path))) != side.before
    ]
    if exists(home.intent):
        problems.append(f"{home.intent} of an earlier attempt stands; recovery comes first")
    if problems:
        raise TwoFileConflict(problems)


def _shown(sha256: str) -> str:
    """The first digits of a hash, or `absent`; the log's scrubber takes a whole one for a key."""
    return sha256[:12]


def _roll_forward(home: Home, intent: Intent) -> None:
    waiting: list[Side] = []
    foreign: list[str] = []
    for side in intent.sides:
        found = sha256_or_absent(read_bytes(side.path))
        if found == side.before:
            waiting.append(side)
        elif found != side.after_sha256:
            foreign.append(
                f"{side.path} is {_shown(found)}, expected {_shown(side.before)} (before command {intent.command_id}) "
                f"or {_shown(side.after_sha256)} (after it)"
            )
    if foreign:
        raise TwoFileConflict(foreign)
    # The dead attempt may not have come to this; a rename must not become durable before the intent's own name.
    sync_folder(home.state)
    for side in waiting:
        _prepare(side, owner=intent.owner)
    for side in waiting:
        rename_over(temp_path(side.path, owner=intent.owner), side.path)
    _close(home)


def _prepare(side: Side, *, owner: str) -> None:
    """Have the new content ready in its temporary file: the dead attempt's if it is whole, which needs no space."""
    temp = temp_path(side.path, owner=owner)
    left = read_bytes(temp)
    if left == side.after:
        sync_file(temp)
        return
    if left is not None:
        remove(temp)
    write_temp(temp, side.after)


def _close(home: Home) -> None:
    """Make both renames durable, and only then take the intent away."""
    sync_folder(home.state)
    remove(home.intent)
    sync_folder(home.state)


def _clean(folder: Path) -> list[Path]:
    """Remove the worker's temporary files from `folder`; nobody is alive to finish them, for we hold the lock."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HomeWriteError(folder, operation="list", errno=error.errno) from error
    temps = [folder / name for name in names if is_temp(name)]
    for temp in temps:
        remove(temp)
    if temps:
        sync_folder(folder)
    return temps
