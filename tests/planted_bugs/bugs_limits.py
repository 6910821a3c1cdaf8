"""Bugs in what a profile may say, and in the layers that ask (contract §6)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_LIMITS = "worker/guards/limits.py"
_SERVICE = "worker/services/apply_profile.py"
_HANDLER = "worker/handlers/apply_profile.py"
_SUBMISSION = "worker/services/submission.py"
_RULES = "sim/scenarios/guards/test_profile_rules.py"
_MAINNET = "sim/scenarios/guards/test_mainnet_payload.py"
_REFUSED = f"{_RULES}::test_profile_beyond_a_rule_is_refused_by_service_and_worker"
_AT_EDGE = f"{_RULES}::test_profile_at_the_edge_of_a_rule_runs"
_SECRET_NAME = "sim/scenarios/guards/test_secrets.py::test_secret_in_a_profile_name_is_refused"
_CLOSED_LISTS = "contract §6: closed lists"
_RANGES = "contract §6: ranges"
_CROSS_FIELDS = "contract §6: rules between fields"


def _limit(name: str, claim: str, old: str, new: str, case: str, *, says: str | None = None) -> PlantedBug:
    """A rule moved by one step: too wide (service and worker both let a refused case pass) or too narrow."""
    is_wide = says is None
    return one_edit(
        name,
        claim=claim,
        file=_LIMITS,
        old=old,
        new=new,
        scenario=f"{_REFUSED if is_wide else _AT_EDGE}[{case}]",
        says=says or "DID NOT RAISE",
    )


_STEPS = (
    _limit(
        "further config keys accepted",
        _CLOSED_LISTS,
        '_key_problems(config, frozenset(CONFIG_VALUES), "config")',
        '_key_problems(config, frozenset({*CONFIG_VALUES, *config}), "config")',
        "config key unknown",
    ),
    _limit(
        "a config key not required",
        _CLOSED_LISTS,
        '_key_problems(config, frozenset(CONFIG_VALUES), "config")',
        '_key_problems({**dict.fromkeys(CONFIG_VALUES), **config}, frozenset(CONFIG_VALUES), "config")',
        "config key missing",
    ),
    _limit(
        "a log level too many",
        _CLOSED_LISTS,
        '("debug", "info", "warning", "error")',
        '("trace", "debug", "info", "warning", "error")',
        "log level unknown",
    ),
    _limit(
        "a log level too few",
        _CLOSED_LISTS,
        '("debug", "info", "warning", "error")',
        '("info", "warning", "error")',
        "log level debug",
        says="config_not_allowed",
    ),
    _limit(
        "a verbosity too few",
        _CLOSED_LISTS,
        '("minimal", "normal", "full")',
        '("normal", "full")',
        "verbosity minimal",
        says="config_not_allowed",
    ),
    _limit(
        "a risk key too many",
        _CLOSED_LISTS,
        '"min_position_value_usdt"})',
        '"min_position_value_usdt", "leverage"})',
        "smallest share",
        says="risk_not_allowed",
    ),
    _limit(
        "further risk keys accepted",
        _CLOSED_LISTS,
        '_key_problems(risk, RISK_KEYS, "risk")',
        '_key_problems({key: risk[key] for key in RISK_KEYS & risk.keys()}, RISK_KEYS, "risk")',
        "risk key unknown",
    ),
    _limit(
        "missing risk keys accepted",
        _CLOSED_LISTS,
        '_key_problems(risk, RISK_KEYS, "risk")',
        '_key_problems({**dict.fromkeys(RISK_KEYS), **risk}, RISK_KEYS, "risk")',
        "risk fee_buffer_pct missing",
    ),
    _limit(
        "a share of zero accepted",
        _RANGES,
        "elif not 0 < number <= 1:",
        "elif not 0 <= number <= 1:",
        "risk fee_buffer_pct zero",
    ),
    _limit(
        "a share just above one accepted",
        _RANGES,
        "elif not 0 < number <= 1:",
        "elif not 0 < round(number, 5) <= 1:",
        "risk fee_buffer_pct above one",
    ),
    _limit(
        "a share of one refused",
        _RANGES,
        "elif not 0 < number <= 1:",
        "elif not 0 < number < 1:",
        "fee buffer of one",
        says="value_out_of_range",
    ),
    _limit(
        "51 open positions accepted",
        _RANGES,
        "MAX_OPEN_POSITIONS = 50",
        "MAX_OPEN_POSITIONS = 51",
        "51 open positions",
    ),
    _limit(
        "50 open positions refused",
        _RANGES,
        "MAX_OPEN_POSITIONS = 50",
        "MAX_OPEN_POSITIONS = 49",
        "50 open positions",
        says="value_out_of_range",
    ),
    _limit(
        "no open position accepted",
        _RANGES,
        "MIN_OPEN_POSITIONS = 1",
        "MIN_OPEN_POSITIONS = 0",
        "no open position",
    ),
    _limit(
        "one open position refused",
        _RANGES,
        "MIN_OPEN_POSITIONS = 1",
        "MIN_OPEN_POSITIONS = 2",
        "one open position",
        says="value_out_of_range",
    ),
    _limit("half a position accepted", _RANGES, "if not (whole and ", "if not (", "half a position"),
    _limit(
        "positions of 4.99 accepted",
        _RANGES,
        "MIN_POSITION_VALUE_USDT = Decimal(5)",
        'MIN_POSITION_VALUE_USDT = Decimal("4.99")',
        "smallest position below 5",
    ),
    _limit(
        "positions of 5 refused",
        _RANGES,
        "if number < MIN_POSITION_VALUE_USDT:",
        "if number <= MIN_POSITION_VALUE_USDT:",
        "smallest position of 5",
        says="value_out_of_range",
    ),
    _limit(
        "equal low and mid tiers accepted",
        _CROSS_FIELDS,
        '("tier_low_allocation_pct", "tier_mid_allocation_pct", True)',
        '("tier_low_allocation_pct", "tier_mid_allocation_pct", False)',
        "low tier equals mid",
    ),
    _limit(
        "equal mid and high tiers accepted",
        _CROSS_FIELDS,
        '("tier_mid_allocation_pct", "tier_high_allocation_pct", True)',
        '("tier_mid_allocation_pct", "tier_high_allocation_pct", False)',
        "mid tier equals high",
    ),
    _limit(
        "daily loss not held against weekly",
        _CROSS_FIELDS,
        '    ("daily_loss_limit_pct", "weekly_loss_limit_pct", False),\n',
        "",
        "daily loss above weekly",
    ),
    _limit(
        "equal daily and weekly loss refused",
        _CROSS_FIELDS,
        '("daily_loss_limit_pct", "weekly_loss_limit_pct", False)',
        '("daily_loss_limit_pct", "weekly_loss_limit_pct", True)',
        "daily loss equals weekly",
        says="cross_field_violation",
    ),
    _limit(
        "risk per trade not held against daily loss",
        _CROSS_FIELDS,
        '    ("max_risk_per_trade_pct", "daily_loss_limit_pct", False),\n',
        "",
        "risk per trade above daily loss",
    ),
    _limit(
        "risk per trade equal to daily loss refused",
        _CROSS_FIELDS,
        '("max_risk_per_trade_pct", "daily_loss_limit_pct", False)',
        '("max_risk_per_trade_pct", "daily_loss_limit_pct", True)',
        "risk per trade equals daily loss",
        says="cross_field_violation",
    ),
    _limit(
        "high tier not held against exposure",
        _CROSS_FIELDS,
        '    ("tier_high_allocation_pct", "max_total_exposure_pct", False),\n',
        "",
        "high tier above exposure",
    ),
    _limit(
        "high tier equal to exposure refused",
        _CROSS_FIELDS,
        '("tier_high_allocation_pct", "max_total_exposure_pct", False)',
        '("tier_high_allocation_pct", "max_total_exposure_pct", True)',
        "high tier equals exposure",
        says="cross_field_violation",
    ),
    _limit(
        "exposure and reserve not added up",
        _CROSS_FIELDS,
        "Fraction(exposure) + Fraction(reserve) > 1:",
        "max(exposure, reserve) > 1:",
        "exposure and reserve above one",
    ),
    _limit(
        "exposure and reserve of one refused",
        _CROSS_FIELDS,
        "Fraction(exposure) + Fraction(reserve) > 1:",
        "Fraction(exposure) + Fraction(reserve) >= 1:",
        "exposure and reserve make one",
        says="cross_field_violation",
    ),
)


def _service(name: str, claim: str, old: str, case: str, *, new: str = "") -> PlantedBug:
    """One of the service's layers dropped; the worker would still refuse."""
    return one_edit(
        name, claim=claim, file=_SERVICE, old=old, new=new, scenario=f"{_REFUSED}[{case}]", says="DID NOT RAISE"
    )


