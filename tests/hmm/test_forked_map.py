"""Work in forked processes: order, failures with their names, hangs that hold the lock, crashes."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator

import kaldifst
import numpy as np
import pytest

from asr_kd.errors import AlignmentError, DecodeError
from asr_kd.hmm import forked_map as forked_map_module
from asr_kd.hmm.best_path import best_path
from asr_kd.hmm.forked_map import forked_map

# Each turn of the loop without input makes the path cheaper, so the decoder never leaves it.
NEGATIVE_EPSILON_LOOP = "0 1 1 0\n1 2 0 5 -1\n2 1 0 0 -1\n1 0\n"

Given = Callable[[list[tuple[str, int]]], Iterable[tuple[str, int]]]


def numbered(count: int) -> Iterator[tuple[str, int]]:
    return ((f"u{number}", number) for number in range(count))


@pytest.mark.parametrize("nj", [1, 3, 0])
def test_results_come_in_order_whatever_takes_longer(nj: int) -> None:
    def work(number: int) -> int:
        sum(range(200_000 if number % 3 == 0 else 1))
        return number**2

    assert list(forked_map(work, numbered(20), nj=nj)) == [(f"u{n}", n**2) for n in range(20)]


def test_a_stream_is_taken_as_results_are_and_not_all_at_once() -> None:
    taken: list[int] = []

    def stream() -> Iterator[tuple[str, int]]:
        for name, number in numbered(1000):
            taken.append(number)
            yield name, number

    results = forked_map(lambda number: number, stream(), nj=2)
    next(results)
    assert len(taken) < 20
    results.close()  # type: ignore[attr-defined]


class Counted:
    """A value that notes how often it is sent."""

    sent = 0

    def __reduce__(self) -> tuple[type, tuple[()]]:
        Counted.sent += 1
        return Counted, ()


def test_values_of_a_list_are_not_sent() -> None:
    values = [(f"u{number}", (number, Counted())) for number in range(10)]
    for items, sent in ((values, 0), (iter(values), 10)):
        Counted.sent = 0
        assert [n for _, n in forked_map(lambda value: value[0], items, nj=2)] == list(range(10))
        assert Counted.sent == sent


def test_no_values_no_results() -> None:
    assert list(forked_map(lambda number: number, numbered(0), nj=2)) == []


@pytest.mark.parametrize("given", [iter, list])
def test_a_search_that_hangs_with_the_lock_held_is_stopped_and_named(given: Given) -> None:
    def work(number: int) -> bool:
        text = NEGATIVE_EPSILON_LOOP if number == 2 else NEGATIVE_EPSILON_LOOP.replace("-1", "1")
        return best_path(kaldifst.compile(text), np.zeros((1, 1), np.float32), beam=10.0).reached_final

    results = forked_map(work, given(list(numbered(4))), nj=1, timeout_s=0.1)
    assert next(results) == ("u0", True)
    assert next(results) == ("u1", True)
    with pytest.raises(DecodeError, match=r"utterance 'u2': took more than 0\.1 s"):
        next(results)


@pytest.mark.parametrize("given", [iter, list])
def test_the_limit_may_depend_on_the_value(given: Given) -> None:
    def spin(number: int) -> int:
        started = time.process_time()
        while number == 2 or time.process_time() < started + 0.15:
            pass
        return number

    results = forked_map(spin, given(list(numbered(3))), nj=1, timeout_s=lambda number: 100.0 if number < 2 else 0.1)
    assert [next(results)[0] for _ in range(2)] == ["u0", "u1"]
    with pytest.raises(DecodeError, match=r"utterance 'u2': took more than 0\.1 s"):
        next(results)


@pytest.mark.parametrize("given", [iter, list])
def test_a_worker_that_crashes_is_named(given: Given) -> None:
    with pytest.raises(DecodeError, match=r"utterance 'u0': its worker process died \(exit code -9"):
        list(forked_map(lambda _: os.kill(os.getpid(), signal.SIGKILL), given(list(numbered(3))), nj=1))


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 4), (0.03, 1)])
def test_short_calls_share_a_message(seconds: float, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    pass_on = forked_map_module._Worker._pass_on
    monkeypatch.setattr(
        forked_map_module._Worker,
        "_pass_on",
        lambda self, calls: (sizes.append(len(calls)), pass_on(self, calls))[1],
    )
    results = forked_map(lambda number: (time.sleep(seconds), number)[1], numbered(25), nj=2)
    assert [number for _, number in results] == list(range(25))
    assert sum(sizes) == 25
    assert max(sizes) == most


@pytest.mark.parametrize("bad", range(12, 18))
@pytest.mark.parametrize("nj", [1, 2])
def test_of_calls_that_share_a_message_the_one_that_dies_is_named_and_those_before_it_are_answered(
    bad: int, nj: int
) -> None:
    results = forked_map(lambda number: number if number != bad else os.kill(os.getpid(), 9), numbered(30), nj=nj)
    found: list[tuple[str, int]] = []
    with pytest.raises(DecodeError, match=rf"utterance 'u{bad}': its worker process died"):
        for one in results:
            found.append(one)
    assert found == [(f"u{number}", number) for number in range(len(found))]
    assert len(found) == bad if nj == 1 else len(found) <= bad


@pytest.mark.parametrize("nj", [1, 2])
def test_an_error_comes_in_its_turn(nj: int) -> None:
    def refuses(number: int) -> int:
        if number in (13, 15):
            raise AlignmentError(f"cannot do {number}")
        return number

    results = forked_map(refuses, numbered(30), nj=nj)
    assert [next(results)[1] for _ in range(13)] == list(range(13))
    with pytest.raises(AlignmentError, match="cannot do 13"):
        next(results)


def test_errors_for_the_user_come_through_and_others_name_the_utterance() -> None:
    def refuses(number: int) -> int:
        raise AlignmentError(f"cannot do {number}")

    with pytest.raises(AlignmentError, match="cannot do 0"):
        list(forked_map(refuses, numbered(1), nj=1))
    with pytest.raises(RuntimeError, match=r"utterance 'u1': ZeroDivisionError"):
        list(forked_map(lambda number: 1 // (1 - number), numbered(2), nj=1))


@pytest.mark.parametrize("given", [iter, list])
def test_no_process_is_left_behind_when_the_caller_stops_early(given: Given) -> None:
    results = forked_map(lambda _: os.getpid(), given(list(numbered(100))), nj=2)
    workers = {next(results)[1] for _ in range(10)}
    results.close()  # type: ignore[attr-defined]
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
