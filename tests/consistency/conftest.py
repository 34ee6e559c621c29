"""Commands are run in this process here."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _restored_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
