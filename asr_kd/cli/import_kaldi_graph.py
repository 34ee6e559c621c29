"""Make a decoding graph from Kaldi's HCLG.fst, with the pdfs of its model in place of transition ids."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.decode.graph import ABOUT_FILE, GRAPH_FILE, WORDS_FILE, DecodingGraph, describe_states
from asr_kd.errors import MismatchError
from asr_kd.hmm.fst_arrays import write_arrays
from asr_kd.kaldi.graph import (
    SILENCE_PHONES,
    read_fst,
    read_silence_phones,
    read_words,
    with_pdf_labels,
    without_outputs,
)
from asr_kd.kaldi.transition_model import read_transition_model
from asr_kd.lang.symbols import save_symbols
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    graph: Path = option(
        "Kaldi's graph directory, such as exp/tri3/graph: HCLG.fst, words.txt, phones/silence.csl", positional=True
    )
    model: Path = option("the Kaldi model it was made for, such as exp/tri3/final.mdl", positional=True)
    out: Path = option("graph to make", positional=True)
    silent_words: tuple[str, ...] = option(
        "words to pass through without putting them out, such as <NOISE> and !SIL", default=()
    )


def run(options: Options) -> None:
    fst_path, words_path = options.graph / GRAPH_FILE, options.graph / WORDS_FILE
    inputs = {path.name: file_sha256(path)[:16] for path in (fst_path, words_path)}
    if (silence_phones := options.graph / SILENCE_PHONES).is_file():
        inputs[silence_phones.name] = file_sha256(silence_phones)[:16]
    inputs["model"] = file_sha256(options.model)[:16]
    stage = Stage(options.out, command="import-kaldi-graph", options=options, inputs=inputs)
    if stage.finished():
        return
    model = read_transition_model(options.model)
    said = options.graph / "num_pdfs"
    if said.is_file() and said.read_text().split() != [str(model.num_pdfs)]:
        raise MismatchError(
            f"{said} says {said.read_text().strip()}, {options.model} has {model.num_pdfs} pdfs: give the model that "
            "the graph was made for"
        )
    words = read_words(words_path)
    silence_pdfs = model.pdfs_of_phones(read_silence_phones(options.graph))
    if not silence_pdfs:
        log.warning(
            "%s names no phone of %s: recognize --stream will not know a pause from a word",
            *(options.graph / SILENCE_PHONES, options.model),
        )
    fst = with_pdf_labels(read_fst(fst_path), model.pdf_of, path=fst_path)
    with stage.writing() as partial:
        write_arrays(without_outputs(fst, words, options.silent_words), partial / GRAPH_FILE)
        save_symbols(words, partial / WORDS_FILE)
        write_json(partial / ABOUT_FILE, describe_states(model.num_pdfs, model.fingerprint, silence_pdfs))
        arrays = DecodingGraph.load(partial).arrays
    log.info("%s: %d states, %d arcs, %d pdfs", options.out, len(arrays.states), len(arrays.arcs), model.num_pdfs)
