"""One file of a Kaldi data directory: sorted lines of an id and what belongs to it, read with every mistake named."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asr_kd.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a data directory, and the id that cannot be used because of it, if any."""

    where: str
    what: str
    dropped: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Row:
    """What follows an id, and the number of its line."""

    line: int
    value: str


@dataclass(frozen=True)
class IdTable:
    """The rows that can be used, and every id the file mentions, so that a bad row does not also count as missing."""

    path: Path
    present: bool
    rows: dict[str, Row] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)

    def where(self, key: str) -> str:
        """``file:line`` of a row."""
        return f"{self.path}:{self.rows[key].line}"


def read_table(
    path: Path, fault: Callable[[str], str | None], problems: list[Problem], *, needed: bool = True
) -> IdTable:
    """Read one file, adding to ``problems`` what is wrong with it.

    Ids must be in the order of ``LC_ALL=C sort``: that of UTF-8 bytes, which is also that of Python's strings.

    Args:
        path: the file.
        fault: what is wrong with the value of a row, or None.
        problems: the list to add to.
        needed: whether it is a problem that the file is not there.

    Raises:
        DataError: the file is not UTF-8.
    """
    if not path.is_file():
        if needed:
            problems.append(Problem(where=str(path), what="missing file"))
        return IdTable(path, present=False)
    table = IdTable(path, present=True)
    previous, unsorted = "", False
    for number, line in enumerate(read_lines(path), 1):
        where, (key, value) = f"{path}:{number}", _split(line)
        if not key:
            problems.append(Problem(where=where, what="empty line"))
            continue
        if key < previous and not unsorted:
            unsorted = True
            problems.append(Problem(where=where, what=f"not sorted as by LC_ALL=C: '{key}' after '{previous}'"))
        previous = key
        if key in table.mentioned:
            problems.append(Problem(where=where, what=f"'{key}' a second time", dropped=key))
        elif found := fault(value):
            problems.append(Problem(where=where, what=f"'{key}' {found}", dropped=key))
        else:
            table.rows[key] = Row(number, value)
        table.mentioned.add(key)
    if not table.mentioned:
        problems.append(Problem(where=str(path), what="empty file"))
    return table


def not_in(table: IdTable, other: IdTable) -> Iterator[Problem]:
    """The rows of one file whose ids another, where it is there, does not mention."""
    if other.present:
        for key in table.rows:
            if key not in other.mentioned:
                yield Problem(where=table.where(key), what=f"'{key}' is not in {other.path.name}", dropped=key)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without a byte order mark.

    Raises:
        DataError: the file is not UTF-8.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8; convert the file, for example with iconv -t UTF-8") from error
    return text.removesuffix("\n").split("\n") if text else []


def _split(line: str) -> tuple[str, str]:
    words = line.split(None, 1)
    return (words[0] if words else ""), (words[1].strip() if len(words) > 1 else "")
