"""Tied states: contexts from an alignment, and trees that split what differs and leave together what does not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameIndex
from asr_kd.hmm.context_statistics import ContextStatistics, contexts_of_frames
from asr_kd.hmm.states import Question, StateInventory, leaves, monophone_states
from asr_kd.hmm.tying import TyingOptions, log_likelihood, phone_questions, tie_states
from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon((("A", ("x", "y")), ("B", ("z", "z"))))
INVENTORY = monophone_states(LEXICON, "SIL", 2, 1)
NAMES = tuple(INVENTORY.phones)  # SIL x y z


class Store:
    """A frame store's index alone."""

    def __init__(self, *counts: int) -> None:
        names = tuple(f"u{number}" for number in range(len(counts)))
        self.index = FrameIndex(names, names, np.array(counts, dtype=np.int64))


def test_every_frame_gets_its_phone_state_and_neighbours() -> None:
    pdfs_of = INVENTORY.phones
    x, y, z, silence = (list(pdfs_of[name]) for name in ("x", "y", "z", "SIL"))
    first = [x[0], x[0], x[1], y[0], y[1], *silence, *silence]
    second = [z[0], z[1], z[1], z[0], z[1]]  # the same phone twice
    absent = [-1, -1]
    labels = np.array(first + second + absent, dtype=np.int32)
    found = contexts_of_frames(Store(7, 5, 2), labels, INVENTORY)  # type: ignore[arg-type]
    named = [(NAMES[p], place, NAMES[left], NAMES[right]) for p, place, left, right in found[:12]]
    assert named == [
        ("x", 0, "SIL", "y"), ("x", 0, "SIL", "y"), ("x", 1, "SIL", "y"),
        ("y", 0, "x", "SIL"), ("y", 1, "x", "SIL"), ("SIL", 0, "y", "SIL"), ("SIL", 0, "y", "SIL"),
        ("z", 0, "SIL", "z"), ("z", 1, "SIL", "z"), ("z", 1, "SIL", "z"), ("z", 0, "z", "SIL"), ("z", 1, "z", "SIL"),
    ]  # fmt: skip
    assert (found[12:] == -1).all()


def statistics(mean_of: "dict[tuple[int, int, int, int], float]", frames: int, seed: int = 0) -> ContextStatistics:
    """Statistics of frames drawn around a mean for each state in context."""
    rng = np.random.default_rng(seed)
    draws = [rng.normal(mean, 1.0, (frames, 3)) for mean in mean_of.values()]
    return ContextStatistics(
        phones=NAMES,
        seen=np.array(list(mean_of), dtype=np.int64),
        count=np.full(len(draws), float(frames)),
        first=np.stack([draw.sum(axis=0) for draw in draws]),
        second=np.stack([(draw**2).sum(axis=0) for draw in draws]),
        of_frame=np.repeat(np.arange(len(draws)), frames),
    )


def everywhere(mean_of_x_after_y: float) -> dict[tuple[int, int, int, int], float]:
    """All states in all contexts; the first state of x sounds different after y."""
    means = {}
    for phone in range(1, 4):
        for place in (0, 1):
            for left in range(4):
                for right in range(4):
                    special = (phone, place, left) == (1, 0, 2)
                    means[phone, place, left, right] = mean_of_x_after_y if special else 10.0 * phone + 5 * place
    return means | {(0, 0, 0, 0): -10.0}


def test_the_first_split_is_the_one_that_is_there() -> None:
    options = TyingOptions(num_leaves=INVENTORY.num_pdfs + 1, min_frames=50)
    tied, pdf_C = tie_states(statistics(everywhere(25.0), 100), INVENTORY, options)
    assert tied.num_pdfs == INVENTORY.num_pdfs + 1
    node = tied.phones["x"][0]
    assert isinstance(node, Question)
    assert node.side == "left"
    assert tied.pdfs("x", "y", "SIL")[0] != tied.pdfs("x", "z", "SIL")[0] == tied.pdfs("x", "x", "y")[0]
    assert len(set(pdf_C)) == tied.num_pdfs


def test_the_split_that_gains_most_comes_first_whatever_state_it_is_of() -> None:
    means = everywhere(16.0)  # not as far from the 10 of x elsewhere
    much = (3, 1, 2)  # the last state of z after y
    means |= {context: 50.0 for context in means if context[:3] == much}
    for leaves_more, split in ((1, {("z", 1)}), (2, {("x", 0), ("z", 1)})):
        options = TyingOptions(num_leaves=INVENTORY.num_pdfs + leaves_more, min_frames=50)
        tied, _ = tie_states(statistics(means, 100), INVENTORY, options)
        found = {
            (phone, place)
            for phone, states in tied.phones.items()
            for place, state in enumerate(states)
            if isinstance(state, Question)
        }
        assert found == split


