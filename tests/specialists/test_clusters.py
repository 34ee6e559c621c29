"""Clusters of states, from the covariance of predictions to ``clusters.json``."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.errors import DataError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.specialists.clusters import ClusterOptions, Clusters, find_clusters, write_clusters
from asr_kd.specialists.covariance import CHUNK_FRAMES, prediction_covariance
from asr_kd.targets.ensemble import ensemble_targets

CPU = torch.device("cpu")
GROUPS = [[0, 3, 4], [1, 6], [2, 5, 7]]


def confused_in_groups(scale: float = 1.0) -> np.ndarray:
    """Covariance of predictions of which those within a group go together; later groups are rarer."""
    covariance = np.zeros((8, 8))
    for rarer, group in enumerate(GROUPS):
        covariance[np.ix_(group, group)] = 0.8 * scale**rarer
    deviation = np.sqrt(np.array([scale ** next(n for n, g in enumerate(GROUPS) if pdf in g) for pdf in range(8)]))
    return covariance + 0.2 * np.diag(deviation**2) + 0.01 * np.outer(deviation, deviation)


def test_the_covariance_is_that_of_all_predictions_at_once(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    store = make_store([CHUNK_FRAMES // 2, CHUNK_FRAMES // 2 + 3, 900])
    models = [make_model(store, seed=seed) for seed in (1, 2)]
    found = prediction_covariance(models, store, temperature=2.0, device=CPU, nj=2)
    x_BW = store.windows(slice(0, store.num_frames))
    probs = ensemble_targets(models, x_BW, temperature=2.0, mean="arithmetic").double().numpy()
    assert np.allclose(found, np.cov(probs.T, bias=True), rtol=1e-4, atol=1e-8)


def test_states_predicted_together_share_a_cluster() -> None:
    clusters, _ = find_clusters(confused_in_groups(), ClusterOptions(num_clusters=3))
    assert sorted(clusters) == sorted(GROUPS)


def test_in_the_correlation_rare_states_count_as_much_as_frequent_ones() -> None:
    rarer = confused_in_groups(scale=0.01)
    clusters, _ = find_clusters(rarer, ClusterOptions(num_clusters=3, matrix="correlation"))
    assert sorted(clusters) == sorted(GROUPS)
    plain, _ = find_clusters(rarer, ClusterOptions(num_clusters=3, matrix="covariance"))
    assert sorted(plain) != sorted(GROUPS)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_with_a_cluster_size_every_cluster_has_it(size: int) -> None:
    clusters, _ = find_clusters(confused_in_groups(), ClusterOptions(num_clusters=3, cluster_size=size))
    assert [len(cluster) for cluster in clusters] == [size] * 3
    for cluster in clusters:
        assert any(set(cluster) <= set(group) or set(cluster) >= set(group) for group in GROUPS)


@pytest.mark.parametrize("wrong", [{"num_clusters": 8}, {"num_clusters": 2, "cluster_size": 8}])
def test_as_many_clusters_or_states_as_there_are_states_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="below 8"):
        find_clusters(confused_in_groups(), ClusterOptions(**wrong))


@pytest.mark.parametrize(
    "wrong", [{"num_clusters": 0}, {"num_clusters": 2, "cluster_size": 0}, {"num_clusters": 2, "temperature": 0.0}]
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ClusterOptions(**wrong)  # type: ignore[arg-type]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_clusters(tmp_path, [[4, 2], [0, 2]], num_pdfs=6, made_from={"states_fingerprint": "here"})
    found = Clusters.load(tmp_path)
    assert found.subsets == ((2, 4), (0, 2))
    assert found.meta["clusters_of_each_pdf"] == [1, 0, 2, 0, 1, 0]
    assert found.subset(1) == (0, 2)
    with pytest.raises(UsageError, match="clusters 0 to 1"):
        found.subset(2)


@pytest.mark.parametrize(
    "content", ["{", '{"num_pdfs": 3}', '{"clusters": [[3]], "num_pdfs": 3}', '{"clusters": [[]], "num_pdfs": 3}']
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "clusters.json").write_text(content)
    with pytest.raises(DataError, match=r"clusters\.json.*cluster-states"):
        Clusters.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run asr-kd cluster-states"):
        Clusters.load(tmp_path)
