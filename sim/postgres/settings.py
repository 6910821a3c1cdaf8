"""The settings every test server runs with, whatever kind it is.

`synchronous_commit` stays on: with it off, `kill -9` of Postgres lost acknowledged commits in every trial, and a crash
scenario would prove nothing. `fsync` is off because no scenario cuts the power of the machine.
Autovacuum is on and quick: without it a database that is emptied by DELETE thousands of times drifts.
"""

SHARED: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "autovacuum_naptime": "1s",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

# Shared memory in files of the data folder, so that a killed server leaves nothing outside its own folder.
EMBEDDED: dict[str, str] = {
    **SHARED,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "dynamic_shared_memory_type": "mmap",
}

PORT = 5432
"""Each embedded server has a socket folder of its own, so one number does for all."""

MAX_SOCKET_PATH_BYTES = 103
"""The shortest limit among the systems we name (macOS; Linux allows 107)."""


def command_line(settings: dict[str, str]) -> list[str]:
    """The arguments of `postgres` that set `settings`."""
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def socket_path_bytes(folder: str) -> int:
    """How long the path of the server's socket in `folder` would be."""
    return len(f"{folder}/.s.PGSQL.{PORT}".encode())
