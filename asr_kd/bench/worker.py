"""A process of one thread for measuring in: the libraries read their number of threads only when they are loaded."""

import importlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from asr_kd.errors import AsrKdError

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CLEAN_UP_SECONDS = 10


class Worker:
    """A fresh process that calls functions by name, one at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with one_thread():
            self._process.start()
        theirs.close()
        self._working = False

    def call(self, target: str, /, **arguments: Any) -> Any:
        """What the function ``module:name`` returns; its exceptions come back as they are.

        Raises:
            RuntimeError: the process died.
        """
        self._pipe.send((target, arguments))
        self._working = True
        try:
            result = self._pipe.recv()
        except EOFError as error:
            self._process.join()
            why = f"exit code {self._process.exitcode}; out of memory?"
            raise RuntimeError(f"{target}: its process died ({why})") from error
        self._working = False
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """End the process: at once where it works, or else let it clean up."""
        self._pipe.close()
        self._process.join(0 if self._working else CLEAN_UP_SECONDS)
        self._process.kill()
        self._process.join()


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker for as long as the context lasts."""
    made = Worker()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def one_thread() -> Iterator[None]:
    """The environment in which a process must start so that its libraries keep to one thread."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection) -> None:
    """What a worker does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends it
    while True:
        try:
            target, arguments = pipe.recv()
        except EOFError:
            return
        try:
            module, name = target.split(":")
            result = getattr(importlib.import_module(module), name)(**arguments)
        except Exception as error:
            if not isinstance(error, AsrKdError):
                traceback.print_exc()
            result = error
        pipe.send(result)
