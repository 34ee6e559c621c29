"""What bundles cost and how well they recognise: size, speed and word errors, on one test set."""

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.bundle.contents import read_bundle, weights_file
from asr_kd.bundle.recognizer import Recognizer
from asr_kd.bundle.stream import Heard, Stream
from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import Utterance
from asr_kd.decode.graph import GRAPH_FILE
from asr_kd.score.bootstrap import estimate_ratios
from asr_kd.score.markdown import table
from asr_kd.score.wer import WordCounts, align_words, count_words

MEGABYTE = 1e6


@dataclass(frozen=True)
class Streamed:
    """The test set heard as streams, an utterance each.

    Attributes:
        counts: word errors of each utterance.
        whole: utterances that were heard in one piece; a longer pause cut or trimmed the others.
        whole_differ: those of them whose words are not the file's. There should be none.
        cut_differ: the same of the others.
    """

    counts: WordCounts
    whole: int
    whole_differ: int
    cut_differ: int


@dataclass(frozen=True)
class Measured:
    """One bundle on a test set.

    Attributes:
        kind: what runs the network and how precisely.
        weights_mb, graph_mb, all_mb: sizes of files, in 10^6 bytes.
        network_rtf: processor time of filter banks and network, in times of real time; one thread.
        search_rtf: of the beam search.
        counts: word errors of each utterance.
        streamed: the same heard as streams; None where that was not tried.
    """

    bundle: Path
    kind: str
    parameters: int
    weights_mb: float
    graph_mb: float
    all_mb: float
    network_rtf: float
    search_rtf: float
    counts: WordCounts
    streamed: Streamed | None


def measure(bundle: Path, utterances: Sequence[Utterance], audio: AudioOptions, *, stream: bool) -> Measured:
    """Recognise utterances that have transcripts, with one thread.

    Args:
        audio: how theirs is read.
        stream: recognise each as a stream too.
    """
    about = read_bundle(bundle)
    recognizer = Recognizer(bundle)
    rate = recognizer.front_end.log_mel.sample_rate
    spent = {"reading": 0.0, "network": 0.0}
    num_samples = 0
    streamed: dict[str, list[Heard]] = {}
    num_frames: dict[str, int] = {}

    def scores() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal num_samples
        for utterance in utterances:
            before = _processor_seconds()
            samples = audio.read(utterance, sample_rate=rate)
            num_samples += len(samples)
            if stream:
                heard = Stream(recognizer)
                streamed[utterance.id] = [one for one in (*heard.accept(samples), *heard.finish()) if one.ended]
            read = _processor_seconds()
            found = recognizer.log_likelihoods(recognizer.front_end.log_mel(samples))
            num_frames[utterance.id] = len(found)
            spent["reading"] += read - before
            spent["network"] += _processor_seconds() - read
            yield utterance.id, found

    started = _processor_seconds()
    words = {found.utt: found.words for found in recognizer.search(scores())}
    search_s = _processor_seconds() - started - sum(spent.values())
    reference = {utterance.id: utterance.words or () for utterance in utterances}
    seconds = num_samples / rate
    frame_s = recognizer.front_end.frame_shift_ms / 1000
    whole = {u for u, parts in streamed.items() if len(parts) == 1 and _spans(parts[0], frame_s, num_frames[u])}
    sizes = {path.name: path.stat().st_size / MEGABYTE for path in bundle.iterdir()}
    return Measured(
        bundle=bundle,
        kind=recognizer.network.kind,
        parameters=about["parameters"],
        weights_mb=sizes[weights_file(about["checksums"])],
        graph_mb=sizes[GRAPH_FILE],
        all_mb=sum(sizes[name] for name in about["checksums"]),
        network_rtf=spent["network"] / seconds,
        search_rtf=search_s / seconds,
        counts=_counts(reference, words),
        streamed=_streamed(reference, words, streamed, whole) if stream else None,
    )


