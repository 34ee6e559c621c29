"""Add words of some texts to a lexicon, said as the lexicon says its own words.

A text has one sentence a line, gzipped or not; a data directory stands for its transcripts. OUT gets lexicon.txt, the
old entries first, and report.json, which says how many words that were held out are said right.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from asr_kd.lang.g2p import held_out_accuracy, pronounce
from asr_kd.lang.lexicon import LEXICON_FILE, Lexicon, load_lexicon, save_lexicon
from asr_kd.lang.numbered_text import frequent_words, load_text
from asr_kd.lang.sentences import text_file
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256, write_json

log = logging.getLogger(__name__)

_SHOWN = 5
_HELD_OUT = 20  # one word of so many


@dataclass(frozen=True, kw_only=True)
class Options:
    lexicon: Path = option("lexicon: lines 'WORD PHONE PHONE ...'", positional=True)
    texts: tuple[Path, ...] = option("texts of one sentence a line, or data directories", positional=True)
    out: Path = option("directory to make", positional=True)
    min_count: int = option("occurrences in all texts together that a word needs", default=2)
    order: int = option("pairs of letters and phones of the longest n-grams that say a word", default=8)

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError("--min-count must be at least 1")
        if not 1 <= self.order <= 9:
            raise ValueError("--order must be 1 to 9")


def run(options: Options) -> None:
    lexicon = load_lexicon(options.lexicon)
    inputs = {f"text {number}": file_sha256(text_file(path))[:16] for number, path in enumerate(options.texts, 1)}
    inputs["lexicon"] = file_sha256(options.lexicon)[:16]
    stage = Stage(options.out, command="extend-lexicon", options=options, inputs=inputs)
    if stage.finished():
        return
    texts = [load_text(path) for path in options.texts]
    frequent = frequent_words(texts, among=None, min_count=options.min_count, max_words=None)
    new = [word for word in frequent if word not in lexicon]
    with stage.writing() as partial:
        said = pronounce(lexicon, new, order=options.order)
        held_out = held_out_accuracy(lexicon, order=options.order, every=_HELD_OUT)
        save_lexicon(Lexicon((*lexicon.entries, *sorted(said.items()))), partial / LEXICON_FILE)
        left_out = [word for word in new if word not in said]
        write_json(
            partial / "report.json",
            {"words": len(lexicon.words), "added": len(said), "left_out": left_out, "held_out": asdict(held_out)},
        )
    log.info("%s: %d words of old and %d new ones", options.out / LEXICON_FILE, len(lexicon.words), len(said))
    if held_out.words:
        share = 100 * held_out.right / held_out.words
        log.info(
            "without %d of the old words, %.0f %% of them are said as the lexicon says them", held_out.words, share
        )
    if left_out:
        log.warning(
            "%d words are left out, for they have characters that no word of the lexicon has, or _|}<>[]!: %s%s",
            *(len(left_out), ", ".join(left_out[:_SHOWN]), ", ..." if len(left_out) > _SHOWN else ""),
        )
