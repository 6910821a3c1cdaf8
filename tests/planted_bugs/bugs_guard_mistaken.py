"""Bugs where the guard takes one thing for another: an address for its name, a header for a redirect, a key for a host.

As in `bugs_guard`, what would send a packet to the world is caught by tests that open no connection.
"""

from tests.planted_bugs.bug import PlantedBug, one_edit

_CLIENT = "sim/guard/client_settings.py"
_SOCKET = "sim/guard/exchange_socket.py"
_REQUEST = "sim/guard/request_host.py"
_PEER = "sim/guard/peer_address.py"
_ADDRESS = "worker/guards/database_address.py"
_SOCKETS = "tests/sim/guard/test_exchange_socket.py"
_LAYERS = "tests/sim/guard/test_layers.py"
_CERTIFICATES = "tests/sim/guard/test_certificates.py"
_PEERS = "tests/sim/guard/test_peer_address.py"
_ADDRESSES = "tests/worker/guards/test_database_address.py"
_SCRUBBING = "tests/sim/fake_bot/test_bot_scrubbing.py"
_SKINS = "tests/sim/exchange/test_skins.py"

_OF_A_CLIENT = (
    one_edit(
        "redirect is one only where Location says so",
        claim="contract §9: redirects are refused",
        file=_CLIENT,
        old='_LEADING: Final = ("location", "uri")\n',
        new='_LEADING: Final = ("location",)\n',
        scenario=f"{_LAYERS}::test_redirect_is_one_whatever_header_says_where",
        says="leads nowhere",
    ),
    one_edit(
        "redirect that says nowhere is an answer",
        claim="contract §9: redirects are refused",
        file=_CLIENT,
        old="    if status not in _REDIRECTS:\n",
        new='    if status not in _REDIRECTS or "location" not in headers:\n',
        scenario=f"{_SOCKETS}::test_handshake_that_is_answered_with_a_redirect_goes_nowhere_and_is_recorded[307-URI]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "request may name another target than its URL",
        claim="contract §9: a request leads to testnet or loopback",
        file=_REQUEST,
        old="    if target != request.url.raw_path:\n",
        new='    if target == b"":\n',
        scenario=f"{_LAYERS}::test_client_that_asks_a_server_for_another_one_is_refused[GET-/y]",
        says="ConnectError",
    ),
    one_edit(
        "server is asked for a way to another host",
        claim="contract §9: proxies are refused",
        file=_REQUEST,
        old='    if request.method == "CONNECT":\n',
        new='    if request.method == "connect":\n',
        scenario=f"{_LAYERS}::test_client_that_asks_a_server_for_another_one_is_refused[CONNECT-/x]",
        says="ConnectError",
    ),
    one_edit(
        "localhost leads wherever it is led",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_PEER,
        old="address in LOOPBACK_ADDRESSES:\n",
        new="address:\n",
        scenario=f"{_PEERS}::test_localhost_that_leads_elsewhere_is_refused_sent_nothing_and_recorded[by_httpx]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "localhost is looked up, and then once more",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_PEER,
        old='                require(host, str(stream.get_extra_info("server_addr")[0]))\n',
        new='                stream.get_extra_info("server_addr")\n',
        scenario=f"{_PEERS}::test_localhost_that_leads_elsewhere_once_it_was_looked_at_is_sent_nothing",
        says="DID NOT RAISE",
    ),
    one_edit(
        "WebSocket goes where localhost is led",
        claim="contract §9: DNS names that lead elsewhere are refused",
        file=_SOCKET,
        old=", resolver=peer_address.resolver()",
        new="",
        scenario=f"{_PEERS}::test_localhost_that_leads_elsewhere_is_refused_sent_nothing_and_recorded[by_aiohttp]",
        says="DID NOT RAISE",
    ),
)

