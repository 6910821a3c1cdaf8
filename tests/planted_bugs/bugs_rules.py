"""One bug per rule: each makes its rule speak."""

from tests.planted_bugs.bug import Edit, PlantedBug

_PROFILE = "worker/handlers/apply_profile.py"
_RUN = '        """Succeeded with the fixed result of a dry run, or refused with the first rule that says no."""\n'
_REFERENCE = "sim/scenarios/bus/test_reference_run.py::test_reference_run_changes_only_the_expected_rows"
_MAINNET = "sim/scenarios/guards/test_mainnet_payload.py"
_TAMPERED = "sim/scenarios/guards/test_tampered_payload.py"
_TRUE_RUN = f"{_MAINNET}::test_testnet_payload_runs"


def _handler_also(name: str, claim: str, code: str, *, scenario: str, says: str | None = None) -> PlantedBug:
    """A profile handler that does one thing more."""
    return PlantedBug(
        name=name,
        claim=claim,
        edits=(Edit(file=_PROFILE, old=_RUN, new=f"{_RUN}        {code}\n"),),
        scenarios=(scenario,),
        says=says or claim,
    )


BUGS: tuple[PlantedBug, ...] = (
    _handler_also(
        "worker calls the exchange",
        "order_or_exchange_call_from_worker",
        'import socket; socket.socket().connect_ex(("127.0.0.1", 9))',
        scenario=_REFERENCE,
    ),
    PlantedBug(
        name="result names a production host",
        claim="mainnet_path_visible",
        edits=(
            Edit(
                file=_PROFILE,
                old='note("apply_profile_testnet.dry_run_succeeded")',
                new='note("apply_profile_testnet.dry_run_succeeded", {"base": "https://api.binance.com/api/v3"})',
            ),
        ),
        scenarios=(_TRUE_RUN,),
        says="mainnet_path_visible",
    ),
    _handler_also(
        "handler rewrites .env and puts its time back",
        "env_file_changes",
        "env = assignment.home.env_file; import os; was = env.stat(); env.write_text(env.read_text()); "
        "os.utime(env, ns=(was.st_atime_ns, was.st_mtime_ns))",
        scenario=_TRUE_RUN,
    ),
    _handler_also(
        "handler makes runtime_config.json and removes it again",
        "runtime_config_appears",
        'path = assignment.home.runtime_config; path.write_text("{}"); path.unlink()',
        scenario=f"{_TAMPERED}::test_payload_rewritten_with_the_same_content_runs",
    ),
    _handler_also(
        "handler changes the portfolio",
        "portfolio_drift_unexplained",
        'path = assignment.home.live_portfolio; path.write_text(path.read_text() + "\\n") if path.exists() else None',
        scenario=_REFERENCE,
        says="live_portfolio.json",
    ),
    PlantedBug(
        name="heartbeat of another process",
        claim="bot_pid_changes",
        edits=(Edit(file="sim/fake_bot/loop.py", old="pid=os.getpid(), cycle", new="pid=os.getppid(), cycle"),),
        scenarios=(_REFERENCE,),
        says="bot_pid_changes",
    ),
)
