"""A made-up experiment directory in the form that `asr-kd decode` leaves behind."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def write_decoded(
    directory: Path,
    *,
    ref: Mapping[str, Sequence[str]],
    hyp: Mapping[str, Sequence[str]],
    frames: Mapping[str, tuple[int, int, float]],
    name: str = "baseline",
    seed: int = 1,
    params: int = 1_000_000,
    **info: object,
) -> Path:
    directory.mkdir(parents=True)
    system = {"name": name, "seed": seed, "members": 1, "params": params, "num_pdfs": 99, "conf": "conf/train.conf"}
    (directory / "system.json").write_text(json.dumps(system | {"dev_wer": 0.1, "rtf": 0.001} | info))
    for file, texts in (("ref.txt", ref), ("hyp.txt", hyp)):
        (directory / file).write_text("".join(" ".join([utt, *words]) + "\n" for utt, words in texts.items()))
    (directory / "utt2spk").write_text("".join(f"{utt} {utt.split('-')[0]}\n" for utt in ref))
    rows = "".join(f"{utt}\t{n}\t{correct}\t{ce}\n" for utt, (n, correct, ce) in frames.items())
    (directory / "frames.tsv").write_text("utt\tnum_frames\tnum_correct\tcross_entropy\n" + rows)
    run = {"identity": {"command": "decode"}, "sessions": [[1000.0, 1005.0]]}
    (directory / "run.json").write_text(json.dumps(run | {"checksums": {"hyp.txt": directory.name}}))
    return directory


def corrupt(words: Sequence[str], rate: float, rng: np.random.Generator) -> list[str]:
    """A recogniser's output: each word kept, replaced, dropped or doubled."""
    out: list[str] = []
    for word in words:
        luck = rng.random()
        if luck < rate / 3:
            continue
        out.append(str(rng.choice(WORDS)) if luck < 2 * rate / 3 else word)
        if 2 * rate / 3 <= luck < rate:
            out.append(str(rng.choice(WORDS)))
    return out


SYSTEMS = [
    *(("baseline", seed, 0.10, 0.600) for seed in (1, 2, 3)),
    ("ensemble", 1, 0.07, 0.640),
    *(("distilled", seed, 0.08, 0.633) for seed in (1, 2)),
    ("distilled_small", 1, 0.09, 0.61),
]


@pytest.fixture
def make_experiment(tmp_path: Path) -> Callable[..., Path]:
    """Writes an experiment of seven runs of four systems; the ensemble is the best, the student near it."""

    def make(
        name: str, *, speakers: Sequence[str] = ("anna", "bert"), num_utterances: int = 200, seed: int = 0
    ) -> Path:
        rng = np.random.default_rng(seed)
        utterances = sorted(f"{speakers[i % len(speakers)]}-{i:04d}" for i in range(num_utterances))
        ref = {utt: [str(word) for word in rng.choice(WORDS, size=rng.integers(3, 8))] for utt in utterances}
        lengths = {utt: int(rng.integers(50, 400)) for utt in utterances}
        hardness = {utt: float(rng.normal(scale=0.08)) for utt in utterances}
        for system, run_seed, error_rate, accuracy in SYSTEMS:
            write_decoded(
                tmp_path / name / "decode" / f"{system}-{run_seed}",
                ref=ref,
                hyp={utt: corrupt(words, error_rate, rng) for utt, words in ref.items()},
                frames={
                    utt: (n, int(rng.binomial(n, np.clip(accuracy + hardness[utt], 0, 1))), 1.3 * n)
                    for utt, n in lengths.items()
                },
                name=system,
                seed=run_seed,
                params=250_000 if system.endswith("small") else 1_000_000,
            )
        for split, num_frames in (("train", 540_000), ("dev", 36_000), ("test", 180_000)):
            store = tmp_path / name / "frames" / split
            store.mkdir(parents=True)
            meta = {"num_frames": num_frames, "num_utterances": num_utterances, "frame_shift_ms": 10.0}
            (store / "meta.json").write_text(json.dumps(meta))
        for model, top in (("members/1", 0.6), ("members/2", 0.61), ("students/distilled-1", 0.64)):
            directory = tmp_path / name / model
            directory.mkdir(parents=True)
            lines = [
                json.dumps(
                    {
                        "epoch": epoch,
                        "train_frame_accuracy": top - 0.25 / epoch + 0.03,
                        "dev_frame_accuracy": top - 0.2 / epoch,
                        "dev_cross_entropy": 1.2 + 1 / epoch,
                    }
                )
                for epoch in range(1, 9)
            ]
            (directory / "metrics.jsonl").write_text("\n".join(lines) + '\n{"epoch": 9, "dev_fra')
        return tmp_path / name

    return make
