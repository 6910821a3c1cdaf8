"""How fine the kernel's file times are, and waiting out one grain where they are coarse.

Before Linux 6.13 ctime is taken from a clock that moves once per timer tick (1 to 10 ms): a change made right after a
snapshot could carry the same ctime as one made right before it. Later kernels give a file whose times were looked at
a fine-grained time, on the file systems that take part.
"""

import os
import re
import sys
import time
from functools import cache

# Those that set FS_MGTIME in Linux 6.13; any other is taken to be coarse.
_FINE_GRAINED = frozenset({"ext4", "xfs", "btrfs", "tmpfs", "bcachefs"})
_WITHOUT_STORAGE = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
_FINE_SINCE = (6, 13)
_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE of linux/time.h: the clock that stamps files, one step per timer tick
_MAX_WAIT_S = 0.05  # five ticks of the slowest timer Linux is built with (100 Hz)
_PAUSE_S = 0.0005


def wait_for_next_tick(newest_ctime_ns: int, device: int) -> float:
    """Seconds waited until a change made now must get a later ctime than `newest_ctime_ns`; 0 where it does already."""
    if sys.platform != "linux" or is_fine_grained(device):
        return 0.0
    started = time.clock_gettime(time.CLOCK_MONOTONIC)
    waited = 0.0
    while waited < _MAX_WAIT_S:
        if time.clock_gettime_ns(_COARSE_CLOCK) > newest_ctime_ns:
            break
        time.sleep(_PAUSE_S)
        waited = time.clock_gettime(time.CLOCK_MONOTONIC) - started
    return waited


def real_now_ns() -> int:
    """Real time in nanoseconds since 1970, even under freezegun, which leaves `clock_gettime` alone."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def is_fine_grained(device: int) -> bool:
    """Whether files of this device get a distinct ctime for each change that follows a look at them."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _FINE_SINCE:
        return False
    return _file_system(device) in _FINE_GRAINED


def stamps_mapped_writes(device: int) -> bool:
    """Whether a write through a memory mapping gives a file a new ctime: file systems in memory do not see one."""
    return sys.platform != "linux" or _file_system(device) not in _WITHOUT_STORAGE


@cache
def _file_system(device: int) -> str:
    """The type of the file system mounted from `device`, or an empty text where the mount table does not say."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
            for line in table:
                fields, _, rest = line.partition(" - ")
                if fields.split()[2] == number:
                    return rest.split()[0]
    except OSError:
        return ""
    return ""
