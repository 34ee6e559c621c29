"""Perplexity of a language model on texts, their unknown words, and the lengths of the n-grams that foretell them.

A text has one sentence a line, gzipped or not; a data directory stands for its transcripts. In the table, the
perplexity is that over known words and sentence ends; "with <unk>" counts unknown words too.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.numbered_text import sentences_of
from asr_kd.lang.perplexity import Perplexity, measure
from asr_kd.options import option
from asr_kd.score.markdown import table


@dataclass(frozen=True, kw_only=True)
class Options:
    arpa: Path = option("language model: an ARPA file, gzipped or not", positional=True)
    texts: tuple[Path, ...] = option("texts of one sentence a line, or data directories", positional=True)
    utterance_ids: bool = option("each line of a text begins with an utterance id, as in Kaldi's text", default=False)


def run(options: Options) -> None:
    texts = [sentences_of(path, utterance_ids=options.utterance_ids) for path in options.texts]
    model = BackoffModel.load(options.arpa)
    print(f"{options.arpa}: " + ", ".join(f"{len(t):,} {n}-grams" for n, t in enumerate(model.tables, 1)) + "\n")
    hits = [f"{order}-grams" for order in range(1, model.order + 1)]
    header = ["text", "sentences", "words", "unknown", "perplexity", "with <unk>", *hits]
    rows = [_row(path, measure(model, text)) for path, text in zip(options.texts, texts, strict=True)]
    print(table(header, rows))


def _row(path: Path, figures: Perplexity) -> list[str]:
    unknown = f"{figures.unknown:,} ({100 * figures.unknown / figures.words:.2f} %)"
    with_unknown = "" if figures.with_unknown is None else f"{figures.with_unknown:.1f}"
    counts = [f"{figures.sentences:,}", f"{figures.words:,}", unknown, f"{figures.known:.1f}", with_unknown]
    return [str(path), *counts, *(f"{100 * hit:.1f} %" for hit in figures.hits)]
