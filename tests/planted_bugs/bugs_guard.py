"""Bugs in the mainnet guard of bot, client, double and running worker, one or more for each layer (contract §9).

What would send a packet to the world if nothing else stopped it is caught by tests that open no connection. The layers
`kernel` and `namespace` have their planted holes beside the matrix, in `tests/sim/guard/test_matrix.py`.
"""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_BOT = "sim/fake_bot/__main__.py"
_BOT_SETTINGS = "sim/fake_bot/settings.py"
_BASE_URL = "sim/guard/base_url.py"
_HOSTS = "sim/guard/hosts.py"
_CLIENT = "sim/guard/client_settings.py"
_SOCKET = "sim/guard/exchange_socket.py"
_SOCKETS = "tests/sim/guard/test_exchange_socket.py"
_REQUEST = "sim/guard/request_host.py"
_START = "sim/scenarios/guards/test_bot_start.py"
_RUNNING = "sim/scenarios/guards/test_running_bot.py"
_WORKER = "sim/scenarios/guards/test_running_worker.py"
_SWITCHED = "sim/scenarios/guards/test_switched_meanwhile.py"
_CONNECTION = "sim/scenarios/guards/test_exchange_connection.py"
_URLS = "tests/sim/guard/test_base_url.py"
_LAYERS = "tests/sim/guard/test_layers.py"
_CERTIFICATES = "tests/sim/guard/test_certificates.py"
_FLAG = f"{_START}::test_flag_that_is_not_exactly_true_is_refused"
_FOREIGN = f"{_START}::test_exchange_that_is_neither_testnet_nor_loopback_is_refused"
_AGAIN = "    _guarded_settings()\n    return bot.run_cycle()\n"
_STARTED = "assert 0 == 2"

_AT_THE_BOTS_DOOR = (
    one_edit(
        "bot takes an unset flag for true",
        claim="contract §9: the bot's flag is exactly true",
        file=_BOT_SETTINGS,
        old="    found = environment.get(FLAG)\n",
        new='    found = environment.get(FLAG, "true")\n',
        scenario=f"{_FLAG}[unset]",
        says=_STARTED,
    ),
    one_edit(
        "bot takes anything but false for true",
        claim="contract §9: the bot's flag is exactly true",
        file=_BOT_SETTINGS,
        old='    problems = [] if found == "true" else',
        new='    problems = [] if found not in (None, "", "false") else',
        scenario=f"{_FLAG}[False]",
        says=_STARTED,
    ),
    one_edit(
        "bot does not care what .env says",
        claim="contract §9: the bot's .env says testnet",
        file=_BOT_SETTINGS,
        old='        if values != ("true",):',
        new='        if values == ("never",):',
        scenario=f"{_START}::test_env_file_that_says_anything_else_is_refused[false]",
        says=_STARTED,
    ),
    one_edit(
        "bot trades without being told paper",
        claim="contract §1: main.py --paper",
        file=_BOT,
        old="    if not arguments.paper:\n",
        new="    if arguments.paper is None:\n",
        scenario=f"{_START}::test_bot_that_is_not_told_paper_is_refused",
        says=_STARTED,
    ),
    one_edit(
        "running bot is not asked again",
        claim="contract §9: the bot's .env says testnet",
        file=_BOT,
        old=_AGAIN,
        new="    return bot.run_cycle()\n",
        scenario=f"{_RUNNING}::test_bot_whose_env_file_is_switched_runs_no_further_cycle[false]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "running bot is asked when it has written",
        claim="contract §9: the bot's .env says testnet",
        file=_BOT,
        old=_AGAIN,
        new="    report = bot.run_cycle()\n    _guarded_settings()\n    return report\n",
        scenario=f"{_RUNNING}::test_bot_whose_env_file_is_switched_runs_no_further_cycle[false]",
        says="live_portfolio.json sha256",
    ),
)

