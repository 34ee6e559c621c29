"""A process of one thread for measuring in: the libraries read their number of threads only when they are loaded."""

import importlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Worker:
    """A fresh process that calls functions by name, one at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context)

    def call(self, target: str, /, **arguments: Any) -> Any:
        """What the function ``module:name`` returns; its exceptions come back as they are."""
        with one_thread():
            return self._pool.submit(_call, target, arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker for as long as the context lasts."""
    made = Worker()
    try:
        yield made
    finally:
        made.close()


def _call(target: str, arguments: dict[str, Any]) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)(**arguments)


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
