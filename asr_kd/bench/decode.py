"""Beam search for connected digits, and the network that scores their frames: processor time over the audio's.

Legend: T frames of one utterance, P pdfs.
"""

import resource
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from asr_kd.bench.clock import Variant, interleave
from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.synthetic import make_model, make_store
from asr_kd.decode.graph import DecodingGraph, build_graph, save_graph
from asr_kd.decode.search import search
from asr_kd.hmm.best_path import best_path
from asr_kd.hmm.posteriors import mean_log_posteriors
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.lang.grammar import word_loop
from asr_kd.lang.lexicon import Lexicon, mark_positions
from asr_kd.nets.device import computes_bf16
from asr_kd.nets.dnn import NetOptions

# The settings of the recipe `digits`, and the acoustic scale that it comes to.
BEAM, MAX_ACTIVE, ACOUSTIC_SCALE, SILENCE = 10.0, 7000, 0.1, "SIL"
NUM_STATES, SILENCE_STATES = 3, 5
NET = NetOptions(num_layers=4, hidden_dim=384)
FRAME_SECONDS = 0.01
DIGITS = """EIGHT EY T; FIVE F AY V; FOUR F AO; FOUR F AO R; NINE N AY N; ONE W AH N; SEVEN S EH V AH N; SIX S IH K S
; THREE TH R IY; TWO T UW; ZERO Z IH R OW; ZERO Z IY R OW"""
SEARCH, SCORE, LIMIT = "search", "score", "the decoder alone"


def measure(
    *, device: str = "cpu", num_utterances: int = 100, rounds: int = 5, least_seconds: float = 0.5
) -> list[Figure]:
    """Real-time factor of the search alone and of scoring and search; the search's processes count."""
    lexicon = digits()
    inventory = monophone_states(lexicon, SILENCE, NUM_STATES, SILENCE_STATES)
    rng = np.random.default_rng(0)
    scores = [(f"u{number:03d}", spoken_scores(lexicon, inventory, rng)) for number in range(num_utterances)]
    with tempfile.TemporaryDirectory() as folder:
        save_graph(Path(folder), build_graph(lexicon, inventory, word_loop(lexicon)), lexicon, inventory)
        graph = DecodingGraph.load(Path(folder))
        seconds = FRAME_SECONDS * sum(len(found) for _, found in scores)
        variants = {
            SEARCH: lambda: _search(graph, scores),
            SCORE: _scoring(Path(folder), scores, inventory.num_pdfs),
            LIMIT: _decoder(graph, scores),
        }
        run = interleave(variants, rounds=rounds, stopwatch=all_processor_seconds, least_seconds=least_seconds)
    searching, scoring = run.median(SEARCH) / seconds, run.median(SCORE) / seconds
    text = f"real-time factor of digits ({len(scores)} utterances, {seconds:.0f} s)"
    return [
        Figure(key="rtf", text=f"{text}: search", value=searching, unit="RTF", goal=Goal(0.001, at_most=True)),
        Figure(
            key="search_of_limit",
            text=f"{text}: search, of the limit (kaldi-decoder alone, on scaled scores in this process)",
            value=run.ratio(LIMIT, SEARCH),
            unit="%",
        ),
        Figure(key="score_rtf", text=f"{text}: 4 x 384 scoring the frames", value=scoring, unit="RTF"),
        Figure(key="search_and_score_rtf", text=f"{text}: both", value=searching + scoring, unit="RTF"),
    ]


def digits() -> Lexicon:
    """Ten words, their phones depending on their place in the word."""
    entries = [entry.split() for entry in DIGITS.split(";")]
    return mark_positions(Lexicon(tuple((word, tuple(phones)) for word, *phones in entries)), SILENCE)


def spoken_scores(lexicon: Lexicon, inventory: StateInventory, rng: np.random.Generator) -> np.ndarray:
    """Log scores ``[T, P]`` of 3 to 7 digits.

    As networks score the recipe's test set: the state spoken is the best in seven of ten frames, the others are
    14 nats below it with a spread of 7.
    """
    silence = inventory.pdfs(SILENCE, SILENCE, SILENCE)
    states: list[int] = list(silence)
    for _ in range(rng.integers(3, 8)):
        phones = lexicon.entries[rng.integers(len(lexicon.entries))][1]
        states += [pdf for phone in phones for pdf in inventory.pdfs(phone, SILENCE, SILENCE)]
    states += silence
    path = np.repeat(states, rng.integers(2, 7, size=len(states)))
    scores = -rng.gamma(4.0, 3.5, size=(len(path), inventory.num_pdfs))
    scores[np.arange(len(path)), path] = -rng.exponential(2.0, size=len(path))
    return scores.astype(np.float32)


def all_processor_seconds(variant: Variant, times: int) -> float:
    """Processor time of this process and of those it has started and waited for."""
    started = _processor_seconds()
    for _ in range(times):
        variant()
    return _processor_seconds() - started


def _processor_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _search(graph: DecodingGraph, scores: list[tuple[str, np.ndarray]]) -> object:
    return list(search(graph, scores, acoustic_scale=ACOUSTIC_SCALE, beam=BEAM, max_active=MAX_ACTIVE))


def _decoder(graph: DecodingGraph, scores: list[tuple[str, np.ndarray]]) -> Variant:
    """The library's search, without the checks and the processes around it."""
    scaled = [np.multiply(found, ACOUSTIC_SCALE, dtype=np.float32) for _, found in scores]
    decode = partial(best_path, graph.penalised(0.0), beam=BEAM, max_active=MAX_ACTIVE)
    assert all(decode(found).reached_final for found in scaled), "the search does these again with a wider beam"
    return lambda: [decode(found) for found in scaled]


def _scoring(folder: Path, scores: list[tuple[str, np.ndarray]], num_pdfs: int) -> Variant:
    """One network on utterances of the same lengths, one at a time as `asr-kd decode` does."""
    counts = [len(found) for _, found in scores]
    store = make_store(folder / "frames", sum(counts))
    ends = np.cumsum(counts).tolist()
    parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    cpu = torch.device("cpu")
    model = make_model(store, NET, num_pdfs, seed=1).to(cpu, "bf16" if computes_bf16(cpu) else "fp32")
    return lambda: [mean_log_posteriors([model], store.windows(part)) for part in parts]
