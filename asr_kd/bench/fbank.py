"""Filter banks: ours, the least that the machine must do for them, and other programs.

Legend: S samples, T frames, F filters.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from asr_kd.bench.clock import LEAST_SECONDS, Rounds, interleave, processor_seconds
from asr_kd.bench.fbank_peers import exact, installed, kaldi_native_fbank, librosa_mel, torchaudio_kaldi
from asr_kd.bench.figure import Figure, Goal
from asr_kd.frames.build import CHUNK_UTTERANCES
from asr_kd.frames.fbank import FULL_SCALE, Fbank, FbankOptions

OPTIONS = FbankOptions()
LENGTHS = {"short": 0.5, "long": 6.0}  # seconds of an utterance
LIMIT_FRAMES = (64, 128, 256)
ERROR_UTTERANCES = 40
OURS, KALDI, TORCHAUDIO, LIBROSA = "ours", "kaldi-native-fbank", "torchaudio", "librosa"
PEERS = {KALDI: "kaldi_native_fbank", TORCHAUDIO: "torchaudio", LIBROSA: "librosa"}
GOALS = {("short", TORCHAUDIO): Goal(4), ("long", TORCHAUDIO): Goal(2)}


def measure(
    *,
    device: str = "cpu",
    utterances: int = CHUNK_UTTERANCES,
    rounds: int = 11,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """Speed of utterances of 0.5 s and 6 s, many a call as `asr-kd make-fbank` does, and the error."""
    there = [peer for peer, module in PEERS.items() if installed(module)]
    runs: dict[str, Rounds] = {}
    for name, seconds in LENGTHS.items():
        waves = [speech_like(seconds, seed) for seed in range(utterances)]
        variants = {OURS: partial(Fbank(OPTIONS), waves)} | _limits(utterances * _frames(seconds))
        variants |= {peer: _peer(peer, waves) for peer in there}
        runs[name] = interleave(
            variants, rounds=rounds, stopwatch=processor_seconds, least_seconds=least_seconds, seed=len(runs)
        )
    return [*_speeds(runs, there, utterances), *_errors(there)]


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Samples ``[S]`` in [-1, 1): a gliding voice of three formants over hiss and rumble, with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * OPTIONS.sample_rate)) / OPTIONS.sample_rate
    phase = 2 * np.pi * np.cumsum(rng.uniform(90, 220) * (1 + 0.2 * np.sin(2 * np.pi * 1.3 * time))) * time[1]
    harmonics = np.arange(1, 30)
    formants = rng.uniform([300, 900, 2200], [800, 2000, 3200])
    heights = sum(np.exp(-(((harmonics * 150 - formant) / 150) ** 2)) for formant in formants) + 0.01
    voice = sum(height * np.sin(number * phase) for number, height in zip(harmonics, heights, strict=True))
    level = 0.12 * np.clip(np.sin(2 * np.pi * 2.1 * time + rng.uniform(0, 6)), 0, None)
    hiss, rumble = rng.standard_normal((2, len(time)))
    rumble = np.convolve(rumble, np.hanning(400) / 20, mode="same")
    wave = level * voice + 10 ** rng.uniform(-3.5, -2.5) * (hiss + rumble)
    return (np.round(wave.clip(-1, 0.999) * FULL_SCALE) / FULL_SCALE).astype(np.float32)


def _frames(seconds: float) -> int:
    return OPTIONS.num_frames(int(seconds * OPTIONS.sample_rate))


def _peer(peer: str, waves: list[np.ndarray]) -> Callable[[], Any]:
    """A peer on all waves, one after the other. It gets them in the form it wants, made beforehand."""
    given: list[Any]
    if peer == KALDI:
        transform, given = kaldi_native_fbank(OPTIONS), [(wave * FULL_SCALE).tolist() for wave in waves]
    elif peer == TORCHAUDIO:
        transform, given = torchaudio_kaldi(OPTIONS), [torch.from_numpy(wave)[None] * FULL_SCALE for wave in waves]
    else:
        transform, given = librosa_mel(OPTIONS), waves
    return lambda: [transform(samples) for samples in given]


def _limits(frames: int) -> dict[str, Callable[[], Any]]:
    """The transforms alone, over and over on the same few frames: these stay in the L2 cache."""
    return {f"limit {size}": _limit(size, -(-frames // size)) for size in LIMIT_FRAMES}


def _limit(size: int, times: int) -> Callable[[], Any]:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(size, OPTIONS.fft_size, generator=generator)
    mel = torch.rand(OPTIONS.fft_size + 2, OPTIONS.num_mel_bins, generator=generator)
    out = torch.empty(size, OPTIONS.num_mel_bins)

    def transform() -> None:
        for _ in range(times):
            power = torch.view_as_real(torch.fft.rfft(frames)).reshape(size, -1).square_()
            torch.mm(power, mel, out=out).log_()

    return transform


def _speeds(runs: dict[str, Rounds], there: list[str], utterances: int) -> list[Figure]:
    figures = []
    for name, run in runs.items():
        seconds = LENGTHS[name]
        audio = utterances * seconds
        limit = min((f"limit {size}" for size in LIMIT_FRAMES), key=run.median)
        figures += [
            Figure(key=f"{name}_speed", text=f"{seconds:g} s: speed, times real time", value=audio / run.median(OURS)),
            Figure(
                key=f"{name}_of_limit",
                text=f"{seconds:g} s: of the limit (rfft, square, mel, log in the L2 cache)",
                value=run.ratio(limit, OURS),
                unit="%",
            ),
        ]
        figures += [
            Figure(
                key=f"{name}_vs_{PEERS[peer]}",
                text=f"{seconds:g} s: over {peer}",
                value=run.ratio(peer, OURS) if peer in there else None,
                goal=GOALS.get((name, peer)),
                note="" if peer in there else f"{peer} is not installed",
            )
            for peer in PEERS
        ]
        if KALDI in there:
            text = f"{seconds:g} s: the limit itself over {KALDI}"
            figures.append(Figure(key=f"{name}_limit_vs_kaldi_native_fbank", text=text, value=run.ratio(KALDI, limit)))
    worst = min(run.ratio(KALDI, OURS) for run in runs.values()) if KALDI in there else None
    note = "" if KALDI in there else f"{KALDI} is not installed"
    text = f"over {KALDI}, the worse of both lengths"
    return [*figures, Figure(key="vs_kaldi_native_fbank", text=text, value=worst, goal=Goal(8), note=note)]


def _errors(there: list[str]) -> list[Figure]:
    """Largest error of a log-mel energy against float64."""
    waves = [speech_like(6.0, seed) for seed in range(100, 100 + ERROR_UTTERANCES)]
    true = [exact(wave, OPTIONS) for wave in waves]
    ours = max(_distance(feats.numpy(), t) for feats, t in zip(Fbank(OPTIONS)(waves), true, strict=True))
    if KALDI not in there:
        note = f"{KALDI} is not installed"
        return [Figure(key="error", text="largest error against float64, nats", value=ours, unit="nats", note=note)]
    kaldis = kaldi_native_fbank(OPTIONS)
    theirs = max(_distance(kaldis((w * FULL_SCALE).tolist()), t) for w, t in zip(waves, true, strict=True))
    return [
        Figure(key="error", text="largest error against float64", value=ours, unit="nats", goal=Goal(theirs, True)),
        Figure(key="error_kaldi_native_fbank", text=f"the same of {KALDI}", value=theirs, unit="nats"),
    ]


def _distance(feats: np.ndarray, true: np.ndarray) -> float:
    return float(np.abs(feats - true).max())