_OF_A_SECRET = (
    one_edit(
        "keys of a session are written where the environment says",
        claim="style: never a secret in a file",
        file=_CLIENT,
        old="    context.keylog_filename = None  # type: ignore[assignment]  # typeshed knows only how it is set\n",
        new="",
        scenario=f"{_CERTIFICATES}::test_keys_of_a_session_are_written_for_nobody",
        says="keys.txt",
    ),
    one_edit(
        "library logs each request's signature",
        claim="style: never a secret in a log",
        file="sim/guard/exchange_client.py",
        old="    library_logs.put_in_force()\n",
        new="",
        scenario=f"{_CERTIFICATES}::test_signature_stands_in_no_log_and_host_and_path_do",
        says="signature=0a0b0c",
    ),
    one_edit(
        "key in a refused URL is shown",
        claim="style: never a secret in an error",
        file="sim/guard/refusal.py",
        old='_KEY.sub("[scrubbed]", text)',
        new="text",
        scenario=f"{_LAYERS}::test_key_is_shown_by_no_refusal",
        says="vmPUZE6mv9SD5VNHk4Hl",
    ),
    one_edit(
        "exchange is quoted word by word",
        claim="style: never a secret in an error",
        file="sim/fake_bot/exchange_client.py",
        old="scrubbed(refused.msg, (self._secret.decode(), self.api_key))",
        new="refused.msg",
        scenario=f"{_SCRUBBING}::test_exchange_that_repeats_a_secret_is_not_quoted",
        says="[scrubbed]",
    ),
)

_OF_THE_DOUBLE = (
    one_edit(
        "double reads a host up to its first colon",
        claim="contract §9: the double answers only testnet hosts",
        file="sim/exchange/hosts.py",
        old="(?::[0-9]*)?",
        new="(?::.*)?",
        scenario=f"{_SKINS}::test_host_that_only_begins_like_testnet_is_not_answered",
        says="assert not True",
    ),
    one_edit(
        "double that is asked as a proxy believes the header",
        claim="contract §9: the double answers only testnet hosts",
        file="sim/exchange/skins/server.py",
        old='    if target.startswith(("/", "*")):\n',
        new="    if target:\n",
        scenario=f"{_SKINS}::test_server_that_is_asked_as_a_proxy_judges_the_host_of_the_target",
        says="('404', '404') == ('421', '404')",
    ),
)

_OF_THE_DATABASE = (
    one_edit(
        "address of the environment goes before the host",
        claim="contract §9: no connection but Postgres",
        file=_ADDRESS,
        old='LEADING_ELSEWHERE = ("PGHOSTADDR", "PGSERVICE")\n',
        new='LEADING_ELSEWHERE = ("PGSERVICE",)\n',
        scenario=f"{_ADDRESSES}::test_variable_that_leads_libpq_elsewhere_is_refused",
        says="assert [] ==",
    ),
    one_edit(
        "database may be the exchange",
        claim="contract §9: no connection but Postgres",
        file=_ADDRESS,
        old="    exchange = names_mainnet(host)\n",
        new="    exchange = names_mainnet(host) and None\n",
        scenario=f"{_ADDRESSES}::test_host_of_production_is_refused",
        says="assert 0 == 1",
    ),
    one_edit(
        "URL in place of the database's host is looked up",
        claim="style: never a secret in an error",
        file=_ADDRESS,
        old="    elif host and _ONE_HOST.fullmatch(host) is None:\n",
        new="    elif _ONE_HOST.match(host) is None and host:\n",
        scenario=f"{_ADDRESSES}::test_list_or_url_in_place_of_a_host_is_refused_and_not_shown",
        says="not enough values to unpack",
    ),
    one_edit(
        "worker does not ask where its database is looked for",
        claim="contract §9: no connection but Postgres",
        file="worker/settings.py",
        old="    problems += database_address_problems(environ)\n",
        new="",
        scenario="tests/worker/test_settings.py::test_database_that_is_looked_for_elsewhere_is_refused",
        says="DID NOT RAISE",
    ),
    one_edit(
        "bot does not ask where its database is looked for",
        claim="contract §9: no connection but Postgres",
        file="sim/fake_bot/settings.py",
        old="    _require_database_address(environment)\n",
        new="",
        scenario="tests/sim/fake_bot/test_bot_settings.py::test_database_that_is_looked_for_elsewhere_is_refused",
        says="DID NOT RAISE",
    ),
)

BUGS: tuple[PlantedBug, ...] = (
    *_OF_A_CLIENT,
    *_OF_A_SECRET,
    *_OF_THE_DOUBLE,
    *_OF_THE_DATABASE,
)
