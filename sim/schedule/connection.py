"""The connection of an actor: every BEGIN, statement and COMMIT on it is a step, and nothing above it knows.

psycopg lets every wait for the server go through `Connection.wait`, every command of its own through `_exec_command`
and every statement through `_start_query`; this class stands in those three places. It is handed to SQLAlchemy as the
function that connects, so services and worker are as they are. Outside an actor it is a plain connection.
"""

import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from psycopg import sql
from psycopg.abc import RV, PQGen
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.waiting import Ready, Wait

from sim.schedule.gate import Done, Effect, Isolation, Verdict
from sim.schedule.greenlets import ActorGone, GreenletSeat, current
from sim.schedule.handlers_of_use import HandlersOfUse
from sim.schedule.step import Statement, read_statement

_IDLE = TransactionStatus.IDLE
_ENDS = {"commit": Effect.COMMIT, "rollback": Effect.ROLLBACK, "begin": Effect.NONE}
_ON_ROWS = frozenset(
    {
        *("begin", "commit", "rollback", "savepoint", "release", "show"),
        *("select", "select-for-update", "insert", "update", "delete", "merge"),
    }
)
"""Verbs whose steps do nothing but with transactions and rows; SHOW is read with the rest."""

_ANSWER_BYTES = 65_536
_KEEPS_LOCKS = (Effect.NONE, Effect.READ)


