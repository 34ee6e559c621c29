"""How hard the test set's words are: outside the vocabulary, and how probable the language models find them."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.lexicon import EPSILON, SENTENCE_END, SENTENCE_START
from asr_kd.lang.perplexity import measure
from asr_kd.lang.symbols import BACKOFF, load_symbols
from asr_kd.lang.units import is_piece_vocabulary
from asr_kd.score.systems import System

_NOT_WORDS = {EPSILON, SENTENCE_START, SENTENCE_END, BACKOFF}


def read_vocabulary(experiment: Path) -> frozenset[str] | None:
    """The words that an experiment's decoding graph can put out.

    None where there is no graph, or where it puts out pieces that words are joined from: it then has no vocabulary.
    """
    path = experiment / "graph" / "words.txt"
    symbols = load_symbols(path).symbols if path.exists() else ()
    return None if not symbols or is_piece_vocabulary(symbols) else frozenset(symbols) - _NOT_WORDS


def out_of_vocabulary(systems: Sequence[System], vocabulary: Collection[str]) -> dict[str, Any]:
    """Reference words that no system can recognise, and the share of each system's errors that fall on them.

    An unknown word often costs more than itself: its neighbours are recognised wrongly too. The share holds only the
    errors on the words themselves.
    """
    references = systems[0].runs[0].references()
    unknown = [word for words in references for word in words if word not in vocabulary]
    shares = {}
    for system in systems:
        words = [word for run in system.runs for alignment in run.alignments for word in alignment if word.op != "C"]
        on_unknown = sum(1 for word in words if word.ref and word.ref not in vocabulary)
        shares[system.name] = on_unknown / len(words) if words else None
    return {
        "words": len(unknown),
        "rate": len(unknown) / sum(map(len, references)),
        "different_words": len(set(unknown)),
        "share_of_errors": shares,
    }


def language_models(references: Sequence[Sequence[str]], paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Perplexity of the test set's references under each ARPA file, over the words it knows and the sentences' ends.

    A model of pieces is left out: it knows no words, and a perplexity of pieces does not compare with one of words.

    Raises:
        GrammarError: a file is not an ARPA file.
    """
    found = []
    for path in paths:
        model = BackoffModel.load(path)
        if is_piece_vocabulary(model.words):
            continue
        figures = measure(model, references)
        found.append(
            {
                "name": f"{path.resolve().parent.name}/{path.name}",
                "order": model.order,
                "perplexity": figures.known,
                "unknown_words": figures.unknown,
            }
        )
    return found