_OF_A_URL = (
    one_edit(
        "testnet anywhere in a URL is enough",
        claim="contract §9: an allow-list of testnet and loopback hosts",
        file=_BASE_URL,
        old="    found = _FORM.fullmatch(url)\n",
        new='    if "testnet" in url:\n        return None\n    found = _FORM.fullmatch(url)\n',
        scenario=f"{_FOREIGN}[testnet in the path]",
        says="guard/request_host",
    ),
    one_edit(
        "URL that begins like the testnet's is enough",
        claim="contract §9: an allow-list of testnet and loopback hosts",
        file=_BASE_URL,
        old="    found = _FORM.fullmatch(url)\n",
        new='    if url.startswith("https://testnet."):\n        return None\n    found = _FORM.fullmatch(url)\n',
        scenario=f"{_FOREIGN}[head of somebody's domain]",
        says="guard/request_host",
    ),
    one_edit(
        "any host below binance.vision is allowed",
        claim="contract §9: an allow-list of testnet and loopback hosts",
        file=_HOSTS,
        old="    return host in named and",
        new='    return (host in named or host.endswith(".binance.vision")) and',
        scenario=f"{_URLS}::test_no_known_production_host_is_allowed[https-data-api.binance.vision]",
        says="assert None is not None",
    ),
    one_edit(
        "unencrypted testnet is allowed",
        claim="contract §9: an allow-list of testnet and loopback hosts",
        file=_HOSTS,
        old='    named = {"https": TESTNET_REST,',
        new='    named = {"http": TESTNET_REST, "https": TESTNET_REST,',
        scenario=f"{_URLS}::test_what_the_library_makes_of_a_foreign_url_is_refused_too",
        says="assert None is not None",
    ),
    one_edit(
        "absolute URL of a request is sent as it is",
        claim="contract §9: a request leads to testnet or loopback",
        file=_REQUEST,
        old="    if not is_allowed(url.scheme, host, url.port):\n",
        new="    if not is_allowed(url.scheme, host, url.port) and not host:\n",
        scenario=f"{_URLS}::test_what_the_library_makes_of_a_foreign_url_is_refused_too",
        says="assert None is not None",
    ),
    one_edit(
        "Host header of a request is not looked at",
        claim="contract §9: a request leads to testnet or loopback",
        file=_REQUEST,
        old="    if header is not None and",
        new="    if header is ... and",
        scenario=f"{_LAYERS}::test_host_header_of_another_host_is_refused",
        says="assert None is not None",
    ),
)

_OF_A_CLIENT = (
    PlantedBug(
        name="redirects are followed",
        claim="contract §9: redirects are refused",
        edits=(
            Edit(file=_CLIENT, old='"follow_redirects": False', new='"follow_redirects": True'),
            Edit(file=_CLIENT, old='"event_hooks": {"response": [_refuse]}', new='"event_hooks": {}'),
        ),
        scenarios=(f"{_RUNNING}::test_bot_whose_exchange_begins_to_lead_elsewhere_does_not_follow[307]",),
        says="guard/request_host",
    ),
    one_edit(
        "redirect of a WebSocket's handshake is followed",
        claim="contract §9: redirects are refused",
        file=_SOCKET,
        old="        if why is not None and not follow_redirects:\n",
        new="        if why is not None and follow_redirects:\n",
        scenario=f"{_SOCKETS}::test_handshake_that_is_answered_with_a_redirect_goes_nowhere_and_is_recorded[307-Location]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "WebSocket believes whom its library believes",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_SOCKET,
        old='        connector=aiohttp.TCPConnector(ssl=settings["verify"], resolver=peer_address.resolver()),\n',
        new="        connector=aiohttp.TCPConnector(resolver=peer_address.resolver()),\n",
        scenario=f"{_SOCKETS}::test_server_that_proves_who_it_is_is_heard",
        says="guard/client_settings",
    ),
    one_edit(
        "proxy in the environment is passed over",
        claim="contract §9: proxies are refused",
        file=_CLIENT,
        old="    if found:\n",
        new="    if found is None:\n",
        scenario=f"{_LAYERS}::test_proxy_in_the_environment_is_refused[HTTP_PROXY]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "authorities of the environment are trusted",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_CLIENT,
        old="httpx.create_ssl_context(verify=True, trust_env=False)",
        new="httpx.create_ssl_context(verify=True, trust_env=True)",
        scenario=f"{_CERTIFICATES}::test_authority_that_only_the_environment_names_is_nobodys",
        says="DID NOT RAISE",
    ),
    one_edit(
        "certificates are not verified",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_CLIENT,
        old='        "verify": verifying(authorities),\n',
        new='        "verify": httpx.create_ssl_context(verify=False),\n',
        scenario=f"{_CERTIFICATES}::test_server_with_a_wrong_certificate_is_sent_nothing_and_recorded[expired]",
        says="request_host",
    ),
    one_edit(
        "session that verified nobody is used",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_REQUEST,
        old="    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:\n",
        new="    if context is None:\n",
        scenario=f"{_CERTIFICATES}::test_transport_sends_nothing_over_a_session_that_verified_nobody[expired]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "name that leads elsewhere is looked up",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file="sim/guard/python_sockets.py",
        old="        return None if not host or _is_loopback(host) else",
        new="        return None if host else",
        scenario=f"{_LAYERS}::test_lookup_of_any_name_but_loopback_is_refused",
        says="assert None is not None",
    ),
    one_edit(
        "any address is connected to",
        claim="contract §9: no connection but to loopback",
        file="sim/guard/python_sockets.py",
        old="    if not isinstance(address, tuple) or _is_loopback(str(address[0])):\n",
        new="    if not isinstance(address, tuple) or address:\n",
        scenario=f"{_LAYERS}::test_address_is_refused_unless_it_is_loopback[socket.connect]",
        says="assert None is not None",
    ),
    one_edit(
        "refusals are not recorded",
        claim="contract §9: every attempt is recorded",
        file="sim/guard/refusal.py",
        old="    for path in _RECORD:\n",
        new="    for path in _RECORD[1:]:\n",
        scenario=f"{_LAYERS}::test_client_that_was_given_the_testnet_refuses_another_host",
        says="FileNotFoundError",
    ),
)

