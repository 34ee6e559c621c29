"""Make a lexicon for make-lang from Kaldi's: lexicon.txt, lexiconp.txt, a dict or a lang directory."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.kaldi.lexicon import import_lexicon, lexicon_file
from asr_kd.lang.lexicon import LEXICON_FILE, load_lexicon, save_lexicon
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    lexicon: Path = option("lexicon, or the directory data/local/dict or data/lang that has one", positional=True)
    out: Path = option("directory to make, with lexicon.txt", positional=True)
    silence_phone: str | None = option(
        "the phone of optional silence; by default that of optional_silence.txt beside the lexicon, or SIL",
        default=None,
    )


def run(options: Options) -> None:
    inputs = {"lexicon": file_sha256(lexicon_file(options.lexicon))[:16]}
    stage = Stage(options.out, command="import-kaldi-lexicon", options=options, inputs=inputs)
    if stage.finished():
        return
    lexicon, silence = import_lexicon(options.lexicon, options.silence_phone)
    with stage.writing() as partial:
        save_lexicon(lexicon, partial / LEXICON_FILE)
        load_lexicon(partial / LEXICON_FILE)
    log.info(
        "%s: %d words, %d pronunciations, %d phones; give make-lang --silence-phone %s",
        *(options.out, len(lexicon.words), len(lexicon.entries), len(lexicon.phones), silence),
    )
