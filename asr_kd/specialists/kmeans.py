"""On-line K-means: points come one by one, and each moves the nearest centroid towards itself.

Legend: P points, D dimensions, M clusters.
"""

import numpy as np


def online_kmeans(points_PD: np.ndarray, num_clusters: int, *, passes: int, restarts: int, seed: int) -> np.ndarray:
    """Centroids ``[M, D]`` of the restart with the least distortion (MacQueen 1967).

    The point x that a centroid c wins as its n-th moves it by ``(x - c) / n``, so that within a pass c is the mean of
    the points it won. Points come in a random order, another one in each pass; n starts anew with each pass, or a
    centroid could not leave the points of the first. A centroid that wins nothing in a pass is put on the point that
    lies farthest from its own.

    Args:
        passes: times that every point comes.
        restarts: random starts, each by k-means++ (Arthur & Vassilvitskii 2007).
        seed: of starts and orders.
    """
    rng = np.random.default_rng(seed)
    found = [_run(points_PD, num_clusters, passes, rng) for _ in range(restarts)]
    return min(found, key=lambda centroids_MD: distortion(points_PD, centroids_MD))


def squared_distances(points_PD: np.ndarray, centroids_MD: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances ``[P, M]``."""
    norms = (points_PD**2).sum(axis=1)[:, None] + (centroids_MD**2).sum(axis=1)
    return np.asarray(np.maximum(norms - 2 * points_PD @ centroids_MD.T, 0.0))


def distortion(points_PD: np.ndarray, centroids_MD: np.ndarray) -> float:
    """Mean squared distance of a point to the nearest centroid."""
    return float(squared_distances(points_PD, centroids_MD).min(axis=1).mean())


def _run(points_PD: np.ndarray, num_clusters: int, passes: int, rng: np.random.Generator) -> np.ndarray:
    centroids_MD = _first_centroids(points_PD, num_clusters, rng)
    for _ in range(passes):
        wins_M = np.zeros(num_clusters)
        for point_D in points_PD[rng.permutation(len(points_PD))]:
            nearest = int(((centroids_MD - point_D) ** 2).sum(axis=1).argmin())
            wins_M[nearest] += 1
            centroids_MD[nearest] += (point_D - centroids_MD[nearest]) / wins_M[nearest]
        for idle in np.flatnonzero(wins_M == 0):
            farthest = squared_distances(points_PD, centroids_MD).min(axis=1).argmax()
            centroids_MD[idle] = points_PD[farthest]
    return centroids_MD


def _first_centroids(points_PD: np.ndarray, num_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Points drawn one after another, each in proportion to its squared distance from those before."""
    chosen = [int(rng.integers(len(points_PD)))]
    while len(chosen) < num_clusters:
        weights_P = squared_distances(points_PD, points_PD[chosen]).min(axis=1)
        weights_P[chosen] = 0.0
        left_P = weights_P if weights_P.sum() > 0 else np.isin(np.arange(len(points_PD)), chosen, invert=True)
        chosen.append(int(rng.choice(len(points_PD), p=left_P / left_P.sum())))
    return points_PD[chosen].astype(np.float64)
