"""What a run was measured on."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from asr_kd.nets.device import DeviceOptions, computes_bf16, prepare, use_faster_products
from asr_kd.stage import revision

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
LIBRARIES = ("torch", "numpy", "torchaudio", "kaldi-native-fbank", "librosa")


def get_ready(device: str) -> None:
    """One thread, and the fastest exact products, as every command sets them.

    Raises:
        UsageError: there is no such device.
    """
    prepare(DeviceOptions(device=device, num_threads=1))


def describe(device: str) -> dict[str, Any]:
    """Processor, GPU and libraries, as JSON values."""
    cpu = _cpuinfo()
    flags = cpu.get("flags", "").split()
    found: dict[str, Any] = {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cpu_family": f"family {cpu.get('cpu family', '?')}, model {cpu.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "bf16_in_hardware": computes_bf16(torch.device("cpu")),
        "fp32_products_by_onednn": use_faster_products(),
        "load": round(os.getloadavg()[0], 2),
        "libraries": {"asr_kd": revision(), **{name: _version(name) for name in LIBRARIES}},
    }
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(torch.device(device))
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of ``/proc/cpuinfo``; empty where the system has no such file."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
