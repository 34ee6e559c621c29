"""The fidelity of soft-target stores: what is kept of made-up distributions, and what a dense store would lose."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.plan.fidelity import (
    KEPT,
    Fidelity,
    divergence,
    measure_fidelity,
    of_distributions,
    recommendation,
    sample_frames,
)
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.record import RecordLayout
from asr_kd.targets.store import SoftTargetOptions

CPU = torch.device("cpu")


def distributions(num_frames: int, num_pdfs: int, *, scale: float = 3.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(scale * torch.randn(num_frames, num_pdfs, generator=generator), dim=1)


@pytest.fixture(scope="module")
def found() -> list[Fidelity]:
    return of_distributions([distributions(300, 500)], SoftTargetOptions())


def test_dense_loses_nothing_but_half_precision(found: list[Fidelity]) -> None:
    dense = found[-1]
    assert dense.dense and [one.dense for one in found].count(True) == 1
    assert (dense.top, dense.bytes_per_frame, dense.mass_mean, dense.mass_p5) == (500, 1000, 1, 1)
    assert 0 <= dense.kl < 1e-6


def test_the_more_is_kept_the_more_faithful(found: list[Fidelity]) -> None:
    assert [one.top for one in found] == [*KEPT, 500]
    masses, lows, sizes = (
        [getattr(one, name) for one in found] for name in ("mass_mean", "mass_p5", "bytes_per_frame")
    )
    assert masses == sorted(set(masses)) and lows == sorted(set(lows)) and sizes[:-1] == sorted(set(sizes[:-1]))
    kls = [one.kl for one in found]
    assert kls == sorted(set(kls), reverse=True)
    assert all(one.mass_p5 < one.mass_mean <= 1 for one in found[:-1])


def test_the_mass_is_that_of_the_largest_probabilities(found: list[Fidelity]) -> None:
    sorted_BP = distributions(300, 500).sort(dim=1, descending=True).values
    for one in found[:-1]:
        mass_B = sorted_BP[:, : one.top].sum(dim=1).double()
        assert one.mass_mean == pytest.approx(float(mass_B.mean()), rel=1e-6)
        assert one.mass_p5 == pytest.approx(np.quantile(mass_B.numpy(), 0.05), rel=1e-6)


def test_only_what_the_inventory_has_is_kept() -> None:
    assert [one.top for one in of_distributions([distributions(20, 16)], SoftTargetOptions())] == [1, 2, 4, 8, 16]


def test_parts_are_as_good_as_the_whole() -> None:
    probs_BP = distributions(100, 40)
    whole, parts = (
        of_distributions(given, SoftTargetOptions(tail_samples=64)) for given in ([probs_BP], probs_BP.split(30))
    )
    for one, other in zip(whole, parts, strict=True):
        assert one.mass_mean == pytest.approx(other.mass_mean, rel=1e-6)
        assert one.mass_p5 == pytest.approx(other.mass_p5, rel=1e-6)
        assert one.kl == pytest.approx(other.kl, rel=0.2, abs=1e-6)


def test_the_divergence_is_its_equation() -> None:
    probs_BP = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]])
    ids_BK = torch.tensor([[0, 2, 2], [3, 1, 0]])
    record_BK = torch.tensor([[0.5, 0.25, 0.25], [0.4, 0.6, 0.0]])
    expected = [
        0.5 * math.log(0.5 / 0.5) + 0.5 * math.log(0.5 / 0.125),
        0.4 * math.log(0.4 / 0.4) + 0.6 * math.log(0.6 / 0.2),
    ]
    assert divergence(probs_BP, ids_BK, record_BK).tolist() == pytest.approx(expected, rel=1e-6)


@examples(max_examples=50)
@given(seed=st.integers(0, 1000), top=st.integers(1, 12), tail=st.integers(1, 20), scale=st.floats(0.1, 20))
def test_no_record_is_closer_than_nothing(seed: int, top: int, tail: int, scale: float) -> None:
    probs_BP = distributions(5, 12, scale=scale, seed=seed)
    layout = RecordLayout(12, top, tail if top < 12 else 0)
    records = torch.from_numpy(layout.pack(probs_BP, torch.Generator().manual_seed(seed)))
    assert divergence(probs_BP, *layout.unpack(records)).min() > -1e-5


@examples(max_examples=50)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), asked=st.integers(1, 100), seed=st.integers(0, 99))
def test_frames_are_drawn_once_and_from_every_store(counts: list[int], asked: int, seed: int) -> None:
    stores = [type("Store", (), {"num_frames": count}) for count in counts]
    drawn = sample_frames(stores, asked, seed)  # type: ignore[arg-type]
    assert sum(map(len, drawn)) == min(asked, sum(counts))
    for frames, count in zip(drawn, counts, strict=True):
        assert len(set(frames.tolist())) == len(frames)
        assert all(0 <= frame < count for frame in frames)
    if asked >= sum(counts):
        assert [len(frames) for frames in drawn] == counts


def test_it_is_the_ensembles_mean_over_all_stores_that_is_packed(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    stores = [make_store([30, 12]), make_store([20], seed=1)]
    members = [make_model(stores[0], seed=seed) for seed in (1, 2)]
    options = SoftTargetOptions(temperature=1.5, mean="geometric")
    windows = torch.cat([store.windows(slice(0, store.num_frames)) for store in stores])
    probs_BP = ensemble_targets(members, windows, temperature=1.5, mean="geometric")
    found = measure_fidelity(stores, members, options, num_frames=1000, device=CPU)
    for one, expected in zip(found, of_distributions([probs_BP], options), strict=True):
        assert one.mass_mean == pytest.approx(expected.mass_mean, rel=1e-5)
        assert one.mass_p5 == pytest.approx(expected.mass_p5, rel=1e-5)


def test_a_higher_temperature_is_harder_to_keep(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    store = make_store([60])
    cold, hot = (
        measure_fidelity(
            [store], [make_model(store)], SoftTargetOptions(temperature=temperature), num_frames=60, device=CPU
        )
        for temperature in (1.0, 4.0)
    )
    assert all(one.mass_mean > other.mass_mean for one, other in zip(cold[:-1], hot[:-1], strict=True))


def kept(top: int, num_bytes: int, kl: float, *, dense: bool = False) -> Fidelity:
    return Fidelity(top=top, dense=dense, bytes_per_frame=num_bytes, mass_mean=0.9, mass_p5=0.8, kl=kl)


RECORDS = [kept(1, 30, 2.0), kept(8, 66, 0.3), kept(16, 90, 0.1)]


@pytest.mark.parametrize(
    ("dense_bytes", "largest_kl", "expected"),
    [
        (28_000, 0.5, "--top-k 8 "),
        (28_000, 0.2, "--top-k 16 "),
        (28_000, 3.0, "--top-k 1 "),
        (28_000, 0.01, "--dense"),
        (66, 0.5, "--dense"),
        (67, 0.5, "--top-k 8 "),
    ],
)
def test_the_smallest_store_that_is_faithful_enough_is_recommended(
    dense_bytes: int, largest_kl: float, expected: str
) -> None:
    line = recommendation([*RECORDS, kept(500, dense_bytes, 1e-9, dense=True)], SoftTargetOptions(), largest_kl)
    assert line.startswith(expected) and "\n" not in line
    assert "--dense false" not in line


def test_of_a_small_inventory_a_record_is_recommended_with_what_it_takes_to_get_it() -> None:
    line = recommendation([*RECORDS, kept(83, 166, 1e-9, dense=True)], SoftTargetOptions(), 0.5)
    assert line.startswith("--top-k 8 --tail-samples 16 --dense false: ")
