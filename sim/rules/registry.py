"""Every rule by its id, worst first: what moves money or mainnet, then data, then bookkeeping."""

from collections.abc import Mapping
from types import MappingProxyType

from sim.rules import exchange, g10, general, managed, managed_rest, mh4
from sim.rules.breach import Breach, Rule
from sim.timeline import Timeline

_RULES: tuple[Rule, ...] = (
    g10.order_or_exchange_call_from_worker,
    g10.mainnet_path_visible,
    g10.env_file_changes,
    g10.runtime_config_appears,
    exchange.order_without_intent_or_sent_twice,
    exchange.portfolio_and_exchange_disagree,
    g10.portfolio_drift_unexplained,
    g10.bot_pid_changes,
    g10.once_handled_more_than_one,
    g10.unexpected_failure_reason,
    mh4.environment_other_than_testnet,
    mh4.migration_on_mainnet_database,
    mh4.migration_alters_existing_table,
    mh4.hard_confirm_not_exact,
    general.secret_in_the_trail,
    managed.proposal_decided_twice,
    managed.decided_proposal_changed,
    managed.file_written_once_changed,
    general.two_winners_for_one_decision,
    general.cache_disagrees_with_files,
    managed_rest.managed_rows_disagree_with_files,
    managed.illegal_managed_move,
    managed.state_outside_the_ten,
    managed.enum_parity_broken,
    general.illegal_status_move,
    mh4.decision_without_its_key,
    mh4.audit_prefix_bleed,
    general.command_without_requested_event,
    general.dry_run_row_count,
    general.service_writes_state_files,
    general.service_starts_worker,
    mh4.service_calls_engine_or_writer,
    mh4.service_outside_one_transaction,
    general.worker_left_running,
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.__name__: rule for rule in _RULES})
"""The rules by id, in the order breaches are told."""


def judge(timeline: Timeline) -> tuple[Breach, ...]:
    """Every breach of every rule, worst rule first."""
    return tuple(breach for rule in RULES.values() for breach in rule(timeline))


def sentence(rule_id: str) -> str:
    """What the rule demands, as its docstring says it."""
    return (RULES[rule_id].__doc__ or rule_id).strip().splitlines()[0]
