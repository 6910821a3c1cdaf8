"""The bot's home of one stack: a folder with the files a real one has before the first command. Source: contract §2."""

import json
import os
from pathlib import Path

from worker.contracts.commands import understood_versions

ENV_FILE_MTIME = 1_777_991_334
"""When the reference run's `.env` was last changed (seconds since 1970). Source: contract §11."""

ENV_FILE = """\
# Paper trading on the exchange's testnet.
BINANCE_TESTNET=true
"""


def make_home(root: Path) -> Path:
    """`root` as a bot's home: `.env`, versions file, empty `state/` and `logs/`; no portfolio before the bot starts."""
    for folder in ("gui", "state", "logs"):
        (root / folder).mkdir(parents=True)
    (root / "gui" / "command_bus_versions.json").write_text(json.dumps(understood_versions(), indent=2) + "\n")
    env_file = root / ".env"
    env_file.write_text(ENV_FILE)
    os.utime(env_file, (ENV_FILE_MTIME, ENV_FILE_MTIME))
    return root
