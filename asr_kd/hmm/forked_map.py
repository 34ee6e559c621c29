"""Map a function over a stream in forked processes that a hang or a crash cannot take down.

For code that holds the interpreter's lock, such as the beam search: threads gain nothing, and only the
system can stop a call that never returns. A fork shares what the function holds, such as a graph, without
a copy.
"""

import multiprocessing
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from asr_kd.errors import AsrKdError, DecodeError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # results of a worker that may wait for an earlier one's
_MOST_CALLS, _MESSAGE_SECONDS = 4, 0.02  # of a message: passing one takes as long as a tenth of a short search


def forked_map(
    function: Callable[[T], R],
    items: Iterable[tuple[str, T]],
    *,
    nj: int,
    timeout_s: float | Callable[[T], float] = 600.0,
) -> Iterator[tuple[str, R]]:
    """Apply a function to named values in worker processes; results come in the order of the values.

    A few values for each worker are taken ahead of the results that are given, so a long stream is never held.

    Args:
        function: called in a forked process.
        items: names, for messages, and values. Those of a stream are sent through pipes, as all results are; those of a
            sequence are there already, for a fork shares them.
        nj: worker processes; 0 counts as 1.
        timeout_s: seconds of processor time after which one call is stopped, or a function of the value that
            gives them. Processor time, so that a busy or suspended machine stops nothing.

    Raises:
        DecodeError: a call hung or its process died; the message has the value's name.
        AsrKdError: as the function raised it.
    """
    nj = max(nj, 1)
    shared = items if isinstance(items, Sequence) else None
    call = function if shared is None else lambda number: function(shared[number][1])
    workers: list[_Worker] = []
    done: dict[int, tuple[str, Any]] = {}
    following = 0

    def calls() -> Iterator[_Call]:
        for number, (name, value) in enumerate(items):
            limit_s = timeout_s(value) if callable(timeout_s) else timeout_s
            yield _Call(number, name, value if shared is None else number, limit_s)

    try:
        for message in _messages(calls(), workers):
            idle = next((worker for worker in workers if not worker.calls), None)
            if idle is None and len(workers) < nj:
                idle = _Worker(call, workers)
                workers.append(idle)
            while idle is None or len(done) >= _AHEAD * nj:
                idle = _collect(workers, done)
                while following in done:
                    yield _result(*done.pop(following))
                    following += 1
            idle.take(message)
        while any(worker.calls for worker in workers):
            _collect(workers, done)
            while following in done:
                yield _result(*done.pop(following))
                following += 1
    finally:
        for worker in workers:
            worker.stop()


@dataclass(frozen=True)
class _Call:
    """One value for a worker, and the limit of its processor time."""

    number: int
    name: str
    value: Any
    timeout_s: float


def _messages(calls: Iterable[_Call], workers: "Sequence[_Worker]") -> Iterator[list[_Call]]:
    """Calls to pass to a worker at a time: one where it takes long, several where passing it would."""
    message: list[_Call] = []
    for call in calls:
        message.append(call)
        seconds = max((worker.seconds for worker in workers), default=_MESSAGE_SECONDS)
        if len(message) >= min(_MOST_CALLS, _MESSAGE_SECONDS / max(seconds, 1e-9)):
            yield message
            message = []
    if message:
        yield message


def _result(name: str, found: Any) -> tuple[str, Any]:
    """What a call found, or the error that it raised."""
    if isinstance(found, AsrKdError):
        raise found
    if isinstance(found, BaseException):
        raise RuntimeError(f"utterance '{name}': {found!r}") from found
    return name, found


class _Worker:
    """A forked process and what it works on.

    Attributes:
        calls: taken and not answered; empty where it is idle.
        seconds: that a call took last.
    """

    def __init__(self, function: Callable[[Any], Any], workers: Sequence["_Worker"]):
        self._function, self._workers = function, workers
        self.calls: list[_Call] = []
        self.seconds = _MESSAGE_SECONDS
        self._passed_on = 0
        self._fork()

    def _fork(self) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        ours = [self.connection, *(other.connection for other in self._workers if other is not self)]
        self.process = context.Process(target=_work, args=(self._function, theirs, ours), daemon=True)
        self.process.start()
        theirs.close()

    def take(self, calls: list[_Call]) -> None:
        """Hand over values. The worker is idle and reading, so this cannot block for long."""
        self.calls = calls
        try:
            self._pass_on(calls)
        except BrokenPipeError as error:
            raise self._death() from error

    def answers(self) -> list[tuple[_Call, Any]]:
        """Results, or errors, of all values taken or of some more of them."""
        try:
            self.seconds, results = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            if self._passed_on == 1:
                raise self._death() from error
            self._begin_again()
            return []
        answered, self.calls = self.calls[: len(results)], self.calls[len(results) :]
        if self.calls:
            self._pass_on(self.calls[:1])
        return list(zip(answered, results, strict=True))

    def stop(self) -> None:
        """End the process; it holds nothing that could be lost."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _pass_on(self, calls: Sequence[_Call]) -> None:
        self._passed_on = len(calls)
        self.connection.send([(call.timeout_s, call.value) for call in calls])

    def _begin_again(self) -> None:
        """One by one in a new process: it will show which of several calls the last one died of."""
        self.stop()
        self._fork()
        self._pass_on(self.calls[:1])

    def _death(self) -> DecodeError:
        self.process.join()
        call = self.calls[0]
        if self.process.exitcode == -signal.SIGPROF:
            why = f"took more than {call.timeout_s:g} s of processor time; narrow the beam or drop the utterance"
        else:
            why = f"its worker process died (exit code {self.process.exitcode}; out of memory?)"
        return DecodeError(f"utterance '{call.name}': {why}")


def _collect(workers: Sequence[_Worker], done: dict[int, tuple[str, Any]]) -> _Worker | None:
    """Wait for results and keep them; returns the worker that is idle now, if one is."""
    # `multiprocessing.connection.wait` would make a selector for each result, which takes longer than to read it.
    busy = {worker.connection.fileno(): worker for worker in workers if worker.calls}
    ready = select.poll()
    for descriptor in busy:
        ready.register(descriptor, select.POLLIN)
    worker = busy[ready.poll()[0][0]]
    done |= {call.number: (call.name, result) for call, result in worker.answers()}
    return None if worker.calls else worker


def _work(function: Callable[[Any], Any], connection: Connection, not_ours: Sequence[Connection]) -> None:
    """What a worker does until its pipe closes, which it also does when the parent is killed."""
    for other in not_ours:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The system ends the process itself on this signal, even where the interpreter's lock is never given back.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    while True:
        try:
            calls = connection.recv()
        except EOFError:
            return
        started, results = time.perf_counter(), []
        for timeout_s, value in calls:
            signal.setitimer(signal.ITIMER_PROF, timeout_s)
            try:
                results.append(function(value))
            except Exception as error:
                results.append(error)
            signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(((time.perf_counter() - started) / len(calls), results))
