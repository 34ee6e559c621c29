"""Map a function over a stream in forked processes that a hang or a crash cannot take down.

For code that holds the interpreter's lock, such as the beam search: threads gain nothing, and only the
system can stop a call that never returns. A fork shares what the function holds, such as a graph, without
a copy.
"""

import multiprocessing
import select
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from asr_kd.errors import AsrKdError, DecodeError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # results of a worker that may wait for an earlier one's


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
    context = multiprocessing.get_context("fork")
    done: dict[int, tuple[str, R]] = {}
    following = 0
    try:
        for number, (name, value) in enumerate(items):
            idle = next((worker for worker in workers if worker.number is None), None)
            if idle is None and len(workers) < nj:
                idle = _Worker(context, call, workers)
                workers.append(idle)
            while idle is None or len(done) >= _AHEAD * nj:
                idle = _collect(workers, done)
                while following in done:
                    yield done.pop(following)
                    following += 1
            limit_s = timeout_s(value) if callable(timeout_s) else timeout_s
            idle.send(number, name, value if shared is None else number, limit_s)
        while any(worker.number is not None for worker in workers):
            _collect(workers, done)
            while following in done:
                yield done.pop(following)
                following += 1
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A forked process and the one value it works on."""

    def __init__(self, context: Any, function: Callable[[Any], Any], others: Sequence["_Worker"]):
        self.connection, theirs = context.Pipe()
        ours = [self.connection, *(other.connection for other in others)]
        self.process = context.Process(target=_work, args=(function, theirs, ours), daemon=True)
        self.process.start()
        theirs.close()
        self.timeout_s = 0.0
        self.number: int | None = None
        self.name = ""

    def send(self, number: int, name: str, value: Any, timeout_s: float) -> None:
        """Hand over a value. The worker is idle and reading, so this cannot block for long."""
        self.number, self.name, self.timeout_s = number, name, timeout_s
        try:
            self.connection.send((self.timeout_s, value))
        except BrokenPipeError as error:
            raise self._death() from error

    def receive(self) -> Any:
        """The result of the value sent last."""
        try:
            result = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._death() from error
        if isinstance(result, AsrKdError):
            raise result
        if isinstance(result, BaseException):
            raise RuntimeError(f"utterance '{self.name}': {result!r}") from result
        self.number = None
        return result

    def stop(self) -> None:
        """End the process; it holds nothing that could be lost."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _death(self) -> DecodeError:
        self.process.join()
        if self.process.exitcode == -signal.SIGPROF:
            why = f"took more than {self.timeout_s:g} s of processor time; narrow the beam or drop the utterance"
        else:
            why = f"its worker process died (exit code {self.process.exitcode}; out of memory?)"
        return DecodeError(f"utterance '{self.name}': {why}")


def _collect(workers: Sequence[_Worker], done: dict[int, tuple[str, Any]]) -> _Worker:
    """Wait for a result, keep it, and return the worker that is idle now."""
    # `multiprocessing.connection.wait` would make a selector for each result, which takes longer than to read it.
    busy = {worker.connection.fileno(): worker for worker in workers if worker.number is not None}
    ready = select.poll()
    for descriptor in busy:
        ready.register(descriptor, select.POLLIN)
    worker = busy[ready.poll()[0][0]]
    number = worker.number
    assert number is not None
    done[number] = (worker.name, worker.receive())
    return worker


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
            timeout_s, value = connection.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, timeout_s)
        try:
            result = function(value)
        except Exception as error:
            result = error
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(result)
