"""Sentences of a text: a file of one a line, gzipped or not, or the transcripts of a data directory."""

from collections.abc import Iterator
from pathlib import Path

from asr_kd.errors import DataError, GrammarError
from asr_kd.lang.zipped import reading


def text_file(path: Path) -> Path:
    """The file of a text: of a data directory its transcripts."""
    return path / "text" if path.is_dir() else path


def read_sentences(text: Path, *, utterance_ids: bool = False) -> Iterator[tuple[str, ...]]:
    """The words of each line; empty lines are left out.

    Args:
        text: a file, or a data directory.
        utterance_ids: whether each line of a file begins with an id, which is left out. The transcripts of a data
            directory always do.

    Raises:
        DataError: no such file, a damaged gzip file, text that is not UTF-8.
    """
    path, number = text_file(text), 1
    ids = utterance_ids or text.is_dir() or (path.name == "text" and (path.parent / "utt2spk").is_file())
    try:
        with reading(path, "a text of one sentence a line, gzipped or not") as file:
            for line in file:
                if words := tuple(line.decode("utf-8-sig").split()[ids:]):
                    yield words
                number += 1
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: not UTF-8; convert the file, for example with iconv -t UTF-8") from error
    except GrammarError as error:
        raise DataError(str(error)) from error