@pytest.mark.parametrize(("side", "alike"), [("left", {"x", "z"}), ("right", {"x", "y"})])
def test_questions_are_the_phones_and_what_of_them_is_heard_merged_nearest_first(side: str, alike: set[str]) -> None:
    first, last = {1: 0.0, 2: 2.0, 3: 20.0}, {1: 0.0, 2: 20.0, 3: 2.0}
    means = {(phone, place, 0, 0): (first, last)[place][phone] for phone in (1, 2, 3) for place in (0, 1)}
    given_stats = statistics(means | {(0, 0, 0, 0): -90.0}, 100)
    stats = np.concatenate([given_stats.count[:, None], given_stats.first, given_stats.second], axis=1)
    asked = phone_questions(given_stats, stats, side)
    found = [{NAMES[phone] for phone in np.flatnonzero(mask)} for mask in asked]
    assert found == [*({name} for name in NAMES), alike, {"x", "y", "z"}]


def test_statistics_and_trees_name_the_same_pdf() -> None:
    options = TyingOptions(num_leaves=20, min_frames=50)
    given_stats = statistics(everywhere(25.0), 60, seed=3)
    tied, pdf_C = tie_states(given_stats, INVENTORY, options)
    for (phone, place, left, right), pdf in zip(given_stats.seen, pdf_C, strict=True):
        assert tied.pdfs(NAMES[phone], NAMES[left], NAMES[right])[place] == pdf


@settings(max_examples=25, deadline=None)
@given(st.integers(7, 60), st.integers(1, 400), st.integers(0, 1000))
def test_no_leaf_is_smaller_than_allowed_and_no_more_are_made_than_asked_for(
    num_leaves: int, min_frames: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    means = {context: rng.normal(0, 3) for context in everywhere(0.0)}
    options = TyingOptions(num_leaves=num_leaves, min_frames=min_frames, untied_phones=("z",))
    given_stats = statistics(means, 40, seed)
    tied, pdf_C = tie_states(given_stats, INVENTORY, options)
    frames = np.bincount(pdf_C, weights=given_stats.count, minlength=tied.num_pdfs)
    assert tied.num_pdfs <= num_leaves
    for phone, states in tied.phones.items():
        for state in states:
            if phone in ("SIL", "z"):
                assert isinstance(state, int)
            elif isinstance(state, Question):
                assert min(frames[pdf] for pdf in leaves(state)) >= min_frames


def test_a_tied_inventory_keeps_its_trees_in_its_file(tmp_path: Path) -> None:
    tied, _ = tie_states(statistics(everywhere(25.0), 100), INVENTORY, TyingOptions(num_leaves=12, min_frames=20))
    tied.save(tmp_path)
    again = StateInventory.load(tmp_path)
    assert again == tied
    assert again.fingerprint == tied.fingerprint != INVENTORY.fingerprint


def test_the_likelihood_is_that_of_a_gaussian() -> None:
    x = np.random.default_rng(1).normal(2.0, 3.0, (50, 2))
    stats = np.concatenate(([50.0], x.sum(axis=0), (x**2).sum(axis=0)))
    variance = x.var(axis=0)
    exact = -0.5 * (((x - x.mean(axis=0)) ** 2 / variance) + np.log(2 * np.pi * variance)).sum()
    constant = -0.5 * x.size * (1 + np.log(2 * np.pi))
    assert log_likelihood(stats, np.zeros(2)) + constant == pytest.approx(exact)


def test_no_state_is_split_where_there_are_more_than_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    tied, pdf_C = tie_states(statistics(everywhere(25.0), 100), INVENTORY, TyingOptions(num_leaves=3))
    assert tied.num_pdfs == INVENTORY.num_pdfs == 7
    assert set(pdf_C) <= set(range(7))
    assert "--num-leaves 3: there are 7 states without context" in caplog.text


def test_a_phone_that_is_to_stay_untied_must_exist() -> None:
    with pytest.raises(UsageError, match="--untied-phones: no such phone: q"):
        tie_states(statistics(everywhere(25.0), 10), INVENTORY, TyingOptions(untied_phones=("q",)))
