"""Free memory is what the system and its limits leave."""

from pathlib import Path

import pytest
import torch

from asr_kd.nets import free_memory

CPU = torch.device("cpu")


def test_free_memory_is_what_the_system_and_its_limits_leave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(free_memory, "MEMORY_INFO", info)
    monkeypatch.setattr(free_memory, "MEMORY_LIMIT", limit)
    physical = free_memory.free_bytes(CPU)
    info.write_text("MemTotal:  64 kB\nMemAvailable:     32 kB\n")
    assert free_memory.free_bytes(CPU) == 32 * 1024
    limit.write_text("max\n")
    assert free_memory.free_bytes(CPU) == 32 * 1024
    limit.write_text("4096\n")
    assert free_memory.free_bytes(CPU) == 4096 < physical


def test_on_a_gpu_what_torch_holds_and_no_tensor_uses_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 600)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert free_memory.free_bytes(torch.device("cuda")) == 1000 + 600 - 200
