"""Kaldi's features: the matrices of ``feats.scp`` and the statistics of ``cmvn.scp``.

Legend: T frames of one utterance, D features of one frame.
"""

import logging
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np

from asr_kd.corpus.id_table import IdTable, Problem, not_in, read_table
from asr_kd.errors import DataError
from asr_kd.frames.cmvn import Moments
from asr_kd.kaldi.object_reader import BINARY

log = logging.getLogger(__name__)

FEATS_SCP, UTT2SPK = "feats.scp", "utt2spk"
_PEEKED_BYTES = 16

# <path>, <path>:<offset>, either with a range of rows and columns: [<first>:<last>,<first>:<last>]
_ENTRY = re.compile(r"(?P<path>.+?)(:(?P<offset>\d+))?(?P<range>\[[\d:,]*\])?")


@dataclass(frozen=True)
class ScpFile:
    """The entries of an scp file."""

    table: IdTable
    allow_commands: bool

    @staticmethod
    def open(path: Path, *, allow_commands: bool = False) -> "ScpFile":
        """Read which matrix is where.

        Raises:
            DataError: the file is missing; an id is repeated, out of order, or has no matrix; a command where none
                is allowed.
        """

        def fault(entry: str) -> str | None:
            if not entry:
                return "has no matrix: expected <id> <file>:<offset>"
            if "|" in (entry[0], entry[-1]) and not allow_commands:
                return "is a command (it ends in '|'): refused unless --allow-commands is given"
            return None

        problems: list[Problem] = []
        table = read_table(path, fault, problems)
        if problems:
            raise DataError(str(problems[0]))
        return ScpFile(table, allow_commands)

    def matrix(self, key: str) -> np.ndarray:
        """A matrix.

        A relative path is tried from the current directory, as Kaldi does, then from the folder of the scp file.

        Raises:
            DataError: it cannot be read, or is something else.
        """
        row = self.table.rows[key]
        where = f"{self.table.where(key)}: '{key}'"
        try:
            found = kaldiio.load_mat(self._checked(row.value, where))
        except (OSError, ValueError, AssertionError, EOFError, RuntimeError, struct.error) as error:
            raise DataError(f"{where}: cannot read {row.value} ({error or type(error).__name__})") from error
        if not isinstance(found, np.ndarray) or found.ndim != 2:
            raise DataError(f"{where}: {row.value} is not a matrix; expected features as of compute-mfcc-feats")
        return found

    def _checked(self, entry: str, where: str) -> str:
        """The entry with its path found; refused where it is not Kaldi's: kaldiio would also load pickled objects."""
        if "|" in (entry[0], entry[-1]):
            return entry
        parts = _ENTRY.fullmatch(entry)
        assert parts
        path = Path(parts["path"])
        if not path.exists() and not path.is_absolute():
            path = self.table.path.parent / path
        with path.open("rb") as file:
            file.seek(int(parts["offset"] or 0))
            start = file.read(_PEEKED_BYTES)
        if not start.startswith(BINARY) and not start.lstrip().startswith(b"["):
            raise DataError(f"{where}: {entry} is not a matrix that Kaldi wrote")
        return f"{path}:{parts['offset'] or 0}{parts['range'] or ''}"


def data_features(data: Path, scp: ScpFile) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each utterance of a data directory with its speaker and its features ``[T, D]`` float32, sorted by id.

    Without ``utt2spk`` every utterance is its own speaker.

    Raises:
        DataError: an utterance without a speaker; matrices of several widths; features that are not finite.
    """
    speakers = speakers_of(data, scp)
    width = 0
    for utterance in scp.table.rows:
        feats = scp.matrix(utterance).astype(np.float32)
        if not len(feats):
            log.warning("%s: '%s' has no frames, left out", scp.table.where(utterance), utterance)
            continue
        width = width or feats.shape[1]
        if feats.shape[1] != width:
            raise DataError(f"{scp.table.where(utterance)}: {feats.shape[1]} features of a frame, before it {width}")
        if not np.isfinite(feats).all():
            raise DataError(f"{scp.table.where(utterance)}: '{utterance}' has features that are not finite")
        yield utterance, speakers[utterance], feats


def speakers_of(data: Path, scp: ScpFile) -> dict[str, str]:
    """The speaker of each utterance of an scp file."""
    problems: list[Problem] = []
    table = read_table(data / UTT2SPK, lambda _: None, problems, needed=False)
    problems += not_in(scp.table, table)
    if problems:
        raise DataError(str(problems[0]))
    return {utterance: table.rows[utterance].value if table.present else utterance for utterance in scp.table.rows}


def feature_dim(scp: ScpFile) -> int:
    """Features of a frame, D, as ``feat-to-dim`` says: those of the first matrix that has any, else 0."""
    return next((dim for key in scp.table.rows if (dim := scp.matrix(key).shape[1])), 0)


def read_moments(scp: ScpFile, keys: set[str], dim: int) -> dict[str, Moments]:
    """The statistics that ``compute-cmvn-stats`` wrote, for each speaker or utterance.

    A matrix of two rows: sums and the count, sums of squares and 0.

    Args:
        dim: features of a frame.

    Raises:
        DataError: a speaker without statistics, or a matrix of another shape.
    """
    found = {}
    for key in sorted(keys):
        if key not in scp.table.rows:
            raise DataError(f"{scp.table.path}: no statistics of '{key}'; compute them, or leave --cmvn-scp out")
        stats = scp.matrix(key).astype(np.float64)
        if len(stats) != 2 or stats[0, -1] <= 0:
            raise DataError(f"{scp.table.where(key)}: '{key}' has shape {stats.shape}, not compute-cmvn-stats's")
        if stats.shape[1] != dim + 1:
            raise DataError(
                f"{scp.table.where(key)}: '{key}' has statistics of {stats.shape[1] - 1} features, the frames have "
                f"{dim}; compute them of the same features"
            )
        found[key] = Moments(float(stats[0, -1]), stats[0, :-1], stats[1, :-1])
    return found
