"""Lists of hypotheses on disk: ``nbest/<set>.tsv.gz`` of a decode directory."""

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

from asr_kd.decode.nbest import NBest, Sentence
from asr_kd.errors import DataError
from asr_kd.stage import replacing

FOLDER = "nbest"
HEADER = "utt\tgraph_cost\tacoustic_cost\twords"


def nbest_path(directory: Path, name: str) -> Path:
    """The lists of one set in a decode directory."""
    return directory / FOLDER / f"{name}.tsv.gz"


def write_nbest(path: Path, lists: Iterable[NBest]) -> int:
    """Write lists, one hypothesis a line; returns how many utterances have none or only partial ones."""
    path.parent.mkdir(exist_ok=True)
    unfinished = 0
    # Without name and time the file is the same whenever it is made.
    with (
        replacing(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as zipped,
        io.TextIOWrapper(zipped, encoding="utf-8") as file,
    ):
        file.write(f"{HEADER}\n")
        for nbest in lists:
            unfinished += not nbest.reached_final
            for sentence in nbest.sentences:
                costs = f"{sentence.graph_cost:.4f}\t{sentence.acoustic_cost:.4f}"
                file.write(f"{nbest.utt}\t{costs}\t{' '.join(sentence.words)}\n")
    return unfinished


def read_nbest(path: Path) -> dict[str, list[Sentence]]:
    """The hypotheses of each utterance in the file's order; an utterance without any is not there.

    Raises:
        DataError: no such file, or with file and line: not what `write_nbest` wrote.
    """
    lists: dict[str, list[Sentence]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                fields = line.rstrip("\n").split("\t")
                if number == 1 and line.rstrip("\n") == HEADER:
                    continue
                if number == 1 or len(fields) != 4:
                    raise DataError(f"{path}:{number}: expected '{HEADER}' or a line of such fields")
                utt, graph_cost, acoustic_cost, words = fields
                sentence = Sentence(tuple(words.split()), float(graph_cost), float(acoustic_cost))
                lists.setdefault(utt, []).append(sentence)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; decode with --num-best 100") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); decode again") from error
    if not lists:
        raise DataError(f"{path}: no hypotheses in it; decode with a wider --beam")
    return lists
