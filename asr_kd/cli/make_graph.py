"""Compose states, lexicon and grammar into a decoding graph."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.decode.graph import DecodingGraph, build_graph, save_graph
from asr_kd.errors import LexiconError
from asr_kd.hmm.states import StateInventory
from asr_kd.lang.grammar import arpa_grammar, word_loop
from asr_kd.lang.lexicon import load_lang_lexicon, load_lexicon
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    lang: Path = option("directory made by make-lang", positional=True)
    out: Path = option("graph to make", positional=True)
    grammar: str = option("any sequence of words, or an n-gram model", default="loop", choices=("loop", "arpa"))
    arpa: Path | None = option(
        "n-gram model in ARPA format, gzipped or not; for --grammar arpa", default=None, affects_result=False
    )
    lexicon: Path | None = option(
        "what is recognised instead of the lang directory's words, with its phones: pieces.txt of make-units",
        default=None,
        affects_result=False,
    )
    silence_probability: float = option("probability of silence at the start and after each word", default=0.5)

    def __post_init__(self) -> None:
        if (self.grammar == "arpa") != (self.arpa is not None):
            raise ValueError("--arpa FILE goes with --grammar arpa, and only with it")
        if not 0 <= self.silence_probability < 1:
            raise ValueError(f"--silence-probability {self.silence_probability}: must be at least 0 and below 1")


def run(options: Options) -> None:
    inputs = {"lang": fingerprint(options.lang)}
    if options.arpa is not None:
        inputs["ARPA file"] = file_sha256(options.arpa)[:16]
    if options.lexicon is not None:
        inputs["lexicon"] = file_sha256(options.lexicon)[:16]
    stage = Stage(options.out, command="make-graph", options=options, inputs=inputs)
    if stage.finished():
        return
    lexicon = load_lang_lexicon(options.lang) if options.lexicon is None else load_lexicon(options.lexicon)
    inventory = StateInventory.load(options.lang)
    if unknown := sorted(set(lexicon.phones) - set(inventory.phones)):
        raise LexiconError(f"{options.lexicon}: phones without states in {options.lang}: {' '.join(unknown)}")
    grammar = word_loop(lexicon) if options.arpa is None else arpa_grammar(options.arpa, lexicon)
    with stage.writing() as partial:
        graph = build_graph(lexicon, inventory, grammar, silence_probability=options.silence_probability)
        save_graph(partial, graph, lexicon, inventory)
        arrays = DecodingGraph.load(partial).arrays
    log.info("%s: %d states, %d arcs, %d pdfs", options.out, len(arrays.states), len(arrays.arcs), inventory.num_pdfs)
