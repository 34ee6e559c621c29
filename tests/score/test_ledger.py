"""The ledger of single frames against the definitions, written out in float64 one frame and one subset at a time."""

import itertools
import math
from collections import Counter
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.score.ledger import MOST_SUBSETS, Ledger, frame_ledger, member_subsets, pairs, sum_by_utterance


def made_up(members: int, frames: int, pdfs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that members partly share, as trained networks do, and labels that fit them more or less."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((1, frames, pdfs)) + 2 * rng.standard_normal((members, frames, pdfs))
    labels = np.where(rng.random(frames) < 0.6, logits.mean(axis=0).argmax(axis=1), rng.integers(pdfs, size=frames))
    return logits.astype(np.float32), labels


def softmax(v: np.ndarray) -> np.ndarray:
    powers = np.exp(v.astype(np.float64) - v.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum())


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum())


def lots(choices: list[int], label: int) -> float:
    """The chance that a vote decided by lot among the first names the label."""
    votes = Counter(choices)
    first = [choice for choice, count in votes.items() if count == max(votes.values())]
    return float(Fraction(label in first, len(first)))


SHAPES = {
    "members": st.integers(2, 5),
    "frames": st.integers(1, 7),
    "pdfs": st.integers(2, 9),
    "seed": st.integers(0, 10_000),
}


@given(**SHAPES)
@settings(max_examples=40)
def test_every_column_is_its_definition(members: int, frames: int, pdfs: int, seed: int) -> None:
    logits, labels = made_up(members, frames, pdfs, seed)
    subsets = member_subsets(members, seed=1)
    found = frame_ledger(logits, labels, subsets, student_logits_SBP=logits[:1] / 3)
    for frame, label in enumerate(labels):
        p = softmax(logits[:, frame])
        mean, geometric = p.mean(axis=0), softmax(np.log(p).mean(axis=0))
        choices = p.argmax(axis=1).tolist()
        expected = {
            "num_frames": [1],
            "member_correct": [choice == label for choice in choices],
            "member_cost": -np.log(p[:, label]),
            "student_correct": [choices[0] == label],
            "student_cost": [-math.log(softmax(logits[0, frame] / 3)[label])],
            "arithmetic_correct": [p[list(own)].mean(axis=0).argmax() == label for own in subsets],
            "arithmetic_cost": [-math.log(p[list(own)].mean(axis=0)[label]) for own in subsets],
            "geometric_correct": [np.prod(p[list(own)], axis=0).argmax() == label for own in subsets],
            "geometric_cost": [-math.log(softmax(np.log(p[list(own)]).mean(axis=0))[label]) for own in subsets],
            "logits_correct": [logits[:, frame].mean(axis=0).argmax() == label],
            "logits_cost": [-math.log(geometric[label])],
            "differing": [choices[one] != choices[other] for one, other in itertools.combinations(range(members), 2)],
            "right_by": [choices.count(label) == number for number in range(members + 1)],
            "vote_correct": [lots(choices, label)],
            "ensemble_entropy": [entropy(mean)],
            "member_entropy": [np.mean([entropy(own) for own in p])],
            "left_to_teach": [np.mean([kl(mean, own) for own in p])],
        }
        assert expected.keys() == {field.name for field in fields(Ledger)}
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(found, name)[:, frame], values, rtol=1e-4, atol=1e-5, err_msg=name)


@given(**SHAPES)
@settings(max_examples=40)
def test_the_geometric_mean_is_the_mean_of_logits_and_gains_what_the_members_differ(
    members: int, frames: int, pdfs: int, seed: int
) -> None:
    logits, labels = made_up(members, frames, pdfs, seed)
    found = frame_ledger(logits, labels, member_subsets(members, seed=1))
    np.testing.assert_array_equal(found.geometric_correct[-1], found.logits_correct[0])
    np.testing.assert_allclose(found.geometric_cost[-1], found.logits_cost[0], rtol=1e-4, atol=1e-5)
    ambiguity = found.member_cost.mean(axis=0) - found.geometric_cost[-1]
    for frame in range(frames):
        p = softmax(logits[:, frame])
        geometric = softmax(np.log(p).mean(axis=0))
        expected = np.mean([kl(geometric, own) for own in p])
        assert ambiguity[frame] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@given(**SHAPES)
