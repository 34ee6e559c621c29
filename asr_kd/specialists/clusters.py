"""Clusters of states that are predicted together: what specialists are made for, and ``clusters.json``.

Legend: P pdfs, M clusters, K states of a cluster.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import DataError, UsageError
from asr_kd.options import option
from asr_kd.specialists.kmeans import distortion, online_kmeans, squared_distances
from asr_kd.stage import write_json

CLUSTERS_FILE = "clusters.json"


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """How states are divided among specialists."""

    num_clusters: int = option("clusters, each of which gets a specialist")
    cluster_size: int | None = option(
        "every cluster takes so many states, those nearest to its centroid: a state may be in several clusters or in "
        "none (default: every state is in the cluster of the nearest centroid alone)",
        default=None,
    )
    matrix: str = option(
        "what is clustered: the columns of the predictions' covariance (the paper's), or of their correlation, where a "
        "state that is often predicted counts no more than a rare one",
        default="correlation",
        choices=("covariance", "correlation"),
    )
    temperature: float = option(
        "T of the predictions. At 1 they are so sure that a state's own variance hides what it is confused with, and "
        "K-means puts nearly all states in one cluster",
        default=4.0,
    )
    passes: int = option("times that K-means sees every column", default=20)
    restarts: int = option("random starts of K-means, of which the best counts", default=10)
    seed: int = option("seed of starts and of the columns' order", default=1)

    def __post_init__(self) -> None:
        size = 1 if self.cluster_size is None else self.cluster_size
        if min(self.num_clusters, size, self.passes, self.restarts) < 1:
            raise UsageError("--num-clusters, --cluster-size, --passes and --restarts must be at least 1")
        if not self.temperature > 0:
            raise UsageError(f"--temperature must be above 0, got {self.temperature}")


@dataclass(frozen=True)
class Clusters:
    """Clusters read from a directory.

    Attributes:
        subsets: the pdf ids of each cluster, ascending.
        meta: what `write_clusters` wrote.
    """

    path: Path
    subsets: tuple[tuple[int, ...], ...]
    meta: dict[str, Any]

    @staticmethod
    def load(path: Path) -> "Clusters":
        """Read a directory's ``clusters.json``.

        Raises:
            DataError: it is missing or damaged.
        """
        file = path / CLUSTERS_FILE
        try:
            meta = json.loads(file.read_text(encoding="utf-8"))
            subsets = tuple(tuple(sorted(map(int, subset))) for subset in meta["clusters"])
            num_pdfs = int(meta["num_pdfs"])
        except OSError as error:
            raise DataError(f"{file}: cannot read it ({error.strerror}); run asr-kd cluster-states") from error
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{file}: not a list of clusters ({error}); run asr-kd cluster-states again") from error
        if not all(subset and subset[0] >= 0 and subset[-1] < num_pdfs for subset in subsets):
            raise DataError(f"{file}: a cluster is empty or has ids beyond {num_pdfs - 1}; run asr-kd cluster-states")
        return Clusters(path, subsets, meta)

    def subset(self, number: int) -> tuple[int, ...]:
        """The pdf ids of one cluster.

        Raises:
            UsageError: there is no such cluster.
        """
        if not 0 <= number < len(self.subsets):
            raise UsageError(f"--cluster {number}: {self.path} holds the clusters 0 to {len(self.subsets) - 1}")
        return self.subsets[number]


def find_clusters(covariance_PP: np.ndarray, options: ClusterOptions) -> tuple[list[list[int]], float]:
    """Pdf ids of each cluster, and the mean squared distance of a column to its centroid.

    Raises:
        UsageError: as many clusters, or states in each, as there are states, or more.
    """
    num_pdfs = len(covariance_PP)
    if max(options.num_clusters, options.cluster_size or 1) >= num_pdfs:
        raise UsageError(f"--num-clusters and --cluster-size must be below {num_pdfs}, the number of states")
    deviation_P = np.sqrt(np.maximum(np.diag(covariance_PP), np.finfo(np.float64).tiny))
    scale_PP = np.outer(deviation_P, deviation_P) if options.matrix == "correlation" else np.ones(1)
    columns_PP = covariance_PP / scale_PP
    centroids_MP = online_kmeans(
        columns_PP, options.num_clusters, passes=options.passes, restarts=options.restarts, seed=options.seed
    )
    distances_PM = squared_distances(columns_PP, centroids_MP)
    if options.cluster_size is not None:
        nearest_KM = np.argsort(distances_PM, axis=0, kind="stable")[: options.cluster_size]
        clusters = [sorted(column.tolist()) for column in nearest_KM.T]
    else:
        own_P = distances_PM.argmin(axis=1)
        clusters = [np.flatnonzero(own_P == number).tolist() for number in range(options.num_clusters)]
    return [cluster for cluster in clusters if cluster], distortion(columns_PP, centroids_MP)


def write_clusters(directory: Path, clusters: list[list[int]], *, num_pdfs: int, made_from: dict[str, Any]) -> None:
    """Write ``clusters.json``.

    Args:
        made_from: the generalist's and the states' fingerprints, the frames and the distortion.
    """
    coverage = np.bincount([pdf for cluster in clusters for pdf in cluster], minlength=num_pdfs)
    meta = {"clusters": clusters, "num_pdfs": num_pdfs, "clusters_of_each_pdf": coverage.tolist()}
    write_json(directory / CLUSTERS_FILE, meta | made_from)
