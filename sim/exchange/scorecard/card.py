"""The scorecard: one row for each operation, stream and user event, each cell a verdict on answers taken just now."""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from sim.exchange.operations import Operation, operations
from sim.exchange.scorecard import refusals, sdk
from sim.exchange.scorecard.cases import CASES, Case
from sim.exchange.scorecard.listening import MESSAGES_SAID, STREAMS, stream_events, user_events
from sim.exchange.scorecard.provoked_filters import EDGES, Edge
from sim.exchange.scorecard.provoked_orders import PLACING, order_of
from sim.exchange.scorecard.refusals import Verdict
from sim.exchange.scorecard.sessions import SESSION_CASES
from sim.exchange.scorecard.shapes import Shape, differences, shape_of
from sim.exchange.scorecard.stage import HTTP, MESSAGES, Asked, Reply, Stage, Way, method_of
from sim.exchange.tables import table

EXACT: Final = "exact"
DIFFERS: Final = "differs"
NO_MODEL: Final = "no model"
NOT_CHECKED: Final = f"not checked: install {sdk.PACKAGE}"
_EMPTY: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A verdict, on how many answers, what differs, and what a reader should know beside."""

    verdict: str
    count: int = 0
    problems: Sequence[str] = ()
    notes: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if self.verdict in {EXACT, DIFFERS}:
            wrong = f", {len(self.problems)} wrong" if self.problems else ""
            return f"{self.verdict} ({self.count}{wrong})"
        return self.verdict


_BY_LISTEN_KEY: Final = "by listen key"
# How the table of clients marks those that were run by the WebSocket API.
_API_CLIENT: Final = "_api"
NOTHING: Final = Cell(verdict=_EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation, method, stream, message or event."""

    api: str
    row: str
    tier: str
    told: str
    shape: Cell
    models: Cell
    errors: Cell = NOTHING
    filters: Cell = NOTHING
    clients: Sequence[str] = ()

    @property
    def cells(self) -> Mapping[str, Cell]:
        return {"shape": self.shape, "models": self.models, "errors": self.errors, "filters": self.filters}

    @property
    def is_exact(self) -> bool:
        """Nothing differs, and nothing that could be checked was not."""
        return all(cell.verdict not in {DIFFERS, NOT_CHECKED} for cell in self.cells.values())


