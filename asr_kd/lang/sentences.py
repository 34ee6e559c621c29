"""Sentences of a text file: one a line, gzipped or not, with or without utterance ids."""

from collections.abc import Iterator
from pathlib import Path

from asr_kd.errors import DataError, GrammarError
from asr_kd.lang.zipped import reading


def read_sentences(path: Path, *, utterance_ids: bool = False) -> Iterator[tuple[str, ...]]:
    """The words of each line; empty lines are left out.

    Args:
        path: the file.
        utterance_ids: whether each line begins with an id, as in a data directory's ``text``, which is left out.

    Raises:
        DataError: no such file, a damaged gzip file, text that is not UTF-8.
    """
    number = 1
    try:
        with reading(path, "a text of one sentence a line, gzipped or not") as file:
            for line in file:
                if words := tuple(line.decode("utf-8-sig").split()[utterance_ids:]):
                    yield words
                number += 1
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: not UTF-8; convert the file, for example with iconv -t UTF-8") from error
    except GrammarError as error:
        raise DataError(str(error)) from error
