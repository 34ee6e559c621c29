"""Members of an ensemble trained at the same time: two processes on a CPU, one step for all of them on a GPU.

On a CPU the wall clock of two processes side by side is compared with that of one after the other; on a GPU the time
that a frame of each member takes in a group with that of one member alone.
"""

import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from asr_kd.bench.clock import LEAST_SECONDS, interleave, stopwatch_of
from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.machine import get_ready
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import first_batch, our_step, our_trainer
from asr_kd.bench.worker import one_thread
from asr_kd.frames.store import FrameStore
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.group import DNNGroup
from asr_kd.train.frame_set import FrameSet, GroupFrames

NET = NetOptions(num_layers=4, hidden_dim=512)
NUM_PDFS, BATCH_SIZE = 500, 1024
STORED_BATCHES = 64


def measure(*, device: str = "cpu", num_steps: int = 20, rounds: int = 5) -> list[Figure]:
    """How many times as long members take one by one as they do at the same time."""
    if device != "cpu":
        return grouped(torch.device(device))
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


def grouped(
    device: torch.device,
    *,
    num_members: int = 10,
    batch_size: int = BATCH_SIZE,
    rounds: int = 11,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """A step of one member and one of a group, gathering the frames included; in the fastest precision."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), STORED_BATCHES * batch_size)
        frames = frame_set(store, NUM_PDFS, device)
    nets = [DNN(store.input_dim, NUM_PDFS, NET, seed=seed).to(device) for seed in range(num_members)]
    together = GroupFrames(frames, range(num_members))
    run = interleave(
        {
            "alone": _gathering_step(nets[0], store, frames, batch_size),
            "together": _gathering_step(DNNGroup(nets).to(device), store, together, batch_size),
        },
        rounds=rounds,
        stopwatch=stopwatch_of(device),
        least_seconds=least_seconds,
    )
    text = f"{num_members} members of 4 x 512 in one step, B = {batch_size:,} each"
    return [
        Figure(
            key="grouped",
            text=f"{text}: frames of all in a second, over one's alone",
            value=num_members * run.ratio("alone", "together"),
            goal=Goal(1.0),
        ),
        Figure(
            key="grouped_frames_per_s",
            text=f"{text}: frames of all",
            value=num_members * batch_size / run.median("together"),
            unit="frames/s",
        ),
    ]


def _gathering_step(
    net: DNN | DNNGroup, store: FrameStore, frames: FrameSet | GroupFrames, batch_size: int
) -> Callable[[], object]:
    """A step on a batch that is gathered anew each time."""
    epochs = (frames.epoch(seed=1, epoch=epoch, batch_size=batch_size) for epoch in itertools.count())
    batches = itertools.chain.from_iterable(epochs)
    trainer = our_trainer(net, store, frames, batch_size, "auto")
    return lambda: trainer.step(next(batches))


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