def summed(problems: Iterable[str], count: int, notes: Iterable[str] = ()) -> Cell:
    """The verdict on `count` answers."""
    found = list(problems)
    return Cell(verdict=DIFFERS if found else EXACT, count=count, problems=found, notes=frozenset(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """An answer of a case: its payload, the whole of what came, and what it should look like."""

    case: str
    payload: Any
    whole: Any
    shape: Shape
    problems: Sequence[str] = field(default=())


def _shape_cell(answers: Sequence[_Answer]) -> Cell:
    problems: list[str] = []
    for each in answers:
        problems += [f"{each.case}: {problem}" for problem in (*each.problems, *differences(each.shape, each.payload))]
    return summed(problems, len(answers))


def _model_cell(part: str, row: str, answers: Sequence[_Answer]) -> Cell:
    """What the SDK makes of the answers. A key that its model lacks is wrong where it is not published either."""
    name = sdk.model_name(part, row)
    if name is None:
        return Cell(verdict=NO_MODEL)
    if not sdk.is_installed():
        return Cell(verdict=NOT_CHECKED)
    problems, notes = [], set()
    for each in answers:
        reading = sdk.read(part, name, each.whole)
        known = {"id", "status", "result", "rateLimits", *each.shape.names()}
        problems += [f"{each.case}: {name} cannot read it: {reading.problem}"] if reading.problem else []
        problems += [f"{each.case}: {name} does not know {key}" for key in sorted(reading.unknown - known)]
        notes |= {f"{name} does not know the published {key}" for key in reading.unknown & known}
    return summed(problems, len(answers), notes)


def _error_cell(verdicts: Sequence[Verdict]) -> Cell:
    unpublished = {each.error for each in verdicts if not each.published}
    return summed((each.problem for each in verdicts if each.problem), len(verdicts), unpublished)


def _filter_cell(operation: str, way: Way) -> Cell:
    """Every filter at its edge, in the answers to orders."""
    problems: list[str] = []
    names = table("published_errors.toml")["filters"]["names"]
    for edge in EDGES:
        refused, passed = _at_edge(operation, way, edge)
        # The documentation of the errors forgets this name, that of the filters has it.
        known = edge.name in names or edge.name in table("published.toml")["filter"]
        if refused.refusal != (400, -1013, f"Filter failure: {edge.name}") or not known:
            problems.append(f"{edge.name}: expected it to refuse, found {refused.refusal}")
        if passed.status != 200:
            problems.append(f"{edge.name}: expected it to let the order pass, found {passed.refusal}")
    return summed(problems, len(EDGES))


def _at_edge(operation: str, way: Way, edge: Edge) -> tuple[Reply, Reply]:
    refusing, passing = Stage(edge.rules()), Stage(edge.rules())
    edge.before(refusing)
    return way.ask(refusing, order_of(operation, edge.fails)), way.ask(passing, order_of(operation, edge.passes))


def _answers(cases: Mapping[str, Case], shapes: Mapping[str, str], operation: str, way: Way) -> list[_Answer]:
    found = []
    expected = table("published.toml")["status"].get(operation, {})
    for name, case in cases.items():
        stage, given = case.stage()
        reply = way.ask(stage, Asked(operation=operation, given=given))
        wanted = expected.get(name, 200)
        problems = [] if reply.status == wanted else [f"expected the status {wanted}, found {reply.status}"]
        if way.by_message:
            problems += _envelope_problems(reply)
        shape = shape_of(shapes[name])
        found.append(
            _Answer(case=name, payload=reply.payload, whole=reply.whole, shape=shape, problems=tuple(problems))
        )
    return found


def _envelope_problems(reply: Reply) -> list[str]:
    """What is wrong around the result or error of the WebSocket API."""
    content = "result" if reply.status == 200 else "error"
    if list(reply.whole) != ["id", "status", content, "rateLimits"]:
        return [f"expected id, status, {content}, rateLimits; found {', '.join(reply.whole)}"]
    counts = shape_of("[count]")
    return [*differences(shape_of("integer"), reply.whole["status"]), *differences(counts, reply.whole["rateLimits"])]


def rest_row(operation: Operation, way: Way = HTTP) -> Row:
    """The row of an operation of the REST API."""
    name = operation.name
    shapes = table("published.toml")["rest"][name]
    answers = _answers(CASES[name], shapes, name, way)
    return Row(
        api="REST",
        row=name,
        tier="MUST" if name in table("published.toml")["tier"]["must"] else "SHOULD",
        told=f"{operation.method} {operation.path}",
        shape=_shape_cell(answers),
        models=_model_cell("rest", name, _results(answers)),
        errors=_error_cell(refusals.verdicts(name, way)),
        filters=_filter_cell(name, way) if name in PLACING else NOTHING,
        clients=clients_of("operation", name, by_message=False),
    )


def _results(answers: Sequence[_Answer]) -> list[_Answer]:
    """Those that are no refusals: the SDK makes exceptions of the others."""
    return [each for each in answers if not (isinstance(each.payload, dict) and "code" in each.payload)]


def method_row(operation: str, way: Way = MESSAGES) -> Row:
    """The row of a method of the WebSocket API that an operation of the REST API serves."""
    method, published = method_of(operation), table("published.toml")
    shapes = published["ws"].get(method, published["rest"][operation])
    answers = _answers(CASES[operation], shapes, operation, way)
    return Row(
        api="WebSocket API",
        row=method,
        tier="SHOULD",
        told=method,
        shape=_shape_cell(answers),
        models=_model_cell("ws", method, _results(answers)),
        errors=_error_cell(refusals.verdicts(operation, way)),
        filters=_filter_cell(operation, way) if operation in PLACING else NOTHING,
        clients=clients_of("operation", operation, by_message=True),
    )


def session_row(method: str, way: Way = MESSAGES) -> Row:
    """The row of a method that a connection has for itself."""
    answers = _answers(SESSION_CASES[method], table("published.toml")["ws"][method], method, way)
    return Row(
        api="WebSocket API",
        row=method,
        tier="SHOULD",
        told=method,
        shape=_shape_cell(answers),
        models=_model_cell("ws", method, answers),
        errors=_error_cell(refusals.session_verdicts(method, way)),
        clients=clients_of("operation", method, by_message=True),
    )


def _heard(part: str, row: str, case: str, events: Sequence[Any], written: str) -> list[_Answer]:
    shape = shape_of(written)
    if not events:
        return [_Answer(case=case, payload=None, whole={}, shape=shape, problems=(f"no {part} came",))]
    return [_Answer(case=case, payload=each, whole=each, shape=shape) for each in events]


def stream_row(pattern: str) -> Row:
    """The row of a market stream."""
    answers = _heard("event", pattern, "event", stream_events(pattern), table("published.toml")["stream"][pattern])
    return Row(
        api="stream",
        row=pattern,
        tier="SHOULD",
        told=pattern,
        shape=_shape_cell(answers),
        models=_model_cell("stream", pattern, answers),
        clients=clients_of("stream", STREAMS[pattern].partition("@")[2] if pattern.startswith("<") else pattern),
    )


def message_row(name: str) -> Row:
    """The row of a message on a stream connection. The errors of all of them stand with SUBSCRIBE."""
    written = table("published.toml")["message"][name]
    verdicts = refusals.message_verdicts() if name == "SUBSCRIBE" else []
    return Row(
        api="stream",
        row=name,
        tier="SHOULD",
        told=name,
        shape=_shape_cell(_heard("answer", name, "answer", [MESSAGES_SAID[name]()], written)),
        models=Cell(verdict=NO_MODEL),
        errors=_error_cell(verdicts) if verdicts else NOTHING,
    )


def event_row(kind: str) -> Row:
    """The row of a kind of user data."""
    answers: list[_Answer] = []
    problems = []
    for case, written in table("published.toml")["event"][kind].items():
        whole = user_events(kind, case)
        enveloped = case != _BY_LISTEN_KEY
        if enveloped:
            wrong = [each for each in whole if list(each) != ["subscriptionId", "event"]]
            problems += [f"{case}: expected subscriptionId, event; found {', '.join(each)}" for each in wrong]
        events = [each["event"] if enveloped else each for each in whole]
        answers += _heard("event", kind, case, events, written)
    shape = _shape_cell(answers)
    return Row(
        api="user data",
        row=kind,
        tier="SHOULD",
        told=kind,
        shape=summed([*problems, *shape.problems], shape.count),
        models=_model_cell("event", kind, answers),
        clients=clients_of("stream", "userData"),
    )


def clients_of(part: str, name: str, *, by_message: bool | None = None) -> Sequence[str]:
    """The clients that `tables/clients.toml` names for an operation or a stream; none without that file."""
    path = files("sim.exchange").joinpath("tables", "clients.toml")
    if not path.is_file():
        return ()
    return clients_named(tomllib.loads(path.read_text(encoding="utf-8")), part, name, by_message=by_message)


def clients_named(told: Mapping[str, Any], part: str, name: str, *, by_message: bool | None) -> Sequence[str]:
    """The clients of that name in a part of the table; `by_message`: those of the WebSocket API, or all others."""
    clients: Sequence[str] = told.get(part, {}).get(name, ())
    return tuple(each for each in clients if by_message is None or each.endswith(_API_CLIENT) is by_message)


def _any_row(name: str) -> bool:
    return True


def scorecard(*, http: Way = HTTP, messages: Way = MESSAGES, rows: Callable[[str], bool] = _any_row) -> list[Row]:
    """All rows, or those whose names are wanted; every answer is taken now, from worlds made for it."""
    rest = [each for each in operations().values() if each.supported and rows(each.name)]
    methods = table("ws_api.toml")["methods"]
    return [
        *(rest_row(each, http) for each in rest),
        *(method_row(methods[method], messages) for method in methods if rows(method)),
        *(session_row(method, messages) for method in SESSION_CASES if rows(method)),
        *(stream_row(pattern) for pattern in STREAMS if rows(pattern)),
        *(message_row(name) for name in MESSAGES_SAID if rows(name)),
        *(event_row(kind) for kind in table("published.toml")["event"] if rows(kind)),
    ]
