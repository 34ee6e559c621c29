"""Two members of an ensemble trained side by side, next to one after the other: wall-clock time of two processes."""

import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.machine import get_ready
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import first_batch, our_step
from asr_kd.bench.worker import one_thread
from asr_kd.frames.store import FrameStore
from asr_kd.nets.dnn import DNN, NetOptions

NET = NetOptions(num_layers=4, hidden_dim=512)
NUM_PDFS, BATCH_SIZE = 500, 1024


def measure(*, device: str = "cpu", num_steps: int = 20, rounds: int = 5) -> list[Figure]:
    """How many times as long two members take one after the other as they do side by side."""
    cores = len(os.sched_getaffinity(0))
    key, text = "side_by_side", "two members side by side over one after the other (4 x 512, wall clock)"
    if cores < 2:
        return [Figure(key=key, text=text, value=None, goal=Goal(1.9), note="this process may use one core alone")]
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), 4 * BATCH_SIZE)
        ratios = _ratios(store, num_steps, rounds)
    load = os.getloadavg()[0]
    note = f"needs two idle cores; the machine's load was {load:.1f} with {cores} cores"
    return [Figure(key=key, text=text, value=statistics.median(ratios), goal=Goal(1.9), note=note)]


def _ratios(store: FrameStore, num_steps: int, rounds: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    with one_thread():
        members = [context.Process(target=_train, args=(theirs, store.path), daemon=True) for _, theirs in pipes]
        for member in members:
            member.start()
    for _, theirs in pipes:
        theirs.close()  # so that a member that dies ends the wait for it
    ours = [pipe for pipe, _ in pipes]
    try:
        for pipe in ours:
            pipe.recv()
        _wall_seconds(ours, num_steps)
        return [
            sum(_wall_seconds([pipe], num_steps) for pipe in ours) / _wall_seconds(ours, num_steps)
            for _ in range(rounds)
        ]
    finally:
        for member in members:
            member.kill()
            member.join()


def _wall_seconds(members: list[Any], num_steps: int) -> float:
    """From telling members to train until the last of them is done."""
    started = time.perf_counter()
    for pipe in members:
        pipe.send(num_steps)
    for pipe in members:
        pipe.recv()
    return time.perf_counter() - started


def _train(pipe: Connection, frames: Path) -> None:
    """A member's process: does as many steps as it is told to, again and again."""
    get_ready("cpu")
    store = FrameStore(frames)
    found = frame_set(store, NUM_PDFS, torch.device("cpu"))
    net = DNN(store.input_dim, NUM_PDFS, NET, seed=1)
    step = our_step(net, store, found, first_batch(found, BATCH_SIZE), "auto")
    pipe.send("ready")
    while True:
        try:
            num_steps = pipe.recv()
        except EOFError:
            return
        for _ in range(num_steps):
            step()
        pipe.send("done")