@settings(max_examples=40)
def test_no_mean_costs_more_than_the_mean_member_on_any_frame(members: int, frames: int, pdfs: int, seed: int) -> None:
    logits, labels = made_up(members, frames, pdfs, seed)
    found = frame_ledger(logits, labels, member_subsets(members, seed=1))
    mean_member = found.member_cost.mean(axis=0)
    assert (found.arithmetic_cost[-1] <= mean_member + 1e-4).all()
    assert (found.geometric_cost[-1] <= mean_member + 1e-4).all()


@given(**SHAPES)
@settings(max_examples=40)
def test_the_smallest_subsets_are_the_members(members: int, frames: int, pdfs: int, seed: int) -> None:
    logits, labels = made_up(members, frames, pdfs, seed)
    found = frame_ledger(logits, labels, member_subsets(members, seed=1))
    for mean in ("arithmetic", "geometric"):
        np.testing.assert_array_equal(getattr(found, f"{mean}_correct")[:members], found.member_correct)
        np.testing.assert_allclose(getattr(found, f"{mean}_cost")[:members], found.member_cost, atol=1e-5)


def test_certain_and_wrong_members_leave_finite_figures() -> None:
    logits = np.array([[[300.0, 0.0, -300.0]], [[300.0, -300.0, 0.0]]])
    found = frame_ledger(logits, [2], member_subsets(2, seed=1))
    assert all(np.isfinite(getattr(found, field.name)).all() for field in fields(Ledger))
    assert found.arithmetic_cost[-1, 0] == pytest.approx(300 + math.log(2))
    assert found.left_to_teach[0, 0] == pytest.approx(0, abs=1e-6)


@given(cuts=st.lists(st.integers(0, 40), max_size=5), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_how_frames_are_cut_into_batches_does_not_matter(cuts: list[int], seed: int) -> None:
    logits, labels = made_up(3, 40, 5, seed)
    utterances = np.sort(np.random.default_rng(seed).choice([0, 1, 2, 4], size=40))  # 3 has no labelled frame
    subsets = member_subsets(3, seed=1)
    edges = [0, *sorted(cuts), 40]
    batches = [
        (utterances[begin:end], frame_ledger(logits[:, begin:end], labels[begin:end], subsets))
        for begin, end in itertools.pairwise(edges)
        if end > begin
    ]
    found = sum_by_utterance(batches, 5)
    whole = frame_ledger(logits, labels, subsets)
    for field in fields(Ledger):
        values = getattr(whole, field.name)
        expected = np.stack([values[:, utterances == number].sum(axis=1) for number in range(5)], axis=1)
        np.testing.assert_allclose(getattr(found, field.name), expected, rtol=1e-5, atol=1e-5, err_msg=field.name)


@pytest.mark.parametrize("members", [2, 5, 7, 10, 33])
def test_subsets_are_all_of_a_size_or_a_draw_without_repeats(members: int) -> None:
    subsets = member_subsets(members, seed=3)
    most = max(MOST_SUBSETS, members)
    assert len(set(subsets)) == len(subsets)
    assert subsets == member_subsets(members, seed=3)
    assert [len(subset) for subset in subsets] == sorted(len(subset) for subset in subsets)
    assert subsets[:members] == [(member,) for member in range(members)]
    assert subsets[-1] == tuple(range(members))
    for size, count in Counter(map(len, subsets)).items():
        assert count == min(math.comb(members, size), most)
    assert all(list(subset) == sorted(set(subset)) and set(subset) <= set(range(members)) for subset in subsets)


def test_another_seed_draws_other_subsets() -> None:
    assert member_subsets(10, seed=1) != member_subsets(10, seed=2)


def test_pairs_are_in_the_order_of_the_differences() -> None:
    logits = np.zeros((3, 1, 4), np.float32)
    logits[[0, 1, 2], 0, [1, 1, 2]] = 5
    found = frame_ledger(logits, [1], member_subsets(3, seed=1))
    assert dict(zip(pairs(3), found.differing[:, 0], strict=True)) == {(0, 1): 0, (0, 2): 1, (1, 2): 1}