class GateConnection(HandlersOfUse):
    """A psycopg connection whose steps are an actor's where an actor uses it.

    `take_back` is asked at `close`: True keeps the session open for whoever connects next.
    """

    take_back: "Callable[[GateConnection], bool] | None" = None
    leaves_nothing = True
    """Whether nothing was said on it that would be seen by the next one on the same session."""

    is_cut = False
    on_cut: "Callable[[int], None] | None" = None
    """Called with the number of the server's process whose client has just gone."""

    owner: GreenletSeat | None = None
    """The actor that uses it, or used it last."""

    deadlock_timeout_ms: int | None = None
    """After how long it looks for a deadlock when it waits; None for the server's own setting."""

    _seat: GreenletSeat | None = None
    """The actor whose wait for the server is under way; None where that is nobody's step."""

    _query: Any = None
    _cursor: "psycopg.Cursor[Any] | None" = None
    _effect: Effect | None = None
    default_isolation = Isolation.READ_COMMITTED
    """What a transaction of this session has that asks for nothing."""

    _isolation = Isolation.READ_COMMITTED
    _loses_reply = False
    _statement: Statement | None = None
    _hides = False
    """Something was done in the open transaction whose rows do not bear its number, such as a savepoint."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As psycopg's."""
        super().__init__(*arguments, **named)
        self._prepared_as: dict[bytes, bytes] = {}
        """What was asked in this session, and as what it is prepared there."""
        self._questions = count()

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's; in an actor the hub decides when it goes on."""
        seat = current()
        self._seat = seat = None if seat is None or seat.is_abandoned or timeout is not None else seat
        if seat is None:
            return super().wait(gen, interval, timeout)
        seat.uses(self)
        # What it is about is in the generator's own variables; those written in C have none.
        frame = getattr(gen, "gi_frame", None)
        told = {} if frame is None else frame.f_locals
        owner = told.get("self")
        self._cursor = owner if isinstance(owner, psycopg.Cursor) else None
        self._query, self._effect = told.get("query"), None
        try:
            return self._driven(seat, gen)
        except psycopg.Error as error:
            if seat.is_abandoned:
                raise ActorGone from error
            self._did(seat, (error.sqlstate or type(error).__name__).encode())
            raise

    def close(self) -> None:
        """Effects: the session is kept for the next one who connects, or ended where nobody takes it."""
        if self.take_back is None or self.closed or not self.take_back(self):
            super().close()

    def roll_back(self) -> None:
        """Effects: no transaction is open, as after a client that went away; no step for anybody."""
        if self.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            self.pgconn.exec_(b"ROLLBACK")

    def hang_up(self) -> None:
        """Effects: the connection is cut, as by a network that went away; the server sees its client gone."""
        if self.is_cut:
            return
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        self._was_cut()

    def _was_cut(self) -> None:
        self.is_cut = True
        if self.on_cut is not None:
            self.on_cut(self.pgconn.backend_pid)

    def _driven(self, seat: GreenletSeat, gen: PQGen[RV]) -> RV:
        pid, descriptor = self.pgconn.backend_pid, self.pgconn.socket
        try:
            state = next(gen)
            while True:
                seat.wait_for(descriptor, pid, writable=state is not Wait.R)
                if self._loses_reply:
                    self._lose_reply(descriptor)
                state = gen.send(Ready.R if state is Wait.R else Ready.RW)
        except StopIteration as end:
            self._did(seat, b"" if self._cursor is None else _digest(self._cursor))
            if seat.is_abandoned:
                raise ActorGone from None
            returned: RV = end.value
            return returned

    def _exec_command(self, command: Any, *rest: Any, **named: Any) -> PQGen[Any]:
        seat = self._seat
        if seat is not None and not seat.is_abandoned:
            self._park(seat, _read(command, self))
        return (yield from super()._exec_command(command, *rest, **named))

    def _start_query(self) -> PQGen[None]:
        seat = self._seat
        yield from super()._start_query()
        if seat is None or seat.is_abandoned:
            return
        if self._effect is not None:  # the BEGIN that psycopg has just sent was a step of its own
            self._did(seat, b"")
        statement = _read(self._query, self)
        if statement.keeps_in_session:
            self.leaves_nothing = False
        self._park(seat, statement)

    def _park(self, seat: GreenletSeat, statement: Statement) -> None:
        effect = self._effect_of(statement)
        if statement.isolation is not None:
            self._isolation = Isolation(statement.isolation)
        verdict = seat.park(
            statement.verb,
            statement.target,
            effect,
            isolation=self._isolation,
            is_blind=statement.is_blind,
            changes_schema=statement.changes_schema,
            adds_to_schema=statement.adds_to_schema,
            drops_tables=statement.drops_tables,
            ends_transaction=statement.verb in ("commit", "rollback") and effect in (Effect.COMMIT, Effect.ROLLBACK),
        )
        if statement.isolation is not None and statement.sets_default:
            self.default_isolation = self._isolation
        self._effect, self._statement = effect, statement
        if verdict is Verdict.CUT:
            self.hang_up()
        self._loses_reply = verdict is Verdict.DROP_REPLY

    def _effect_of(self, statement: Statement) -> Effect:
        if statement.is_script:
            return Effect.OTHER
        if statement.verb in _ENDS:
            return Effect.WRITE if statement.target else _ENDS[statement.verb]
        if statement.only_reads:
            return Effect.READ
        if statement.verb not in _ON_ROWS or statement.verb == "show":
            return Effect.OTHER
        is_alone = self.autocommit and self.pgconn.transaction_status == _IDLE
        return Effect.COMMIT if is_alone else Effect.WRITE

    def _did(self, seat: GreenletSeat, result: bytes) -> None:
        if self._effect is None:
            return
        status, effect, statement = self.pgconn.transaction_status, self._effect, self._statement
        in_transaction = status != _IDLE
        shows = statement is not None and statement.shows_in_rows
        self._hides = in_transaction and (self._hides or (effect in (Effect.WRITE, Effect.OTHER) and not shows))
        is_well = status == TransactionStatus.INTRANS
        seat.did(
            Done(
                effect=effect,
                result=result,
                in_transaction=in_transaction,
                isolation=self._isolation,
                locks_session=statement is not None and statement.locks_session,
                keeps_locks=is_well and (effect in _KEEPS_LOCKS or (effect is Effect.WRITE and shows)),
                ask=self._ask if is_well and shows and not self._hides else None,
            )
        )
        self._effect = None
        if not in_transaction:
            self._isolation = self.default_isolation

    def _ask(self, question: bytes) -> tuple[bytes, ...] | None:
        # What is locked by looking is let go with the savepoint; what is prepared within it stays.
        name = self._prepared_as.get(question)
        answer = None if name is None else self._answer(b"EXECUTE %s" % name)
        if answer is None:
            # Never asked here, or the actor has thrown away what was prepared.
            name = self._prepared_as[question] = b"director_%d" % next(self._questions)
            answer = self._answer(b"PREPARE %s AS %s; EXECUTE %s" % (name, question, name))
        return answer

    def _answer(self, statements: bytes) -> tuple[bytes, ...] | None:
        """The first row that they bring; None where they fail. Effects: the open transaction is as it was."""
        self.pgconn.send_query(b"SAVEPOINT director; %s; ROLLBACK TO director; RELEASE director" % statements)
        answers: list[tuple[bytes, ...]] = []
        while (answer := self.pgconn.get_result()) is not None:
            if answer.status == ExecStatus.TUPLES_OK:
                answers.append(tuple(answer.get_value(0, column) or b"" for column in range(answer.nfields)))
        if self.pgconn.transaction_status == TransactionStatus.INERROR:
            self.pgconn.exec_(b"ROLLBACK TO director; RELEASE director")
        return answers[0] if answers else None

    def _lose_reply(self, descriptor: int) -> None:
        self._loses_reply = False
        with socket.socket(fileno=os.dup(descriptor)) as wire:
            # The server has carried the step out when it says anything; what it says is thrown away.
            wire.recv(_ANSWER_BYTES)
            wire.shutdown(socket.SHUT_RDWR)
        self._was_cut()


def _read(query: Any, connection: psycopg.Connection[Any]) -> Statement:
    return _read_bytes(query) if type(query) is bytes else read_statement(_text(query, connection))


@lru_cache(maxsize=4096)
def _read_bytes(query: bytes) -> Statement:
    return read_statement(query.decode(errors="replace"))


def _text(query: Any, connection: psycopg.Connection[Any]) -> str:
    match query:
        case str():
            return query
        case sql.Composable():
            return query.as_string(connection)
        case _:
            return "statement"


def _digest(cursor: psycopg.Cursor[Any]) -> bytes:
    """What the cursor's results say, in 16 bytes.

    Left out is the comment of the database: it names this run, and no actor changes it.
    """
    results: Sequence[Any] = cursor._results
    hashed = hashlib.blake2b(digest_size=16)
    names_the_run = cursor._query is not None and b"shobj_description" in cursor._query.query
    for result in results:
        hashed.update(result.command_status or b"")
        if result.status == ExecStatus.TUPLES_OK and not names_the_run:
            for row in range(result.ntuples):
                for column in range(result.nfields):
                    value = result.get_value(row, column)
                    hashed.update(b"\0" if value is None else b"\1%d:" % len(value) + value)
    return hashed.digest()
