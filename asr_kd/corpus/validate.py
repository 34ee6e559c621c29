"""What is wrong with a data directory, all at once, and a copy of it without what is wrong."""

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from asr_kd.corpus.audio import Channel, read_audio
from asr_kd.corpus.data_dir import Utterance, absolute_audio, inspect_data_dir, source_file, write_data_dir
from asr_kd.corpus.id_table import IdTable, Problem, read_table
from asr_kd.errors import DataError


def problems(
    path: Path, *, audio: bool, need_text: bool = True, allow_commands: bool = False, channel: Channel = "refuse"
) -> list[str]:
    """Everything wrong with a data directory, each with its file and line.

    Args:
        path: the data directory.
        audio: whether to read all audio too, which finds what is truncated, empty, of several channels, not finite or
            shorter than its segments; else only missing files are found.
        need_text: whether every utterance must have a transcript.
        allow_commands: whether ``wav.scp`` may hold commands; with ``audio`` they are run.
        channel: which of several channels is meant, as for `read_audio`.
    """
    utterances, found = inspect_data_dir(path, need_text=need_text, allow_commands=allow_commands)
    found += _spk2utt_problems(path)
    found += _audio_problems(path, utterances, allow_commands, channel) if audio else _missing_audio(path, utterances)
    return [str(problem) for problem in found]


def warnings(path: Path) -> list[str]:
    """What is allowed but likely to be a mistake, as in Kaldi: speakers that are not prefixes of their utterances."""
    speakers = _table(path / "utt2spk")
    odd = [key for key, row in speakers.rows.items() if not key.startswith(row.value)]
    if not odd:
        return []
    first = f"'{speakers.rows[odd[0]].value}' of '{odd[0]}'"
    return [
        f"{speakers.where(odd[0])}: {len(odd)} utterances whose speaker is not a prefix of their id, such as {first}; "
        "programs that sort by speaker will want it"
    ]


def fix(
    source: Path,
    out: Path,
    *,
    audio: bool = False,
    need_text: bool = True,
    allow_commands: bool = False,
    channel: Channel = "refuse",
) -> list[str]:
    """Write a sorted, consistent copy of a data directory without what cannot be used.

    The copy names audio by absolute paths. Of an id that is there twice the first entry is kept.

    Args:
        source: the data directory.
        out: the copy.
        audio: whether to read all audio and drop what `problems` would name; else only missing files are dropped.
        need_text: whether to drop utterances without a transcript.
        allow_commands: whether to keep, and with ``audio`` to run, the commands in ``wav.scp``.
        channel: which of several channels is meant, as for `read_audio`.

    Returns:
        what was dropped or mended, each with its file and line and the reason.

    Raises:
        DataError: nothing is left.
    """
    utterances, found = inspect_data_dir(source, need_text=need_text, allow_commands=allow_commands)
    missing = _missing_audio(source, utterances)
    unusable = list(_audio_problems(source, utterances, allow_commands, channel) if audio else missing)
    dropped = {problem.dropped for problem in unusable}
    kept = [utterance for utterance in utterances if utterance.id not in dropped]
    if not kept:
        reasons = [*found, *unusable]
        raise DataError(f"{source}: no utterance can be used, first because of {reasons[0]}")
    write_data_dir(out, kept, absolute_audio(kept))
    return [f"{'dropped' if problem.dropped else 'mended'}: {problem}" for problem in [*found, *unusable]]


def _audio_problems(
    path: Path, utterances: list[Utterance], allow_commands: bool, channel: Channel
) -> Iterator[Problem]:
    where = _audio_lines(path)
    for utterance in tqdm(utterances, desc="audio", unit="utt", disable=None, leave=False):
        try:
            read_audio(utterance, sample_rate=None, channel=channel, allow_commands=allow_commands)
        except DataError as error:
            yield Problem(where=where.get(utterance.id, str(path)), what=str(error), dropped=utterance.id)


def _missing_audio(path: Path, utterances: list[Utterance]) -> Iterator[Problem]:
    where = _audio_lines(path)
    for utterance in utterances:
        if not (utterance.audio.endswith("|") or utterance.features) and not Path(utterance.audio).is_file():
            what = f"utterance '{utterance.id}': {utterance.audio}: no such audio file"
            yield Problem(where=where[utterance.id], what=what, dropped=utterance.id)


def _audio_lines(path: Path) -> dict[str, str]:
    """The ``file:line`` that says where each utterance's audio is."""
    segments = path / "segments"
    table = _table(segments if segments.is_file() else source_file(path))
    return {key: table.where(key) for key in table.rows}


def _spk2utt_problems(path: Path) -> Iterator[Problem]:
    expected: dict[str, set[str]] = {}
    for utterance_id, row in _table(path / "utt2spk").rows.items():
        expected.setdefault(row.value, set()).add(utterance_id)
    found: list[Problem] = []
    given = read_table(path / "spk2utt", lambda value: None, found, needed=False)
    yield from found
    for speaker, row in given.rows.items():
        if set(row.value.split()) != expected.get(speaker, set()):
            yield Problem(where=given.where(speaker), what=f"speaker '{speaker}' has other utterances in utt2spk")
    if given.present:
        for speaker in sorted(expected.keys() - given.mentioned):
            yield Problem(where=str(given.path), what=f"speaker '{speaker}' of utt2spk is missing")


def _table(path: Path) -> IdTable:
    return read_table(path, lambda value: None, [], needed=False)
