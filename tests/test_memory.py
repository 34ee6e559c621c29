"""Freed memory is kept: asking for as much again brings no new page."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from asr_kd.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.empty(6_000_000).fill(1)
before = faults()
for _ in range(10):
    np.empty(6_000_000).fill(1)
print(faults() - before)
"""


def faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_the_same_memory_is_used_again() -> None:
    assert faults("leave") > 50  # 48 MB ten times, in pages of 4 KB or of 2 MB
    assert faults("keep") < 20
