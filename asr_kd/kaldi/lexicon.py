"""Kaldi's lexicons: ``lexicon.txt``, ``lexiconp.txt`` with probabilities, a ``dict`` or ``lang`` directory."""

import logging
import re
from pathlib import Path

from asr_kd.corpus.id_table import read_lines
from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import EPSILON, Lexicon

log = logging.getLogger(__name__)

_NAMES = ("lexicon.txt", "lexiconp.txt", "lexiconp_silprob.txt", "phones/align_lexicon.txt")
_COLUMNS = {"lexiconp": 1, "lexiconp_disambig": 1, "lexiconp_silprob": 4}
_SILENCE_FILES = ("optional_silence.txt", "phones/optional_silence.txt")
_PLACE = re.compile(r"_[BIES]$")
_SHOWN = 5


def lexicon_file(path: Path) -> Path:
    """The lexicon of a ``dict`` or ``lang`` directory, or the file itself.

    Raises:
        LexiconError: the directory has none.
    """
    if path.is_file():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    raise LexiconError(f"{path}: no lexicon there; expected a file, or a directory with {', '.join(_NAMES)}")


def import_lexicon(path: Path, silence: str | None = None) -> tuple[Lexicon, str]:
    """Read a lexicon of Kaldi, and its phone of optional silence.

    Probabilities are left out: the graphs made here hold a word's pronunciations equally likely. So are words that
    are silence alone (such as ``!SIL``), because silence is optional everywhere; marks of a phone's place in the
    word (``_B``), which ``make-lang`` adds; and repeated lines.

    Args:
        path: a file, or a directory.
        silence: the phone of optional silence; None is that of ``optional_silence.txt`` beside it, or ``SIL``.

    Raises:
        LexiconError: with file and line, a word without phones or a probability that is none; nothing is left.
    """
    file = lexicon_file(path)
    silence = silence or _optional_silence(path if path.is_dir() else file.parent)
    columns = next((count for name, count in _COLUMNS.items() if file.stem == name), 0)
    aligned = file.name == "align_lexicon.txt"
    entries: dict[tuple[str, tuple[str, ...]], None] = {}
    silent: list[str] = []
    repeated = 0
    for number, line in enumerate(read_lines(file), 1):
        word, *rest = line.split() or [EPSILON]
        if word == EPSILON:
            continue
        dropped = 1 if aligned else columns
        if columns and not all(_is_number(field) for field in rest[:columns]):
            raise LexiconError(f"{file}:{number}: expected a word, {columns} probabilities and phones, found '{line}'")
        phones = tuple(_PLACE.sub("", phone) if aligned else phone for phone in rest[dropped:])
        if not phones:
            raise LexiconError(f"{file}:{number}: the word '{word}' has no phones; add some or remove the line")
        if set(phones) == {silence}:
            silent.append(word)
        elif (word, phones) in entries:
            repeated += 1
        else:
            entries[word, phones] = None
    if not entries:
        raise LexiconError(f"{file}: no entries; expected lines 'WORD PHONE PHONE ...'")
    _report(file, columns, silent, repeated)
    return Lexicon(tuple(entries)), silence


def _optional_silence(directory: Path) -> str:
    for name in _SILENCE_FILES:
        if (directory / name).is_file():
            return _PLACE.sub("", (directory / name).read_text(encoding="utf-8").strip())
    return "SIL"


def _is_number(field: str) -> bool:
    try:
        return float(field) >= 0
    except ValueError:
        return False


def _report(file: Path, columns: int, silent: list[str], repeated: int) -> None:
    if columns:
        log.warning("%s: its probabilities are not used, all pronunciations of a word are equally likely", file)
    if silent:
        log.info("%s: left out words that are silence alone: %s", file, ", ".join(silent[:_SHOWN]))
    if repeated:
        log.info("%s: left out %d lines that repeat others", file, repeated)
