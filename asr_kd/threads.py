"""Map a function over a stream in threads, results in order, few items in memory at a time.

For work that releases the interpreter: reading audio, transforms and matrix products.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def threaded_map(function: Callable[[T], R], items: Iterable[T], *, nj: int) -> Iterator[tuple[T, R]]:
    """Yield each item with its result, in the items' order.

    Args:
        nj: threads; at most twice as many items are under way or waiting.
    """
    source = iter(items)
    waiting: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(max(nj, 1)) as pool:
        try:
            for item in islice(source, 2 * max(nj, 1)):
                waiting.append((item, pool.submit(function, item)))
            while waiting:
                item, future = waiting.popleft()
                result = future.result()
                waiting.extend((following, pool.submit(function, following)) for following in islice(source, 1))
                yield item, result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
