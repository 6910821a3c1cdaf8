"""Bugs of the exchange double: a numbered case of the battery must tell that it answers otherwise than the testnet."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_BATTERY = "tests/sim/exchange/test_battery.py::test_case_is_answered_as_expected"


def _otherwise(name: str, *, file: str, old: str, new: str, number: str, says: str) -> PlantedBug:
    """The double answers one request otherwise."""
    claim = f"the double answers case {number} of the battery as the testnet does"
    scenario = f"{_BATTERY}[{number}]"
    return one_edit(name, claim=claim, file=f"sim/exchange/{file}", old=old, new=new, scenario=scenario, says=says)


BUGS: tuple[PlantedBug, ...] = (
    _otherwise(
        "the exchange takes any signature",
        file="checks.py",
        old="    if not call.key.accepts(payload if given is None else given.encode(), signature):\n",
        new="    if not signature:\n",
        number="207",
        says="status 200",
    ),
    _otherwise(
        "the exchange takes requests that are too old",
        file="call.py",
        old="        if now_us - self.sent_us > window_us:\n",
        new="        if window_us < 0:\n",
        number="209",
        says="status 200",
    ),
    _otherwise(
        "the exchange tells another code for an unknown order",
        file="tables/errors.toml",
        old="code = -2013\n",
        new="code = -2011\n",
        number="403",
        says="code -2011",
    ),
    _otherwise(
        "the exchange forgets what an order is called",
        file="order_payloads.py",
        old='        "clientOrderId": order.client_order_id,\n        "price": text(order.price),\n',
        new='        "price": text(order.price),\n',
        number="401",
        says="missing clientOrderId",
    ),
)
