"""A selection of training frames: by utterance, nested, and exactly the frames asked for."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.frames.store import FrameIndex, FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.train.frame_set import FrameSet
from asr_kd.train.selection import SelectOptions, draw_utterances, report_selection, select_frames

MakeStore = Callable[..., FrameStore]
CPU = torch.device("cpu")
NAMES = st.lists(st.text("abc0", min_size=1), min_size=1, max_size=60, unique=True)


def index_of(names: list[str]) -> FrameIndex:
    return FrameIndex(tuple(names), tuple("s" for _ in names), np.ones(len(names), dtype=np.int64))


def drawn(names: list[str], fraction: float, seed: int = 1) -> set[str]:
    chosen_U = draw_utterances(index_of(names), fraction, seed=seed)
    return {name for name, chosen in zip(names, chosen_U, strict=True) if chosen}


def labelled(store: FrameStore, pdfs: list[int] | np.ndarray, num_pdfs: int = 5) -> Labels:
    return Labels(Path("labels"), np.asarray(pdfs, np.int32), {"num_pdfs": num_pdfs})


def trained_on(stores: list[FrameStore], labels: list[Labels | None], *, unlabelled: bool, **asked: Any) -> list[int]:
    """The frames of an epoch, numbered through all stores."""
    selected = [select_frames(s, own, SelectOptions(**asked)) for s, own in zip(stores, labels, strict=True)]
    pdfs = [None if own is None else own.pdfs for own in labels]
    frames = FrameSet(stores, pdfs, use_unlabelled=unlabelled, selected=selected, device=CPU)
    return sorted(int(f) for batch in frames.epoch(seed=1, epoch=0, batch_size=7) for f in batch.frames_B)


@given(names=NAMES, fractions=st.tuples(*[st.floats(0.001, 1)] * 2), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_a_smaller_share_is_part_of_a_larger(names: list[str], fractions: tuple[float, float], seed: int) -> None:
    small, large = sorted(fractions)
    assert drawn(names, small, seed) <= drawn(names, large, seed)
    assert len(drawn(names, large, seed)) == max(1, round(large * len(names)))


@given(names=NAMES, fraction=st.floats(0.001, 1), data=st.data())
@settings(max_examples=50)
def test_a_draw_does_not_depend_on_the_order_of_utterances(names: list[str], fraction: float, data: Any) -> None:
    assert drawn(data.draw(st.permutations(names)), fraction) == drawn(names, fraction)


def test_another_seed_draws_other_utterances() -> None:
    names = [f"utt-{number}" for number in range(200)]
    both = drawn(names, 0.5, seed=1) & drawn(names, 0.5, seed=2)
    assert 30 < len(both) < 70


def test_whole_utterances_are_trained_on_of_each_store(make_store: MakeStore) -> None:
    stores = [make_store([4, 9, 1, 6]), make_store([3, 5], seed=1)]
    found = trained_on(stores, [None, None], unlabelled=True, train_fraction=0.5)
    expected, first = [], 0
    for store in stores:
        chosen_U = draw_utterances(store.index, 0.5, seed=1)
        for (_, frames), chosen in zip(store.index.slices(), chosen_U, strict=True):
            expected += list(range(first + frames.start, first + frames.stop)) if chosen else []
        first += store.num_frames
    assert found == expected


@given(pdfs=st.lists(st.integers(-1, 4), min_size=1, max_size=40), some=st.sets(st.integers(0, 4), min_size=1))
@settings(max_examples=40)
def test_frames_of_pdfs_left_out_or_alone_are_exactly_these(
    make_store: MakeStore, pdfs: list[int], some: set[int]
) -> None:
    store = make_store([len(pdfs)])
    labels = labelled(store, pdfs)
    alone = select_frames(store, labels, SelectOptions(only_pdfs=tuple(some)))
    rest = select_frames(store, labels, SelectOptions(leave_out_pdfs=tuple(some)))
    assert alone is not None and rest is not None
    assert alone.tolist() == [pdf in some for pdf in pdfs]
    assert rest.tolist() == [pdf not in some and pdf >= 0 for pdf in pdfs]


def test_pdfs_are_selected_among_the_utterances_drawn(make_store: MakeStore) -> None:
    store = make_store([5, 5, 5, 5])
    labels = labelled(store, [0, 1, 2, 3, 4] * 4)
    found = trained_on([store], [labels], unlabelled=False, train_fraction=0.5, only_pdfs=(2, 3))
    assert len(found) == 4
    assert {frame % 5 for frame in found} == {2, 3}
    assert set(found) <= set(trained_on([store], [labels], unlabelled=False, train_fraction=0.5))


def test_no_selection_is_all_frames(make_store: MakeStore) -> None:
    store = make_store([5])
    assert select_frames(store, None, SelectOptions()) is None


def test_pdfs_of_a_store_without_labels_are_refused(make_store: MakeStore) -> None:
    store = make_store([5])
    with pytest.raises(MismatchError, match="--leave-out-pdfs needs the labels") as error:
        select_frames(store, None, SelectOptions(leave_out_pdfs=(3,)))
    assert str(store.path) in str(error.value)


def test_a_pdf_that_is_none_is_refused(make_store: MakeStore) -> None:
    store = make_store([2])
    with pytest.raises(UsageError, match="has the pdfs 0 to 4"):
        select_frames(store, labelled(store, [0, 1]), SelectOptions(only_pdfs=(5,)))


@pytest.mark.parametrize(
    "wrong", [{"train_fraction": 0.0}, {"train_fraction": 1.1}, {"only_pdfs": (1,), "leave_out_pdfs": (2,)}]
)
def test_impossible_selections_are_wrong_usage(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SelectOptions(**wrong)


def test_what_remains_is_told_and_pdfs_without_a_frame_are_warned_of(
    make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store([2, 3])
    labels = labelled(store, [0, 0, 1, 2, -1])
    with caplog.at_level(logging.INFO):
        report_selection([store], [labels], [np.array([True, True, True, False, True])], use_unlabelled=True)
    assert "selected 4 of 5 frames, 2 of 2 utterances" in caplog.text
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "3 of 5 pdfs have no frame in the selection"


def test_a_selection_of_nothing_is_an_error(make_store: MakeStore) -> None:
    store = make_store([3])
    labels = labelled(store, [0, 0, 1])
    chosen_N = select_frames(store, labels, SelectOptions(only_pdfs=(4,)))
    with pytest.raises(DataError, match="no frame is left"):
        report_selection([store], [labels], [chosen_N], use_unlabelled=True)


def test_where_labels_are_needed_frames_without_one_do_not_count(
    make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store([2, 3])
    labels = labelled(store, [0, -1, -1, -1, -1])
    first, second = np.array([True] * 2 + [False] * 3), np.array([False] * 2 + [True] * 3)
    with caplog.at_level(logging.INFO):
        report_selection([store], [labels], [first | second], use_unlabelled=False)
    assert "selected 1 of 5 frames, 1 of 2 utterances" in caplog.text
    report_selection([store], [labels], [second], use_unlabelled=True)
    with pytest.raises(DataError, match="no labelled frame is left"):
        report_selection([store], [labels], [second], use_unlabelled=False)
