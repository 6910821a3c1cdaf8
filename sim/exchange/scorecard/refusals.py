"""What the double refuses with, held against what the documentation lists."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sim.exchange.operations import Operation, compiled, operation_named
from sim.exchange.scorecard import provoked_orders, provoked_reads
from sim.exchange.scorecard.listening import REFUSED_MESSAGES, said
from sim.exchange.scorecard.provoked import Provocation, of_any
from sim.exchange.scorecard.provoked_orders import PLACING, Engine
from sim.exchange.scorecard.stage import Asked, Reply, Stage, Way, say
from sim.exchange.tables import table

_OUTCOME_UNKNOWN: Final = frozenset({"unknown", "disconnected", "unexpected_response", "timeout", "server_busy"})
"""Errors whose status must be one of the server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One refusal: the error by name, what is wrong with it, and whether the documentation has it at all."""

    error: str
    published: bool
    problem: str = ""


def provocations(operation: Operation, *, by_message: bool) -> Iterator[Provocation]:
    """Every refusal that the operation can answer."""
    name = operation.name
    yield from of_any(operation, by_message=by_message)
    if name in PLACING:
        yield from provoked_orders.of_new_orders(name)
    match name:
        case "order_place":
            yield from provoked_orders.of_the_engine()
        case "order_cancel":
            yield from provoked_orders.of_cancels()
        case "open_orders_cancel":
            yield from provoked_orders.of_cancels_of_all()
        case "order_cancel_replace":
            yield from provoked_orders.of_replacements()
    if name not in PLACING | {"order_cancel", "open_orders_cancel"}:
        yield from provoked_reads.of_query(operation)


def judged(provocation: Provocation, reply: Reply) -> Verdict:
    """Whether that is the refusal that was provoked, in the words of the documentation."""
    published = table("published_errors.toml")
    rule = published["error"].get(provocation.error)
    texts = _texts(provocation, rule)
    status, code, text = reply.refusal
    about = f"{provocation.error} of {provocation.asked.operation}"
    if not texts:
        shaped = status >= 400 and isinstance(code, int) and code < 0 and isinstance(text, str)
        problem = "" if shaped else f"{about}: expected a refusal, found {status} {reply.payload!r:.80}"
        return Verdict(error=provocation.error, published=False, problem=problem)
    problem = ""
    if (code, text) not in [(rule["code"], each) for each in texts]:
        problem = f"{about}: expected {rule['code']} {texts[0]}, found {status} {code} {text}"
    elif not _status_fits(provocation.error, status):
        problem = f"{about}: the status {status} is not one of the documentation"
    return Verdict(error=provocation.error, published=True, problem=problem)


def _texts(provocation: Provocation, rule: Any) -> list[str]:
    """The published texts, filled in; none where nothing is published."""
    if rule is None:
        return []
    messages = table("published_errors.toml")["engine"]
    filled = tuple(messages.get(each, "") if isinstance(each, Engine) else each for each in provocation.filled)
    if "" in filled:
        return []
    return [each % filled if filled else each for each in rule["texts"]]


def _status_fits(error: str, status: int) -> bool:
    fixed = table("published_errors.toml")["status"]
    if error in fixed:
        return bool(status == fixed[error])
    if error in {"cancel_replace_partial", "cancel_replace_failed"}:
        return status in {400, 409, 429}
    return 500 <= status < 600 if error in _OUTCOME_UNKNOWN else 400 <= status < 500


def verdicts(operation_name: str, way: Way) -> list[Verdict]:
    """The refusals of an operation, one by one, each from a world of its own."""
    operation = operation_named(operation_name)
    found = [judged(each, each.reply(way)) for each in provocations(operation, by_message=way.by_message)]
    return found + unreadable(operation_name) if way.by_message else found


def session_provocations(method: str) -> list[Provocation]:
    """Every refusal that a method which a connection has for itself can answer."""
    rules = table("ws_api.toml")
    operation = compiled(method, rules["session"][method], {**table("operations.toml"), **rules})
    return [*of_any(operation, by_message=True), *provoked_reads.of_subscriptions(method)]


def session_verdicts(method: str, way: Way) -> list[Verdict]:
    """The refusals of such a method, one by one."""
    return [judged(each, each.reply(way)) for each in session_provocations(method)] + unreadable(method)


def unreadable(method: str) -> list[Verdict]:
    """The refusals of texts that are no request of a method."""
    found = []
    for error, text in provoked_reads.UNREADABLE.items():
        reply = say(Stage(), text % method if "%s" in text else text)
        found.append(judged(Provocation(error=error, asked=Asked(operation=method)), reply))
    return found


def message_verdicts() -> list[Verdict]:
    """The refusals of messages on a stream connection."""
    found = []
    for error, text in REFUSED_MESSAGES.items():
        rule, answer = table("published_errors.toml")["stream"][error], said(text)
        pattern = ".+".join(re.escape(part) for part in rule["text"].split("%s"))
        fits = answer.get("code") == rule["code"] and re.fullmatch(pattern, str(answer.get("msg"))) is not None
        problem = "" if fits else f"{error}: expected {rule['code']} {rule['text']}, found {answer}"
        found.append(Verdict(error=error, published=True, problem=problem))
    return found