def as_json(measured: Sequence[Measured], *, num_samples: int, seed: int) -> list[dict[str, Any]]:
    """The figures of all bundles; differences are to the first, intervals 95 % by paired bootstrap over utterances."""
    ratios = {number: (one.counts.errors, one.counts.ref_words) for number, one in enumerate(measured)}
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=np.random.default_rng(seed))
    rows = []
    for number, one in enumerate(measured):
        difference = estimates[number].minus(estimates[0])
        rows.append(
            {
                "bundle": str(one.bundle),
                "kind": one.kind,
                "parameters": one.parameters,
                "weights_mb": one.weights_mb,
                "graph_mb": one.graph_mb,
                "all_mb": one.all_mb,
                "network_rtf": one.network_rtf,
                "search_rtf": one.search_rtf,
                "wer": one.counts.wer,
                "wer_ci": estimates[number].interval(),
                "wer_difference": difference.value,
                "wer_difference_ci": difference.interval(),
                "sub": int(one.counts.sub.sum()),
                "ins": int(one.counts.ins.sum()),
                "del": int(one.counts.dele.sum()),
                "ref_words": int(one.counts.ref_words.sum()),
            }
            | _stream_figures(one.streamed)
        )
    return rows


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of `as_json`."""
    header = ["bundle", "network", "WER, %", "to the first", "as a stream", "other words", "RTF network", "RTF search"]
    header += ["weights, MB", "graph, MB", "all, MB"]
    lines = [
        [
            row["bundle"],
            row["kind"],
            f"{100 * row['wer']:.2f} {_interval(row['wer_ci'])}",
            f"{100 * row['wer_difference']:+.2f} {_interval(row['wer_difference_ci'])}",
            "" if row["stream_wer"] is None else f"{100 * row['stream_wer']:.2f}",
            "" if row["stream_wer"] is None else f"{row['stream_whole_differ']} of {row['stream_whole']}",
            f"{row['network_rtf']:.4f}",
            f"{row['search_rtf']:.4f}",
            f"{row['weights_mb']:.2f}",
            f"{row['graph_mb']:.2f}",
            f"{row['all_mb']:.2f}",
        ]
        for row in rows
    ]
    text = table(header, lines)
    if any(row["stream_wer"] is not None for row in rows):
        text += "\n\nOther words: of the utterances heard in one piece, those whose words are not the file's."
    return text


def _interval(interval: Sequence[float]) -> str:
    low, high = interval
    return f"[{100 * low:.2f}, {100 * high:.2f}]"


def _spans(heard: Heard, frame_s: float, num_frames: int) -> bool:
    return round(heard.start_s / frame_s) == 0 and round(heard.end_s / frame_s) == num_frames


def _streamed(
    reference: Mapping[str, tuple[str, ...]],
    words: Mapping[str, tuple[str, ...]],
    streamed: Mapping[str, Sequence[Heard]],
    whole: Set[str],
) -> Streamed:
    said = {utterance: tuple(word for part in parts for word in part.words) for utterance, parts in streamed.items()}
    differ = {utterance for utterance in said if said[utterance] != words[utterance]}
    return Streamed(_counts(reference, said), len(whole), len(differ & whole), len(differ - whole))


def _stream_figures(streamed: Streamed | None) -> dict[str, Any]:
    if streamed is None:
        return {"stream_wer": None}
    return {
        "stream_wer": streamed.counts.wer,
        "stream_whole": streamed.whole,
        "stream_whole_differ": streamed.whole_differ,
        "stream_cut_differ": streamed.cut_differ,
    }


def _counts(reference: Mapping[str, tuple[str, ...]], words: Mapping[str, tuple[str, ...]]) -> WordCounts:
    return count_words(list(align_words(reference, words).values()))


def _processor_seconds() -> float:
    """Of this process and of the children it has waited for."""
    return sum(os.times()[:4])
