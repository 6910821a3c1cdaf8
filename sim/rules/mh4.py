"""The stop rules of MH-4 about services, migrations and the trail: SR-3 to SR-8, SR-11 and SR-12.

SR-1 and SR-2 stand with the general rules, SR-9 and SR-10 with the managed ones. Source: contract §10.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim.rules.breach import Breach, moment, table
from sim.timeline import Timeline
from worker.contracts.commands import REGISTRY, spec_for

APPROVE = "approve_managed_proposal"
REJECT = "reject_managed_proposal"
_MARKER = "environment=testnet"
_TESTNET = "testnet"


def environment_other_than_testnet(timeline: Timeline) -> Sequence[Breach]:
    """SR-3: no service makes, and no worker carries out, a command for an environment other than testnet."""
    clicked = timeline.of_kind("operator.clicked")
    asked = [
        Breach(
            rule="environment_other_than_testnet",
            actor=event.actor,
            subject=f"click on {event.detail['button']} of {event.subject}",
            before="testnet, or no environment named",
            after=f"accepted for {event.detail['environment']}",
            at=event.at,
        )
        for event in clicked
        if event.detail.get("environment", _TESTNET) != _TESTNET
    ]
    by_hand = _made_by_hand(timeline)
    made = {event.detail["command_id"] for event in clicked} - by_hand
    return asked + [
        Breach(
            rule="environment_other_than_testnet",
            actor=str(row["worker_id"] or "a service"),
            subject=f"command {row['command_id']} ({row['command_type']})",
            before="environment testnet in row and payload",
            after=f"{row['status']} with {found}",
            at=moment(row["created_at"]),
        )
        for row in table(timeline, "commands")
        if (found := _other_environment(row)) and (row["status"] == "succeeded" or row["command_id"] in made)
    ]


def migration_alters_existing_table(timeline: Timeline) -> Sequence[Breach]:
    """SR-4: a step of a migration makes tables or takes its own away again, and leaves every other as it was."""
    breaches = []
    for event in timeline.of_kind("migration.stepped"):
        before, after = event.detail["before"], event.detail["after"]
        for name, lines in before.items():
            is_own = event.detail["direction"] == "downgrade" and name not in after
            if is_own or after.get(name) == lines:
                continue
            new = after.get(name, [])
            gone = [line for line in lines if line not in new]
            come = [line for line in new if line not in lines]
            breaches.append(
                Breach(
                    rule="migration_alters_existing_table",
                    actor=f"{event.detail['direction']} to {event.subject}",
                    subject=f"table {name}",
                    before="; ".join(gone) or "without what came",
                    after="; ".join(come) or ("dropped" if name not in after else "without it"),
                    at=event.at,
                )
            )
    return breaches


def decision_without_its_key(timeline: Timeline) -> Sequence[Breach]:
    """SR-5: an approval or rejection has the idempotency key of its proposal, so that one decision wins."""
    by_hand = _made_by_hand(timeline)
    return [
        Breach(
            rule="decision_without_its_key",
            actor="a service",
            subject=f"command {row['command_id']} ({row['command_type']})",
            before=f"idempotency key {wanted}",
            after=f"idempotency key {row['idempotency_key']}",
            at=moment(row["created_at"]),
        )
        for row in table(timeline, "commands")
        if row["command_type"] in (APPROVE, REJECT) and row["command_id"] not in by_hand
        if row["idempotency_key"] != (wanted := f"mh:decide:{payload_of(row).get('proposal_id')}")
    ]


def audit_prefix_bleed(timeline: Timeline) -> Sequence[Breach]:
    """SR-6: each audit event and log row of a command begins with the prefix of its type, and no other."""
    types = {row["command_id"]: row["command_type"] for row in table(timeline, "commands")}
    known = tuple(sorted({spec.audit_prefix.split(".")[0] + "." for spec in REGISTRY.values()}))
    breaches = []
    for row in table(timeline, "audit_events"):
        metadata = row["metadata"] if isinstance(row["metadata"], dict) else {}
        spec = spec_for(types.get(row["command_id"], ""))
        wanted = known if row["command_id"] is None else (f"{spec.audit_prefix}.",) if spec else ("",)
        # What a story put past every service is named as the story likes.
        if not metadata.get("unchecked") and not row["event_type"].startswith(wanted):
            breaches.append(_bleeds("audit_events", row, wanted))
    for row in table(timeline, "command_audit_log"):
        wanted = (f"{types.get(row['command_id'], '')}.",)
        if "." in row["event_type"] and not row["event_type"].startswith(wanted):
            breaches.append(_bleeds("command_audit_log", row, wanted))
    for row in table(timeline, "managed_assets_history"):
        if not row["event_type"].startswith("managed."):
            breaches.append(_bleeds("managed_assets_history", row, ("managed.",)))
    return breaches


def migration_on_mainnet_database(timeline: Timeline) -> Sequence[Breach]:
    """SR-7: nothing is migrated in a database without the testnet mark, or while BINANCE_TESTNET is not true."""
    return [
        Breach(
            rule="migration_on_mainnet_database",
            actor=f"{event.detail['direction']} to {event.subject}",
            subject="the database",
            before=f"marked {_MARKER}, BINANCE_TESTNET exactly true",
            after=f"migrated, with mark {event.detail['mark']!r} and flag {event.detail['flag']!r}",
            at=event.at,
        )
        for event in timeline.of_kind("migration.stepped")
        if _MARKER not in str(event.detail["mark"]).split() or event.detail["flag"] != "true"
    ]


def service_calls_engine_or_writer(timeline: Timeline) -> Sequence[Breach]:
    """SR-8: a service calls neither the risk engine nor a writer."""
    return [
        Breach(
            rule="service_calls_engine_or_writer",
            actor=event.actor,
            subject=event.subject,
            before="nothing of worker/risk and worker/writers is called by a click",
            after=f"called by the click on {event.detail['button']}",
            at=event.at,
        )
        for event in timeline.of_kind("service.called")
    ]


def service_outside_one_transaction(timeline: Timeline) -> Sequence[Breach]:
    """SR-11: a click is one READ COMMITTED transaction, in which all its rows are written, or none is."""
    breaches = []
    for event in timeline.of_kind("service.transactions"):
        problem = _not_one(event.detail)
        if problem is not None:
            breaches.append(_outside(event.actor, f"click on {event.detail['button']} of {event.subject}", problem))
    for event in timeline.of_kind("click.rows"):
        made: Mapping[str, str] = event.detail["transactions"]
        if len(set(made.values())) > 1:
            told = ", ".join(f"{name} by transaction {number}" for name, number in sorted(made.items()))
            breaches.append(_outside(event.actor, f"rows of command {event.subject}", told))
    return breaches


def hard_confirm_not_exact(timeline: Timeline) -> Sequence[Breach]:
    """SR-12: an approval is accepted only with exactly `<asset>:<variant>` typed, letter case included."""
    by_hand = _made_by_hand(timeline)
    breaches = []
    for row in table(timeline, "commands"):
        fields = payload_of(row)
        wanted = f"{fields.get('asset')}:{fields.get('variant')}"
        is_accepted = row["status"] == "succeeded" or row["command_id"] not in by_hand
        if row["command_type"] == APPROVE and is_accepted and fields.get("hard_confirm") != wanted:
            breaches.append(
                Breach(
                    rule="hard_confirm_not_exact",
                    actor="a service" if row["command_id"] not in by_hand else str(row["worker_id"]),
                    subject=f"command {row['command_id']} ({row['command_type']})",
                    before=f"hard confirmation {wanted!r}",
                    after=f"accepted with {fields.get('hard_confirm')!r}",
                    at=moment(row["created_at"]),
                )
            )
    return breaches


def payload_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload of a command's row, empty where it is no object."""
    return row["payload"] if isinstance(row.get("payload"), dict) else {}


