"""Normalised features have zero mean and unit variance, pulled towards the corpus' where frames are few."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.frames.cmvn import LEVEL_FRAMES, ONLINE_PRIOR_FRAMES, Moments, normalize, normalize_online


def frames(length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(-20, 20, 5) + rng.uniform(0.1, 5, 5) * rng.standard_normal((length, 5))).astype(np.float32)


@given(length=st.integers(20, 400), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_frames_get_zero_mean_and_unit_variance(length: int, seed: int) -> None:
    feats = frames(length, seed)
    normalize(feats, Moments.of(feats), None, 0)
    np.testing.assert_allclose(feats.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(feats.std(0), 1, atol=2e-2)


@given(first=st.integers(1, 50), second=st.integers(1, 50), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_moments_add_up_to_those_of_all_frames(first: int, second: int, seed: int) -> None:
    feats = frames(first + second, seed)
    added, whole = Moments.of(feats[:first]) + Moments.of(feats[first:]), Moments.of(feats)
    assert added.count == whole.count
    np.testing.assert_allclose(added.total, whole.total)
    np.testing.assert_allclose(added.squares, whole.squares)


def test_prior_frames_count_as_so_many_frames_of_the_corpus_at_the_own_level() -> None:
    corpus, feats = frames(1000, 1), frames(30, 2)
    # Ten copies of the corpus' frames weigh as much as --cmvn-prior-frames of ten times their number.
    as_loud = corpus.astype(np.float64) + (feats.mean() - corpus.mean())
    both = np.concatenate([feats, *[as_loud] * 10])
    expected = (feats - both.mean(0)) / both.std(0)
    normalized = feats.copy()
    normalize(normalized, Moments.of(feats), Moments.of(corpus), 10_000)
    np.testing.assert_allclose(normalized, expected, atol=1e-4)


@given(length=st.integers(1, 400), seed=st.integers(0, 999), gain=st.floats(-12, 12))
@settings(max_examples=50, deadline=None)
def test_how_loud_a_recording_is_does_not_matter(length: int, seed: int, gain: float) -> None:
    prior, quiet = Moments.of(frames(1000, 1)), frames(length, seed)
    loud = quiet + np.float32(gain)
    normalize(quiet, Moments.of(quiet), prior, 100)
    normalize(loud, Moments.of(loud), prior, 100)
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_no_prior_frames_leave_the_corpus_out() -> None:
    feats = frames(30, 2)
    alone, with_prior = feats.copy(), feats.copy()
    normalize(alone, Moments.of(feats), None, 100)
    normalize(with_prior, Moments.of(feats), Moments.of(frames(1000, 1)), 0)
    np.testing.assert_array_equal(alone, with_prior)


def test_a_feature_that_never_changes_becomes_zero() -> None:
    feats = np.full((20, 3), -15.9424, np.float32)
    normalize(feats, Moments.of(feats), None, 0)
    np.testing.assert_allclose(feats, 0, atol=1e-3)


def test_moments_survive_json() -> None:
    moments = Moments.of(frames(10, 3))
    again = Moments.from_dict(json.loads(json.dumps(moments.to_dict())))
    assert again.count == moments.count
    np.testing.assert_array_equal(again.total, moments.total)
    np.testing.assert_array_equal(again.squares, moments.squares)


@given(length=st.integers(1, 60), prior_frames=st.sampled_from([0, 1, 100]), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_online_a_frame_is_normalised_by_what_was_heard_and_the_corpus(
    length: int, prior_frames: int, seed: int
) -> None:
    prior, feats = Moments.of(frames(1000, 1)), frames(length, seed)
    last = feats[-1].astype(np.float64)
    heard = Moments.of(feats)
    known = length / (length + LEVEL_FRAMES)
    corpus = prior.moved_by(known * (heard.level() - prior.level())).counting_for(prior_frames or ONLINE_PRIOR_FRAMES)
    mean, scale = (heard + corpus).shift_and_scale()
    normalize_online(feats, Moments.none(5), prior, prior_frames)
    np.testing.assert_allclose(feats[-1], (last - mean) * scale, atol=1e-3)


@given(cuts=st.lists(st.integers(0, 80), max_size=6), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_online_frames_in_pieces_are_bit_for_bit_those_at_once(cuts: list[int], seed: int) -> None:
    prior, feats = Moments.of(frames(1000, 1)), frames(80, seed)
    pieces = [piece.copy() for piece in np.split(feats, sorted(cuts))]
    moments = normalize_online(feats, Moments.none(5), prior, 100)
    heard = Moments.none(5)
    for piece in pieces:
        heard = normalize_online(piece, heard, prior, 100)
    np.testing.assert_array_equal(np.concatenate(pieces), feats)
    assert heard.count == moments.count
    np.testing.assert_array_equal(heard.squares, moments.squares)


def test_online_the_end_of_a_long_recording_is_normalised_as_by_all_of_it() -> None:
    prior, feats = Moments.of(frames(1000, 1)), frames(200_000, 2)
    whole = feats.copy()
    normalize(whole, Moments.of(whole), prior, 100)
    normalize_online(feats, Moments.none(5), prior, 100)
    np.testing.assert_allclose(feats[-1000:], whole[-1000:], atol=2e-2)