_WENT_ON = "<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>"


def _handler(name: str, old: str, case: str, *, new: str = "", says: str = _WENT_ON) -> PlantedBug:
    """One of the handler's checks dropped; the service would still refuse."""
    return one_edit(
        name,
        claim="contract §7: the handler trusts nothing that a service checked",
        file=_HANDLER,
        old=old,
        new=new,
        scenario=f"{_REFUSED}[{case}]",
        says=says,
    )


_LAYERS = (
    _service(
        "service takes a draft",
        "contract §6: the profile is active",
        "if stored.status is not ProfileStatus.ACTIVE:",
        "profile is a draft",
        new="if stored.status is ProfileStatus.ARCHIVED:",
    ),
    _service(
        "service without the risk keys' layer",
        "contract §6: nine layers",
        "            _require_risk_keys(stored)\n",
        "risk key unknown",
    ),
    _service(
        "service without the ranges' layer",
        "contract §6: nine layers",
        "            _require_ranges(stored)\n",
        "51 open positions",
    ),
    _service(
        "service without the layer between fields",
        "contract §6: nine layers",
        "            _require_cross_field(stored)\n",
        "high tier above exposure",
    ),
    _service(
        "service without the config layer",
        "contract §6: nine layers",
        "    refuse(Reason.CONFIG_NOT_ALLOWED, problems, subject=_subject(stored))\n",
        "verbosity unknown",
    ),
    one_edit(
        "service without the secrets' layer",
        claim="contract §6: nine layers",
        file=_SERVICE,
        old="            _require_no_secret(stored, config)\n",
        new="",
        scenario=f"{_SECRET_NAME}[DSN]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "service without the connection layer",
        claim="contract §9: service hard-wiring",
        file=_SERVICE,
        old="            _require_no_connection(exchange_connection_id)\n",
        new="",
        scenario=f"{_MAINNET}::test_service_given_an_exchange_connection_writes_nothing",
        says="DID NOT RAISE",
    ),
    one_edit(
        "service takes any environment",
        claim="contract §6: the environment is hard-wired",
        file=_SUBMISSION,
        old="    if not isinstance(environment, str) or environment != TESTNET:",
        new="    if not isinstance(environment, str):",
        scenario=f"{_MAINNET}::test_service_asked_for_another_environment_writes_nothing[mainnet]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "viewer may command",
        claim="contract §6: the user is an admin",
        file="worker/guards/requester.py",
        old="    if role is not UserRole.ADMIN:",
        new="    if role not in UserRole:",
        scenario=f"{_RULES}::test_person_who_may_not_command_is_refused[viewer]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "refusal names the first problem only",
        claim="style: all problems of one input at once",
        file=_LIMITS,
        old="'; '.join(problems[:MAX_NAMED])",
        new="'; '.join(problems[:1])",
        scenario=f"{_RULES}::test_refusal_names_every_problem_of_its_layer",
        says="max_open_positions",
    ),
    _handler(
        "handler runs a draft",
        "if profile.status is not ProfileStatus.ACTIVE:",
        "profile is a draft",
        new="if profile.status is ProfileStatus.ARCHIVED:",
    ),
    _handler(
        "handler without the config check",
        "    refuse(Reason.CONFIG_NOT_ALLOWED, config_problems(config), subject=subject)\n",
        "config key unknown",
    ),
    _handler(
        "handler without the risk keys' check",
        "    refuse(Reason.RISK_NOT_ALLOWED, risk_key_problems(risk), subject=subject)\n",
        "risk key unknown",
    ),
    _handler(
        "handler without the ranges' check",
        "    refuse(Reason.VALUE_OUT_OF_RANGE, range_problems(risk), subject=subject)\n",
        "51 open positions",
    ),
    _handler(
        "handler without the check between fields",
        "    refuse(Reason.CROSS_FIELD_VIOLATION, cross_field_problems(risk), subject=subject)\n",
        "high tier above exposure",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_STEPS, *_LAYERS)