def _made_by_hand(timeline: Timeline) -> set[str]:
    """The commands that the story put on the bus, or changed there, past every service."""
    kinds = ("bus.put_unchecked", "bus.tampered", "bus.row_changed")
    return {event.subject for event in timeline.of_kind(*kinds)}


def _other_environment(row: Mapping[str, Any]) -> str | None:
    """What is not testnet about the command, None for one that is."""
    places: Iterator[tuple[str, object]] = iter(
        (("the row", row["environment"]), ("the payload", payload_of(row).get("environment", _TESTNET)))
    )
    return next((f"{value!r} in {place}" for place, value in places if value != _TESTNET), None)


def _bleeds(name: str, row: Mapping[str, Any], wanted: Sequence[str]) -> Breach:
    return Breach(
        rule="audit_prefix_bleed",
        actor=str(row.get("worker_id") or row.get("actor") or "a service or a worker"),
        subject=f"{name} {row['id']}",
        before=f"begins with {' or '.join(wanted)}",
        after=str(row["event_type"]),
        at=moment(row.get("created_at", row.get("ts"))),
    )


def _not_one(detail: Mapping[str, Any]) -> str | None:
    """What is wrong with the transactions of a click; None for one transaction that ended as the click did."""
    transactions: Sequence[Mapping[str, Any]] = detail["transactions"]
    if len(transactions) > 1:
        return (
            f"{len(transactions)} transactions, {sum(1 for one in transactions if one['writes'])} of them with writes"
        )
    if any(one["commits_by_itself"] for one in transactions):
        return "each statement commits by itself"
    if any(one["isolation"] not in (None, "READ COMMITTED") for one in transactions):
        return f"isolation {transactions[0]['isolation']}"
    if detail["outcome"] == "clicked" and [one["ended"] for one in transactions] != ["commit"]:
        return f"accepted, and its transaction ended by {[one['ended'] for one in transactions]}"
    if detail["outcome"] == "refused" and any(one["writes"] and one["ended"] != "rollback" for one in transactions):
        return "refused, and what it had written was not rolled back"
    return None


def _outside(actor: str, subject: str, after: str) -> Breach:
    return Breach(
        rule="service_outside_one_transaction",
        actor=actor,
        subject=subject,
        before="one READ COMMITTED transaction, committed when accepted, rolled back when refused",
        after=after,
    )
