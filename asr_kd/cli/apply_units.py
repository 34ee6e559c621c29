"""Cut the words of a text into recognition units, for an n-gram model of them, or join units into words again."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.lang.sentences import read_sentences, text_file
from asr_kd.lang.subwords import Units
from asr_kd.lang.units import UNKNOWN, to_words
from asr_kd.lang.zipped import writing
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256, fingerprint

log = logging.getLogger(__name__)

TEXT_FILE = "text.gz"


@dataclass(frozen=True, kw_only=True)
class Options:
    units: Path = option("directory made by make-units", positional=True)
    text: tuple[Path, ...] = option(
        "texts: a sentence a line, gzipped or not; a data directory stands for its transcripts", positional=True
    )
    out: Path = option("directory to make; the text is in its text.gz", positional=True)
    join: bool = option("the other way: units in, words out", default=False)


def run(options: Options) -> None:
    inputs = {"units": fingerprint(options.units)}
    texts = [text_file(path) for path in options.text]
    inputs |= {f"text {number}": file_sha256(path)[:16] for number, path in enumerate(texts, 1)}
    stage = Stage(options.out, command="apply-units", options=options, inputs=inputs)
    if stage.finished():
        return
    units = Units.load(options.units)
    num_words = num_pieces = num_unknown = 0
    with stage.writing() as partial, writing(partial / TEXT_FILE) as file:
        for path in options.text:
            for words in read_sentences(path):
                changed = to_words(words) if options.join else units.segment(words)
                num_words, num_pieces = num_words + len(words), num_pieces + len(changed)
                num_unknown += changed.count(UNKNOWN)
                file.write((" ".join(changed) + "\n").encode())
    kind = ("units", "words") if options.join else ("words", "units")
    log.info("%s: %d %s became %d %s", options.out, num_words, kind[0], num_pieces, kind[1])
    if num_unknown and not options.join:
        log.warning("%d words have characters that are no units and became %s", num_unknown, UNKNOWN)
