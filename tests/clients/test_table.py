"""`sim/exchange/tables/clients.toml` says which client has passed which operation: no more and no less than is played.

A case names the operations that it asks for, and its test holds that against the log of the exchange; this test holds
the table against the cases. `python -m tests.clients.test_table` prints the table anew.
"""

import re
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from sim.exchange.operations import operations
from sim.exchange.tables import table
from tests.clients.case import CASES
from tests.clients.ears import EARS
from tests.clients.refusals import REFUSALS
from tests.clients.surfaces import SURFACES
from tests.clients.test_streams import ASKED
from tests.clients.test_user_events import SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED
from tests.clients.user_ears import USER_EARS, CcxtUserEar

HEADER = """# Which client has passed which operation, stream and refusal of the double. tests/clients/test_table.py
# holds it against what the tests play, and prints it anew: python -m tests.clients.test_table
#
# A client is a surface of a library: `_api` its calls by the WebSocket API, `_sockets` and `_streams` its streams.
"""

Table = Mapping[str, Mapping[str, list[str]]]


def _sorted(found: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    return {name: sorted(set(clients)) for name, clients in sorted(found.items())}


def played() -> Table:
    """What the tests play."""
    asked, streams, refusals = defaultdict(list), defaultdict(list), defaultdict(list)
    for surface in SURFACES:
        for case in CASES.values():
            for operation in case.operations if case.is_offered_by(surface) else ():
                asked[operation].append(surface)
        for refusal in REFUSALS.values():
            if refusal.is_offered_by(surface):
                refusals[str(refusal.code) + (f" by {refusal.status}" if refusal.code == -1003 else "")].append(surface)
    for surface, ear in EARS.items():
        for kind, heard in ear.kinds.items():
            streams[heard.stream.partition("@")[2]].append(surface)
            for operation in ASKED.get(kind, ()):
                asked[operation].append(surface)
    for surface in (CcxtUserEar.surface, *USER_EARS):
        streams["userData"].append(surface)
    for surface, operations_asked in SUBSCRIBED.items():
        for operation in operations_asked:
            asked[operation].append(surface)
    for surface in UNSUBSCRIBED:
        asked[UNSUBSCRIBE].append(surface)
    return {"operation": _sorted(asked), "stream": _sorted(streams), "refusal": _sorted(refusals)}


def written(found: Table) -> str:
    """The file's text."""
    parts = [HEADER]
    for name, rows in found.items():
        parts.append(f"\n[{name}]\n")
        for row, clients in rows.items():
            listed = ", ".join(f'"{client}"' for client in clients)
            key = row if re.fullmatch(r"[A-Za-z0-9_-]+", row) else f'"{row}"'
            line = f"{key} = [{listed}]\n"
            folded = "".join(f"    {part}\n" for part in textwrap.wrap(f"{listed},", width=116))
            parts.append(line if len(line) <= 120 else f"{key} = [\n{folded}]\n")
    return "".join(parts)


def test_table_of_clients_says_what_the_tests_play() -> None:
    found = table("clients.toml")

    assert found == played()
    assert tomllib.loads(written(played())) == found


def test_every_operation_that_the_double_serves_has_a_client() -> None:
    served = {each.name for each in operations().values() if each.supported}

    assert served - set(table("clients.toml")["operation"]) == set()


if __name__ == "__main__":
    print(written(played()), end="")
