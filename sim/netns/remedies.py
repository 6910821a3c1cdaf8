"""What to do where the kernel grants no namespace, by what this machine says of itself."""

import errno
from pathlib import Path

_LIMITS = (
    ("user.max_user_namespaces", "0", "10000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)
"""By which distributions keep ordinary users from namespaces: the setting, what it is then, and what it should be."""


def remedy(error: OSError, uid: int, settings: Path) -> str:
    """One clause for people. `settings` is where the kernel's settings are mounted, `/proc/sys`."""
    if error.errno == errno.ENOSPC:
        return "a limit of user.max_*_namespaces is reached: raise it with `sysctl -w`"
    if error.errno == errno.ENOENT:
        return "make that file, an empty one will do"
    if uid == 0:
        return "root lacks CAP_SYS_ADMIN here: run it on the machine itself, or in a container with --privileged"
    for setting, barred, granted in _LIMITS:
        if _value(settings.joinpath(*setting.split("."))) == barred:
            return f"{setting} is {barred}: have root run `sysctl -w {setting}={granted}`, or run this as root"
    return "run it as root, or where ordinary users may make user namespaces"


def _value(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
