"""Every benchmark in a tiny form, and what their figures rest on."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from asr_kd.bench import fbank, gather, members, students
from asr_kd.bench.fbank_peers import exact
from asr_kd.bench.figure import Figure
from asr_kd.bench.gemm import forward_flops, training_flops
from asr_kd.bench.machine import describe
from asr_kd.bench.step import Case
from asr_kd.bench.suite import BENCHMARKS
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import default_products, default_step, first_batch, our_step
from asr_kd.bench.worker import worker
from asr_kd.errors import UsageError
from asr_kd.frames.fbank import Fbank
from asr_kd.nets.device import use_faster_products
from asr_kd.nets.dnn import DNN, NetOptions

CPU = torch.device("cpu")
TINY: dict[str, dict[str, Any]] = {
    "fbank": {"utterances": 2, "rounds": 1, "least_seconds": 0.0},
    "gather": {"num_frames": 3000, "rounds": 1, "least_seconds": 0.0},
    "step": {
        "cases": [Case(num_layers=2, hidden_dim=16, num_pdfs=11, batch_size=32, rounds=1, mfu=(0.8, 0.8))],
        "least_seconds": 0.0,
    },
    "loss": {"batch_size": 8, "inventories": (50, 30), "rounds": 1, "least_seconds": 0.0},
    "store": {"num_frames": 3000, "num_pdfs": 100, "rounds": 1, "least_seconds": 0.0},
    "ensemble": {"num_members": 2, "num_pdfs": 10, "batch_size": 32, "rounds": 1, "least_seconds": 0.0},
    "decode": {"num_utterances": 2, "rounds": 1, "least_seconds": 0.0},
    "members": {"num_steps": 1, "rounds": 1},
    "fidelity": {
        "task": students.Task(
            num_pdfs=60,
            num_frames=1024,
            hidden_dim=16,
            members=2,
            member_epochs=1,
            student_seeds=(11,),
            student_epochs=1,
        )
    },
}


@pytest.fixture(autouse=True)
def _restored_products() -> Iterator[None]:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    yield
    settings.fp32_precision = before


def test_every_benchmark_has_a_tiny_form_here_or_a_test_of_its_own() -> None:
    assert set(TINY) | {"memory"} == set(BENCHMARKS)


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_measures_every_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fbank, "ERROR_UTTERANCES", 1)
    monkeypatch.setitem(gather.NETS, "cpu", (NetOptions(num_layers=1, hidden_dim=8), 5, 64))
    figures = measured(name, **TINY[name])
    assert len({figure.key for figure in figures}) == len(figures) > 0
    for figure in figures:
        assert figure.value is None or (np.isfinite(figure.value) and figure.value > 0), figure
        assert figure.value is not None or figure.note, f"{figure.key} does not say why it was not measured"


def test_a_group_is_measured_beside_one_member() -> None:
    figures = members.grouped(CPU, num_members=2, batch_size=16, rounds=1, least_seconds=0.0)
    assert [figure.key for figure in figures] == ["grouped", "grouped_frames_per_s"]
    assert all(figure.value is not None and figure.value > 0 for figure in figures)


def measured(name: str, **sizes: Any) -> list[Figure]:
    found: list[Figure] = importlib.import_module(f"asr_kd.bench.{BENCHMARKS[name].module}").measure(**sizes)
    return found


def test_memory_grows_by_at_least_the_features_in_a_process_of_its_own() -> None:
    with worker() as alone:
        figures = {f.key: f for f in alone.call("asr_kd.bench.memory:measure", num_frames=60_000)}
    padding = 60_000 // 500 * 25
    assert figures["features_bytes"].value == pytest.approx((60_000 + padding) * 160 / 1e6, rel=1e-3)
    assert figures["growth"].value is not None and figures["growth"].value > 0.9


def test_a_peer_that_is_not_installed_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fbank, "ERROR_UTTERANCES", 1)
    monkeypatch.setattr(fbank, "installed", lambda module: module == "torchaudio")
    figures = {figure.key: figure for figure in measured("fbank", **TINY["fbank"])}
    for key in ("vs_kaldi_native_fbank", "short_vs_kaldi_native_fbank", "long_vs_librosa"):
        assert figures[key].value is None and "is not installed" in figures[key].shown()
    assert figures["long_vs_torchaudio"].value is not None and figures["error"].value is not None


def test_no_bf16_in_hardware_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr_kd.bench.step.computes_bf16", lambda device: False)
    figures = {figure.key: figure for figure in measured("step", **TINY["step"])}
    assert figures["2x16_b32_bf16_mfu"].shown() == "cpu does not compute bf16 in hardware"
    assert figures["2x16_b32_fp32_mfu"].value is not None


def test_the_exact_filter_banks_are_kaldis_by_torchaudios_account() -> None:
    wave = fbank.speech_like(2.0, seed=3)
    true = exact(wave, fbank.OPTIONS)
    theirs = fbank.torchaudio_kaldi(fbank.OPTIONS)(torch.from_numpy(wave)[None] * 32768).numpy()
    (ours,) = Fbank(fbank.OPTIONS)([wave])
    assert true.shape == theirs.shape == tuple(ours.shape)
    np.testing.assert_allclose(true, theirs, rtol=0, atol=5e-3)
    np.testing.assert_allclose(true, ours.numpy(), rtol=0, atol=5e-3)


@pytest.mark.parametrize(("width", "hidden", "layers", "pdfs"), [(12, 8, 1, 5), (26, 16, 4, 50)])
def test_the_operations_of_a_step_are_those_that_torch_counts(width: int, hidden: int, layers: int, pdfs: int) -> None:
    net = DNN(width, pdfs, NetOptions(num_layers=layers, hidden_dim=hidden), seed=1)
    x_BW = torch.randn(7, width)
    with FlopCounterMode(display=False) as forward:
        logits_BP = net(x_BW)
    with FlopCounterMode(display=False) as backward:
        functional.cross_entropy(logits_BP, torch.zeros(7, dtype=torch.int64)).backward()
    assert forward.get_total_flops() == 7 * forward_flops(width, hidden, layers, pdfs)
    together = forward.get_total_flops() + backward.get_total_flops()
    assert together == 7 * training_flops(width, hidden, layers, pdfs)


def test_our_step_and_torchs_default_step_train_alike(tmp_path: Path) -> None:
    store = make_store(tmp_path, 256)
    frames = frame_set(store, 7, CPU)
    batch = first_batch(frames, 64)
    nets = [DNN(store.input_dim, 7, NetOptions(num_layers=1, hidden_dim=8), seed=1) for _ in range(3)]
    ours, default = our_step(nets[0], store, frames, batch, "fp32"), default_step(nets[1].layers, frames, batch)
    for _ in range(3):
        ours()
        default()
    weights = [net.layers[0].weight for net in nets]
    assert not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[0] - weights[2], weights[1] - weights[2], rtol=0.2, atol=2e-6)


def test_torchs_defaults_hold_for_their_own_step_alone() -> None:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    use_faster_products()
    ours = settings.fp32_precision
    with default_products():
        assert settings.fp32_precision == "none"
    assert settings.fp32_precision == ours


def test_a_students_divergence_from_itself_is_nothing(tmp_path: Path) -> None:
    task = students.Task(num_pdfs=20, num_frames=1024)
    store, labels_N = students.make_speech(tmp_path, task, seed=1)
    model = students.make_model(store, NetOptions(num_layers=1, hidden_dim=8), 20, seed=1)
    other = students.make_model(store, NetOptions(num_layers=1, hidden_dim=8), 20, seed=2)
    assert labels_N.shape == (store.num_frames,) and labels_N.max() < 20
    assert students._divergence(model, [model], store, CPU) == pytest.approx(0, abs=1e-6)
    assert students._divergence(model, [other], store, CPU) > 0.01


def test_a_worker_has_one_thread_and_hands_back_errors() -> None:
    with worker() as fresh:
        assert fresh.call("os:getenv", key="OPENBLAS_NUM_THREADS") == "1"
        assert fresh.call("os:getenv", key="OMP_NUM_THREADS") == "1"
        with pytest.raises(UsageError, match="--device tpu"):
            fresh.call("asr_kd.bench.machine:get_ready", device="tpu")
        with pytest.raises(RuntimeError, match=r"its process died \(exit code 3"):
            fresh.call("os:_exit", status=3)


def test_the_machine_is_described_by_processor_flags_and_libraries() -> None:
    found = describe("cpu")
    assert found["cpu"] and found["cores"] >= 1 and "gpu" not in found
    assert found["libraries"]["torch"] == torch.__version__.split("+")[0]
