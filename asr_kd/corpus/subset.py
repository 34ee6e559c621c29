"""Parts of a data directory: a random split by speaker or by utterance, and a chosen few."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asr_kd.corpus.audio import duration
from asr_kd.corpus.data_dir import Utterance
from asr_kd.corpus.id_table import read_lines
from asr_kd.errors import DataError, UsageError


def parse_parts(words: Iterable[str]) -> dict[str, float]:
    """``name:share`` words as a dict.

    Raises:
        UsageError: a malformed word, a name twice or not fit for a folder, a share that is not positive, shares that
            do not sum to 1.
    """
    parts: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition(":")
        try:
            share = float(number)
        except ValueError:
            raise UsageError(f"--parts: '{word}' is not NAME:SHARE, such as train:0.8") from None
        if not name or Path(name).name != name or name in parts:
            raise UsageError(f"--parts: '{name}' cannot name a part: it must be a folder's name, once")
        if not 0 < share <= 1:
            raise UsageError(f"--parts: the share of '{name}' must be more than 0 and at most 1, not {number}")
        parts[name] = share
    if abs(sum(parts.values()) - 1) > 1e-6:
        raise UsageError(f"--parts: the shares sum to {sum(parts.values()):g}, they must sum to 1")
    return parts


def split(
    utterances: Sequence[Utterance], parts: Mapping[str, float], *, by_speaker: bool, seed: int
) -> dict[str, list[Utterance]]:
    """Distribute utterances over named parts at random; no speaker is in two parts if ``by_speaker``.

    Speakers (or utterances), in random order, go one by one to the part that lacks most utterances of its share. So
    no part exceeds its share by more than one speaker (or utterance), and none is empty.

    Raises:
        DataError: there are fewer speakers (or utterances) than parts.
    """
    groups: dict[str, list[Utterance]] = {}
    for utterance in sorted(utterances, key=lambda u: u.id):
        groups.setdefault(utterance.speaker if by_speaker else utterance.id, []).append(utterance)
    if len(groups) < len(parts):
        unit = "speakers" if by_speaker else "utterances"
        raise DataError(f"{len(groups)} {unit} cannot fill {len(parts)} parts ({', '.join(parts)})")
    result: dict[str, list[Utterance]] = {name: [] for name in parts}
    order = [sorted(groups)[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    for place, key in enumerate(order):
        empty = [name for name in parts if not result[name]]
        open_parts = empty if len(empty) == len(order) - place else list(parts)
        lacking = {name: parts[name] * len(utterances) - len(result[name]) for name in open_parts}
        result[max(lacking, key=lambda name: lacking[name])] += groups[key]
    return {name: sorted(chosen, key=lambda u: u.id) for name, chosen in result.items()}


def of_speakers(utterances: Sequence[Utterance], speakers: Collection[str]) -> list[Utterance]:
    """The utterances of some speakers.

    Raises:
        DataError: a speaker who has none.
    """
    wanted = set(speakers)
    _refuse_unknown("speaker", wanted, {u.speaker for u in utterances})
    return [u for u in utterances if u.speaker in wanted]


def with_ids(utterances: Sequence[Utterance], ids: Collection[str]) -> list[Utterance]:
    """The utterances of some ids.

    Raises:
        DataError: an id that is not there.
    """
    wanted = set(ids)
    _refuse_unknown("utterance", wanted, {u.id for u in utterances})
    return [u for u in utterances if u.id in wanted]


def shortest(utterances: Sequence[Utterance], count: int, *, allow_commands: bool = False) -> list[Utterance]:
    """The ``count`` shortest utterances; all of them where there are fewer."""
    return sorted(utterances, key=lambda u: (duration(u, allow_commands=allow_commands), u.id))[:count]


def at_random(utterances: Sequence[Utterance], count: int, *, seed: int) -> list[Utterance]:
    """``count`` utterances drawn without replacement; all of them where there are fewer."""
    ordered = sorted(utterances, key=lambda u: u.id)
    return [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))[:count]]


def read_ids(path: Path) -> list[str]:
    """The first word of each line of a file, as in Kaldi's lists (so that ``spk2utt`` or ``text`` serve too).

    Raises:
        DataError: the file is missing, not UTF-8 or holds no ids.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such list of ids")
    ids = [line.split()[0] for line in read_lines(path) if line.strip()]
    if not ids:
        raise DataError(f"{path}: an empty list of ids")
    return ids


def _refuse_unknown(unit: str, wanted: set[str], known: set[str]) -> None:
    unknown = sorted(wanted - known)
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise DataError(f"{len(unknown)} of {len(wanted)} {unit} ids are not in the data directory: {shown}")
