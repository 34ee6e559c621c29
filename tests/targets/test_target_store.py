"""The soft-target store: one record a frame, the same for any number of threads, refused for anything else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel, models_fingerprint
from asr_kd.targets import store as store_module
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.store import (
    DENSE_PDFS,
    META_FILE,
    TARGETS_FILE,
    SoftTargetOptions,
    SoftTargets,
    TargetReader,
    joined,
    write_soft_targets,
)

CPU = torch.device("cpu")
GPU = torch.device("meta")  # stands for one: what lies there has a size, but no values
Made = tuple[FrameStore, dict[Path, AcousticModel]]


@pytest.fixture
def made(make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]) -> Made:
    """A frame store and an ensemble of three."""
    store = make_store([30, 50, 41])
    return store, {Path(f"member-{seed}"): make_model(store, seed=seed) for seed in (1, 2, 3)}


def written(directory: Path, made: Made, *, nj: int = 1, **options: object) -> SoftTargets:
    directory.mkdir(exist_ok=True)
    asked = SoftTargetOptions(**options)  # type: ignore[arg-type]
    write_soft_targets(directory, *made, asked, device=CPU, nj=nj)
    return SoftTargets(directory)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_a_dense_store_holds_the_ensembles_mean(tmp_path: Path, made: Made, mean: str, temperature: float) -> None:
    store, members = made
    targets = written(tmp_path, made, dense=True, mean=mean, temperature=temperature)
    everything = slice(0, store.num_frames)
    expected = ensemble_targets(list(members.values()), store.windows(everything), temperature=temperature, mean=mean)
    reader = TargetReader([targets], CPU)
    assert (reader.dense, reader.temperature) == (True, temperature)
    some = torch.tensor([3, 120, 3, 57])
    torch.testing.assert_close(reader.dense_batch(some), expected[some], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 50.0])
def test_stored_logits_give_the_geometric_mean_at_any_temperature(
    tmp_path: Path, made: Made, temperature: float
) -> None:
    store, members = made
    reader = TargetReader([written(tmp_path, made, logits=True, mean="geometric")], CPU, temperature=temperature)
    windows = store.windows(slice(0, store.num_frames))
    expected = ensemble_targets(list(members.values()), windows, temperature=temperature, mean="geometric")
    frames = torch.arange(store.num_frames)
    assert reader.dense
    torch.testing.assert_close(reader.dense_batch(frames), expected, rtol=1e-2, atol=1e-5)
    torch.testing.assert_close(reader.logits_batch(frames).mean(dim=1), torch.zeros(len(frames)), rtol=0, atol=1e-3)


def test_a_sparse_store_holds_each_frames_top(tmp_path: Path, made: Made) -> None:
    store, members = made
    reader = TargetReader([written(tmp_path, made, top_k=4, tail_samples=6)], CPU)
    expected = ensemble_targets(
        list(members.values()), store.windows(slice(0, store.num_frames)), temperature=2.0, mean="arithmetic"
    )
    frames = torch.randperm(store.num_frames, generator=torch.Generator().manual_seed(1))
    ids_BK, probs_BK = reader.sparse_batch(frames)
    assert not reader.dense
    assert ids_BK.shape == (store.num_frames, 10)
    torch.testing.assert_close(probs_BK[:, :4], expected[frames].topk(4).values, rtol=5e-3, atol=1e-5)


@pytest.mark.parametrize("dense", [True, False])
def test_the_number_of_threads_does_not_change_a_byte(
    tmp_path: Path, made: Made, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHUNK_FRAMES", 16)
    files = []
    for nj in (1, 3):
        written(tmp_path / str(nj), made, nj=nj, dense=dense, top_k=3, tail_samples=4)
        files.append((tmp_path / str(nj) / TARGETS_FILE).read_bytes())
    assert files[0] == files[1]


def test_large_inventories_are_averaged_in_blocks(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(tmp_path / "whole", made, dense=True)
    monkeypatch.setattr(store_module, "BLOCK_LOGITS", 100)
    torch.testing.assert_close(written(tmp_path / "blocks", made, dense=True).rows, whole.rows, rtol=2e-3, atol=1e-6)


def test_the_seed_draws_another_tail(tmp_path: Path, made: Made) -> None:
    one = written(tmp_path / "1", made, top_k=3, tail_samples=4, seed=1)
    two = written(tmp_path / "2", made, top_k=3, tail_samples=4, seed=2)
    assert not torch.equal(one.rows, two.rows)


def test_equal_frames_of_two_chunks_have_tails_of_their_own(
    tmp_path: Path,
    make_store: Callable[..., FrameStore],
    make_model: Callable[..., AcousticModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "CHUNK_FRAMES", 10)
    store = make_store([np.ones((20, 3), np.float32)])
    targets = written(tmp_path, (store, {Path("m"): make_model(store)}), top_k=2, tail_samples=6)
    ids_BK, probs_BK = TargetReader([targets], CPU).sparse_batch(torch.arange(20))
    assert torch.equal(ids_BK[:10, :2], ids_BK[10:, :2])
    assert torch.equal(probs_BK[:10], probs_BK[10:])
    assert not torch.equal(ids_BK[:10, 2:], ids_BK[10:, 2:])


@pytest.mark.parametrize(
    ("num_pdfs", "options", "dense"),
    [
        (DENSE_PDFS, {}, True),
        (DENSE_PDFS + 1, {}, False),
        (DENSE_PDFS, {"dense": False}, False),
        (DENSE_PDFS + 1, {"dense": True}, True),
        (DENSE_PDFS, {"top_k": 4}, False),
        (DENSE_PDFS, {"tail_samples": 4}, False),
        (DENSE_PDFS, {"logits": True}, False),
    ],
)
def test_of_a_small_inventory_all_is_kept_unless_records_are_asked_for(
    tmp_path: Path,
    make_store: Callable[..., FrameStore],
    make_model: Callable[..., AcousticModel],
    num_pdfs: int,
    options: dict[str, object],
    dense: bool,
) -> None:
    store = make_store([4])
    made = written(tmp_path, (store, {Path("m"): make_model(store, num_pdfs=num_pdfs)}), **options)
    assert made.dense is dense
    assert made.rows.shape[1] == (num_pdfs if dense or made.logits else made.layout.num_bytes)


def test_the_default_record_serves_an_inventory_smaller_than_the_top(
    tmp_path: Path, make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    store = make_store([20])
    model = make_model(store, num_pdfs=5)
    reader = TargetReader([written(tmp_path, (store, {Path("m"): model}), dense=False)], CPU)
    ids_BK, probs_BK = reader.sparse_batch(torch.arange(20))
    found = torch.zeros(20, 5).scatter_add_(1, ids_BK, probs_BK)
    expected = ensemble_targets([model], store.windows(slice(0, 20)), temperature=2.0, mean="arithmetic")
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=1e-5)


def test_several_stores_are_read_as_one(
    tmp_path: Path, make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    stores = [make_store([30], seed=1), make_store([12, 9], seed=2)]
    members = {Path("m"): make_model(stores[0])}
    targets = [written(tmp_path / str(n), (store, members), dense=True) for n, store in enumerate(stores)]
    reader = TargetReader(targets, CPU)
    alone = TargetReader(targets[1:], CPU)
    torch.testing.assert_close(reader.dense_batch(torch.tensor([30, 50])), alone.dense_batch(torch.tensor([0, 20])))


@pytest.mark.parametrize("dense", [True, False])
def test_targets_go_to_the_gpu_where_half_of_its_free_memory_holds_them_and_else_their_batches_do(
    tmp_path: Path, made: Made, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [written(tmp_path / str(n), made, dense=dense, seed=n) for n in (1, 2)]
    num_bytes = sum(own.rows.nbytes for own in targets)
    for free, device in ((2 * num_bytes, GPU), (2 * num_bytes - 1, CPU)):
        monkeypatch.setattr(store_module, "free_bytes", lambda _, free=free: free)
        reader = TargetReader(targets, GPU)
        assert {part.device for part in reader._parts} == {device}
        assert sum(part.nbytes for part in reader._parts) == num_bytes
    some = torch.tensor([3, 240, 120, 121])
    batch_of = TargetReader.dense_batch if dense else TargetReader.sparse_batch
    for found, expected in zip(batch_of(reader, some), batch_of(TargetReader(targets, CPU), some), strict=True):
        assert torch.equal(found, expected)


def test_the_stores_records_are_one_after_the_other_where_they_are_joined(tmp_path: Path, made: Made) -> None:
    rows = [written(tmp_path / str(seed), made, seed=seed).rows for seed in (1, 2)]
    assert torch.equal(joined(rows, CPU), torch.cat(rows))


@pytest.mark.parametrize("change", [{"temperature": 3.0}, {"mean": "geometric"}, {"dense": False}])
def test_stores_made_with_other_options_are_not_read_as_one(
    tmp_path: Path, made: Made, change: dict[str, object]
) -> None:
    one = written(tmp_path / "1", made, dense=True)
    other = written(tmp_path / "2", made, **({"dense": True} | change))
    with pytest.raises(MismatchError) as error:
        TargetReader([one, other], CPU)
    assert str(one.path) in str(error.value)
    assert str(other.path) in str(error.value)


def test_what_belongs_together_passes_and_all_else_names_both_sides(
    tmp_path: Path, made: Made, make_store: Callable[..., FrameStore]
) -> None:
    store, members = made
    targets = written(tmp_path, made, dense=True)
    ensemble = models_fingerprint(members)
    targets.check(store, states_fingerprint="states", members_fingerprint=ensemble)
    targets.check(store, states_fingerprint="states", members_fingerprint=None)
    longer, wider = make_store([30, 50, 42]), make_store([30, 50, 41], left=3)
    other = make_store([30, 50, 41], seed=5)
    wrong = [
        (longer, "states", ensemble, ("frames", store.index_fingerprint, longer.index_fingerprint)),
        (wider, "states", ensemble, ("features", store.features_fingerprint, wider.features_fingerprint)),
        (other, "states", ensemble, ("feature values", store.feats_fingerprint, other.feats_fingerprint)),
        (store, "other", ensemble, ("states", "states", "other")),
        (store, "states", "other", ("models", ensemble, "other")),
    ]
    for frames, states, models, said in wrong:
        with pytest.raises(MismatchError) as error:
            targets.check(frames, states_fingerprint=states, members_fingerprint=models)
        for part in (*said, str(tmp_path), "run asr-kd make-soft-targets again"):
            assert part in str(error.value)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no targets": lambda path: (path / TARGETS_FILE).unlink(),
    "no meta": lambda path: (path / META_FILE).unlink(),
    "targets cut off": lambda path: (path / TARGETS_FILE).write_bytes((path / TARGETS_FILE).read_bytes()[:-9]),
    "targets empty": lambda path: (path / TARGETS_FILE).write_bytes(b""),
    "meta cut off": lambda path: (path / META_FILE).write_text((path / META_FILE).read_text()[:-9]),
    "meta without what it must say": lambda path: (path / META_FILE).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_an_error_that_names_it(tmp_path: Path, made: Made, damage: str) -> None:
    written(tmp_path, made)
    DAMAGES[damage](tmp_path)
    with pytest.raises(DataError, match=str(tmp_path)) as error:
        SoftTargets(tmp_path)
    assert "\n" not in str(error.value)


def test_a_temperature_of_zero_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="--temperature"):
        replace(SoftTargetOptions(), temperature=0.0)


def test_a_full_disk_is_an_error_not_a_crash(tmp_path: Path, made: Made) -> None:
    """A file that is mapped before it has its blocks kills the process where the disk is full."""
    (tmp_path / TARGETS_FILE).symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left|requested and"):
        written(tmp_path, made, dense=True)


def test_records_are_written_as_they_come(tmp_path: Path, made: Made) -> None:
    targets = written(tmp_path, made, top_k=3, tail_samples=4)
    rows = np.load(tmp_path / TARGETS_FILE)
    assert rows.shape == (121, targets.layout.num_bytes) == (121, targets.meta["bytes_per_frame"])
    assert rows.dtype == np.uint8