_OF_THE_DOUBLE = (
    one_edit(
        "double answers for every host",
        claim="contract §9: the double answers only testnet hosts",
        file="sim/exchange/hosts.py",
        old="    return normal_host(host) in answered_hosts()\n",
        new="    return bool(normal_host(host))\n",
        scenario="tests/sim/exchange/test_skins.py::test_server_refuses_the_name_of_another_host",
        says="(200, 200) == (421, 200)",
    ),
    one_edit(
        "double forgets for whom it was asked",
        claim="contract §9: every attempt is recorded",
        file="sim/exchange/world.py",
        old="        self.refused_hosts.append(host)\n",
        new="        host = host.strip()\n",
        scenario="tests/sim/exchange/test_skins.py::test_server_refuses_the_name_of_another_host",
        says="[] == ['api.binance.com']",
    ),
    one_edit(
        "double takes a key that may withdraw",
        claim="contract §9: the double takes never a live key",
        file="sim/exchange/keys.py",
        old="        if foreign:\n",
        new="        if len(foreign) > 1:\n",
        scenario="tests/sim/exchange/test_keys.py::test_key_that_could_do_more_than_trade_on_the_testnet_is_not_taken"
        "[WITHDRAWALS]",
        says="DID NOT RAISE",
    ),
)

_OF_A_WORKER = (
    one_edit(
        "running worker is not asked again",
        claim="contract §9: worker start, and each claim after it",
        file="worker/bus/loop.py",
        old="    require_testnet_still(context.home)\n",
        new="",
        scenario=f"{_WORKER}::test_idle_worker_whose_home_is_switched_ends_at_the_next_click_and_claims_nothing[false]",
        says="worker:loop",
    ),
    one_edit(
        "worker does not look again where a command runs",
        claim="contract §9: the handler judges the environment",
        file="worker/bus/execute.py",
        old="    if problems and not handler.is_applied(context.home, command):\n",
        new="    if problems is None:\n",
        scenario=f"{_WORKER}::test_dry_run_claimed_before_the_switch_is_refused_where_it_would_run[false]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    one_edit(
        "connection that looks like one is left to the schema",
        claim="contract §9: the handler judges the exchange connection",
        file="worker/guards/network.py",
        old="    if connection is not None:\n",
        new="    if connection is not None and len(str(connection)) != 36:\n",
        scenario=f"{_CONNECTION}::test_connection_that_turns_live_between_click_and_run_is_refused",
        says="schema_violation",
    ),
    one_edit(
        "payload believed as it was when it was clicked",
        claim="contract §9: the handler judges the environment",
        file="worker/handlers/payload_check.py",
        old="    require_testnet_payload(fields)\n",
        new='    require_testnet_payload({**fields, "environment": command.environment})\n',
        scenario=f"{_SWITCHED}::test_payload_switched_since_the_click_is_refused_and_writes_nothing"
        "[environment-stands-dry run]",
        says="schema_violation",
    ),
)

BUGS: tuple[PlantedBug, ...] = (
    *_AT_THE_BOTS_DOOR,
    *_OF_A_URL,
    *_OF_A_CLIENT,
    *_OF_THE_DOUBLE,
    *_OF_A_WORKER,
)
