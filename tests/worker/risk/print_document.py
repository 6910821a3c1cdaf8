"""Prints what the engine makes of the example inputs; run as a process of its own by `test_engine`."""

import json

from tests.worker.risk.engine_cases import document_of, inputs_with
from worker.risk.engine import assess

if __name__ == "__main__":
    print(json.dumps(document_of(assess(inputs_with()))))
