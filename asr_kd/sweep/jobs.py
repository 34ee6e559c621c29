"""Jobs side by side: each a process that runs commands one after the other, with a log of its own.

The processes are forked from a server that has imported what they need: importing torch for every student of a large
grid would take as long as training small ones.
"""

import logging
import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

RunCommand = Callable[[Sequence[str]], int]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands that need each other, in order; the first that fails ends the job."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that ended."""

    job: Job
    exit_code: int
    seconds: float

    @property
    def last_words(self) -> str:
        """The last line of its log, which says why it failed, or how its process ended where it was killed."""
        if self.exit_code < 0:
            return f"its process was ended by {signal.Signals(-self.exit_code).name}; out of memory?"
        lines = self.job.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")


def run_jobs(
    jobs: Sequence[Job], *, run_command: RunCommand, nj: int, preload: Sequence[str] = ()
) -> Generator[Ended, None, None]:
    """Run jobs, at most ``nj`` at a time, and yield each as it ends.

    Where the caller stops early, as on Ctrl-C, those that run are asked to stop and waited for: a student saves where
    it stands.

    Args:
        run_command: what runs a command in a job's process: takes its words, returns its exit code.
        preload: modules that the server imports, once for all.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    waiting = deque(jobs)
    running: dict[int, tuple[ForkServerProcess, Job, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(nj, 1):
                job = waiting.popleft()
                job.log.parent.mkdir(parents=True, exist_ok=True)
                process = context.Process(target=_run, args=(job, run_command), name=job.name)
                process.start()
                running[process.sentinel] = process, job, time.monotonic()
            for ready in wait(list(running)):
                assert isinstance(ready, int)
                process, job, started = running.pop(ready)
                process.join()
                yield Ended(job=job, exit_code=process.exitcode or 0, seconds=time.monotonic() - started)
    finally:
        for process, _, _ in running.values():
            process.terminate()
        for process, _, _ in running.values():
            process.join()


def _run(job: Job, run_command: RunCommand) -> None:
    """What a job's process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends it, once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with job.log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    for words in job.commands:
        sys.argv = ["asr-kd", *words]
        logging.getLogger().handlers.clear()  # each command sets up its own
        print(shlex.join(sys.argv), flush=True)
        exit_code = run_command(words)
        if exit_code:
            sys.exit(exit_code)


def _end_with_parent() -> None:
    """Stop as on Ctrl-C when the parent is gone, also when it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
