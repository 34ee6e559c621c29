"""Estimate an n-gram language model from texts: interpolated modified Kneser-Ney, pruned, as an ARPA file.

A text has one sentence a line, gzipped or not; a data directory stands for its transcripts. OUT gets lm.arpa.gz and
report.json. Words outside the vocabulary become <unk>, which decoding graphs leave out. Several texts make one model
together, or one each, interpolated, where --weights or --tune-on is given.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_kd.errors import DataError
from asr_kd.lang.kneser_ney import Estimated, estimate
from asr_kd.lang.mixture import mixed, tuned_weights
from asr_kd.lang.ngram_counts import count_ngrams
from asr_kd.lang.numbered_text import (
    SPECIAL,
    UNKNOWN_NUMBER,
    NumberedText,
    frequent_words,
    joined,
    load_text,
    load_vocabulary,
    sentences_of,
    with_boundaries,
)
from asr_kd.lang.perplexity import measure
from asr_kd.lang.pruning import pruned
from asr_kd.lang.sentences import text_file
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256, write_json

log = logging.getLogger(__name__)

ARPA_FILE = "lm.arpa.gz"


@dataclass(frozen=True, kw_only=True)
class Options:
    texts: tuple[Path, ...] = option("texts of one sentence a line, or data directories", positional=True)
    out: Path = option("directory to make", positional=True)
    order: int = option("words of the longest n-grams", default=3)
    min_counts: tuple[int, ...] = option(
        "occurrences an n-gram of order 1, 2, ... needs, the last also for longer ones; the first chooses words where "
        "no --vocabulary does",
        default=(1,),
    )
    prune: float = option("drop n-grams that lower the perplexity by less than this share of it", default=0.0)
    vocabulary: Path | None = option(
        "lexicon or list of words: the only words; default: those of the texts", default=None, affects_result=False
    )
    max_words: int | None = option("keep the most frequent words, so many; default: all", default=None)
    weights: tuple[float, ...] = option("interpolate one model for each text, with these weights", default=())
    tune_on: Path | None = option(
        "interpolate, with the weights best for this text", default=None, affects_result=False
    )
    utterance_ids: bool = option("each line of a text begins with an utterance id, as in Kaldi's text", default=False)

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 9:
            raise ValueError("--order must be 1 to 9")
        if not 1 <= len(self.min_counts) <= self.order or self.min_counts[0] < 1:
            raise ValueError(f"--min-counts takes 1 to {self.order} counts of at least 1, one for each order")
        if list(self.min_counts) != sorted(self.min_counts):
            raise ValueError("--min-counts must not fall: the parts of an n-gram must be kept with it")
        if not 0 <= self.prune < 1:
            raise ValueError("--prune must be a share from 0 to below 1, such as 1e-7")
        if self.max_words is not None and self.max_words < 1:
            raise ValueError("--max-words must be at least 1")
        if self.weights and (len(self.weights) != len(self.texts) or min(self.weights) < 0 or sum(self.weights) == 0):
            raise ValueError(f"--weights takes {len(self.texts)} weights, one for each text, not negative nor all 0")
        if self.weights and self.tune_on:
            raise ValueError("give --weights or --tune-on, not both")


def run(options: Options) -> None:
    stage = Stage(options.out, command="train-lm", options=options, inputs=_inputs(options))
    if stage.finished():
        return
    texts = [load_text(path, utterance_ids=options.utterance_ids) for path in options.texts]
    vocabulary = frequent_words(
        texts,
        among=load_vocabulary(options.vocabulary) if options.vocabulary else None,
        min_count=options.min_counts[0],
        max_words=options.max_words,
    )
    if not vocabulary:
        raise DataError(f"{options.texts[0]}: no word is left for the model; lower the first of --min-counts")
    if not (options.weights or options.tune_on):
        texts = [joined(texts)]
    report: dict[str, Any] = {"vocabulary": len(vocabulary), "parts": []}
    with stage.writing() as partial:
        parts = [_estimate(text, vocabulary, options, report) for text in texts]
        result = _one(parts, options, report)
        if options.prune:
            result = pruned(result, options.prune)
        model = result.model
        report["ngrams"] = [len(table) for table in model.tables]
        if options.tune_on:
            report["tuned_on"] = asdict(measure(model, _tuning_text(options)))
        model.save(partial / ARPA_FILE)
        write_json(partial / "report.json", report)
    ngrams = ", ".join(f"{count} {order}-grams" for order, count in enumerate(report["ngrams"], 1))
    log.info("%s: %d words, %s", options.out / ARPA_FILE, len(vocabulary), ngrams)


def _inputs(options: Options) -> dict[str, str]:
    files = {f"text {number}": text_file(path) for number, path in enumerate(options.texts, 1)}
    files |= {"vocabulary": options.vocabulary} if options.vocabulary else {}
    files |= {"tuning text": text_file(options.tune_on)} if options.tune_on else {}
    return {name: file_sha256(path)[:16] for name, path in files.items()}


def _estimate(text: NumberedText, vocabulary: Sequence[str], options: Options, report: dict[str, Any]) -> Estimated:
    """The model of one text, and what there is to say of it."""
    numbers_T, starts_S = with_boundaries(text, vocabulary)
    counts = count_ngrams(numbers_T, starts_S, num_words=len(SPECIAL) + len(vocabulary), order=options.order)
    last = options.min_counts[-1]
    min_counts = (*options.min_counts, *[last] * (options.order - len(options.min_counts)))
    estimated = estimate(counts, vocabulary, min_counts)
    report["parts"].append(
        {
            "sentences": len(starts_S),
            "words": len(text.numbers_W),
            "words_outside_vocabulary": int((numbers_T == UNKNOWN_NUMBER).sum()),
            "ngrams_seen": [int((found.count_K > 0).sum()) for found in counts],
            "ngrams_kept": [len(table) for table in estimated.model.tables],
            "discounts": [asdict(discount) for discount in estimated.discounts],
        }
    )
    return estimated


def _one(parts: Sequence[Estimated], options: Options, report: dict[str, Any]) -> Estimated:
    """The only model, or all interpolated."""
    if len(parts) == 1:
        return parts[0]
    if options.tune_on:
        weights = tuned_weights([part.model for part in parts], _tuning_text(options))
    else:
        weights = [weight / sum(options.weights) for weight in options.weights]
    report["weights"] = weights
    log.info("interpolated with weights %s", " ".join(f"{weight:.3f}" for weight in weights))
    return mixed(parts, weights)


def _tuning_text(options: Options) -> list[tuple[str, ...]]:
    assert options.tune_on is not None
    return sentences_of(options.tune_on, utterance_ids=options.utterance_ids)
