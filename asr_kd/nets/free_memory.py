"""How much memory is free where networks run."""

import os
from pathlib import Path

import torch

MEMORY_INFO = Path("/proc/meminfo")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device: for the CPU what the system can hand out without swapping.

    On a GPU what torch has taken and no tensor uses is free, too: it is handed out again before any other.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.exists() else "max"
    limits = [total, _available() or total, total if limit == "max" else int(limit)]
    return min(limits)


def _available() -> int | None:
    if not MEMORY_INFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in MEMORY_INFO.read_text().splitlines() if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None
