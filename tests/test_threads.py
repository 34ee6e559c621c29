"""A threaded map keeps the order, holds few items, and passes errors on."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.threads import threaded_map


@given(items=st.lists(st.integers(), max_size=30), nj=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_results_come_with_their_items_in_order(items: list[int], nj: int) -> None:
    assert list(threaded_map(lambda item: 2 * item, items, nj=nj)) == [(item, 2 * item) for item in items]


def test_an_endless_stream_is_taken_only_a_little_ahead() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    results = threaded_map(lambda item: item, source(), nj=3)
    for _ in range(10):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 10 + 2 * 3 + 1


def test_as_many_calls_run_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(3, timeout=300)
    assert [result for _, result in threaded_map(lambda _: meeting.wait() >= 0, range(6), nj=3)] == [True] * 6


def test_an_error_is_raised_where_its_item_comes() -> None:
    results = threaded_map(lambda item: 1 // item, [2, 1, 0, 3], nj=2)
    assert [next(results), next(results)] == [(2, 0), (1, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)
