"""Synthesise connected digits with espeak-ng: train, dev and test with transcripts, extra without.

Every utterance follows from the seed alone: the corpus is the same, byte for byte, for any number of jobs.
"""

import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asr_kd.corpus.data_dir import Utterance, write_data_dir
from asr_kd.corpus.digits import DigitsOptions, Speaker, make_talkers, make_utterances, plan_speakers
from asr_kd.options import group, option
from asr_kd.stage import Stage

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    out: Path = option("directory to make: train, dev, test, extra and their audio", positional=True)
    digits: DigitsOptions = group(DigitsOptions)
    nj: int = option("processes side by side", default=2, affects_result=False)

    def __post_init__(self) -> None:
        if self.nj < 1:
            raise ValueError(f"--nj must be above 0, not {self.nj}")


def run(options: Options) -> None:
    plan = plan_speakers(options.digits)
    inputs = {"espeak-ng": metadata.version("espeakng-loader")}
    stage = Stage(options.out, command="make-digits", options=options, inputs=inputs)
    if stage.finished():
        return
    with stage.writing() as folder:
        # Spawned, not forked: the parent's threads (progress bar, BLAS) do not survive a fork in good order.
        pool = ProcessPoolExecutor(
            options.nj, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )
        try:
            for split, speakers in plan.items():
                write_data_dir(folder / split, _speak(pool, speakers, options, folder))
        finally:
            pool.shutdown(cancel_futures=True)
        _write_speakers(folder / "speakers.tsv", plan)
    log.info("%s: %s", options.out, ", ".join(f"{len(plan[split])} speakers in {split}" for split in plan))


def _speak(pool: ProcessPoolExecutor, speakers: list[Speaker], options: Options, folder: Path) -> list[Utterance]:
    """All utterances of one split."""
    talkers = folder / "talkers.npy"
    np.save(talkers, make_talkers(speakers[0].split, options.digits))
    speak = partial(make_utterances, options=options.digits, talkers=talkers, folder=folder)
    made: list[Utterance] = []
    with tqdm(total=sum(len(s.utterances) for s in speakers), desc=speakers[0].split, unit="utt", disable=None) as bar:
        for utterances in pool.map(speak, speakers):
            made += utterances
            bar.update(len(utterances))
    talkers.unlink()
    return made


def _end_with_parent() -> None:
    """In a worker: leave an interrupt to the parent to report, and do not outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_speakers(path: Path, plan: dict[str, list[Speaker]]) -> None:
    rows = ["speaker\tsplit\taccent\tvariant\twords_per_minute\tpitch\tpitch_range"]
    rows += ["\t".join(map(str, (s.id, s.split, *astuple(s.voice)))) for speakers in plan.values() for s in speakers]
    path.write_text("\n".join(rows) + "\n")
