"""Memory that was freed stays with the process: getting it back from the system costs as much as using it.

The C library hands large pieces back at once, and every page is zeroed anew when it is next asked for. A training step
or a chunk of filter banks frees and asks for the same few megabytes over and over.
"""

import ctypes

# Of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES, _STEP_BYTES = 1 << 30, 1 << 26


def keep_freed_memory() -> None:
    """Keep up to a gigabyte of freed memory for the next use; without glibc nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TOP_PAD, _STEP_BYTES)
