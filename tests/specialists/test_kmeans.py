"""On-line K-means."""

import numpy as np
import pytest

from asr_kd.specialists import kmeans
from asr_kd.specialists.kmeans import distortion, online_kmeans, squared_distances


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around four far corners, and which corner each is from."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.repeat(np.arange(4), 15))
    corners = 10.0 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return corners[owners] + rng.normal(scale=0.3, size=(60, 2)), owners


@pytest.mark.parametrize("seed", range(5))
def test_clusters_far_apart_are_found_whole(seed: int) -> None:
    points, owners = blobs(seed)
    centroids = online_kmeans(points, 4, passes=5, restarts=5, seed=seed)
    nearest = squared_distances(points, centroids).argmin(axis=1)
    assert len({(owner, cluster) for owner, cluster in zip(owners, nearest, strict=True)}) == 4


def test_a_centroid_is_the_mean_of_what_it_wins() -> None:
    points, _ = blobs()
    centroids = online_kmeans(points, 4, passes=3, restarts=3, seed=1)
    nearest = squared_distances(points, centroids).argmin(axis=1)
    for number, centroid in enumerate(centroids):
        assert np.allclose(centroid, points[nearest == number].mean(axis=0))


def test_distances_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    points, centroids = rng.normal(size=(7, 3)), rng.normal(size=(2, 3))
    expected = [[sum((a - b) ** 2 for a, b in zip(p, c, strict=True)) for c in centroids] for p in points]
    assert np.allclose(squared_distances(points, centroids), expected)


def test_more_restarts_never_end_in_a_worse_place() -> None:
    points = np.random.default_rng(0).normal(size=(80, 5))
    found = [
        distortion(points, online_kmeans(points, 8, passes=4, restarts=restarts, seed=2)) for restarts in (1, 4, 12)
    ]
    assert found == sorted(found, reverse=True)


def test_the_seed_alone_decides() -> None:
    points = np.random.default_rng(0).normal(size=(40, 4))
    first, again, other = (online_kmeans(points, 5, passes=2, restarts=1, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_points_that_are_all_the_same_do_not_stop_it() -> None:
    centroids = online_kmeans(np.ones((6, 2)), 3, passes=2, restarts=2, seed=1)
    assert np.array_equal(centroids, np.ones((3, 2)))


def step_by_step(points: np.ndarray, num_clusters: int, passes: int, seed: int) -> tuple[np.ndarray, int]:
    """Centroids as means of the points won in a pass, and how often one had won none."""
    rng = np.random.default_rng(seed)
    centroids = kmeans._first_centroids(points, num_clusters, rng)
    num_idle = 0
    for _ in range(passes):
        won: list[list[np.ndarray]] = [[] for _ in range(num_clusters)]
        for place in rng.permutation(len(points)):
            distances = [sum((own - points[place]) ** 2) for own in centroids]
            nearest = distances.index(min(distances))
            won[nearest].append(points[place])
            centroids[nearest] = np.mean(won[nearest], axis=0)
        for number in range(num_clusters):
            if not won[number]:
                num_idle += 1
                farthest = max(points, key=lambda point: min(sum((own - point) ** 2) for own in centroids))
                centroids[number] = farthest
    return centroids, num_idle


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_each_point_moves_the_nearest_centroid_to_the_mean_of_what_it_won_in_this_pass(seed: int, passes: int) -> None:
    points = np.random.default_rng(seed).normal(size=(6, 2))
    expected, _ = step_by_step(points, 2, passes, seed)
    np.testing.assert_allclose(online_kmeans(points, 2, passes=passes, restarts=1, seed=seed), expected)


def test_a_centroid_that_wins_nothing_is_put_on_the_farthest_point() -> None:
    points = np.round(np.random.default_rng(29).normal(size=(6, 1)) ** 3, 1)
    expected, num_idle = step_by_step(points, 3, 4, 29)
    assert num_idle > 0
    np.testing.assert_allclose(online_kmeans(points, 3, passes=4, restarts=1, seed=29), expected)
