"""Kaldi data directories: `wav.scp`, `text`, `utt2spk` and `segments`, loaded and written.

Where there is `feats.scp` and no `wav.scp`, the utterances are features instead of audio.

The format is Kaldi's: https://kaldi-asr.org/doc/data_prep.html
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.id_table import IdTable, Problem, not_in, read_table
from asr_kd.errors import DataError
from asr_kd.stage import RUN_FILE, digest, file_sha256, fingerprint, write_text

AUDIO_FILE, FEATURES_FILE = "wav.scp", "feats.scp"
DATA_FILES = (AUDIO_FILE, "text", "utt2spk", "segments")
TO_THE_END = -1.0
_WITHIN_ARCHIVE = re.compile(r"(:\d+)?(\[[\d:,]*\])?$")  # <path>:<offset>[<rows>,<columns>]


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One utterance and where its audio is.

    Attributes:
        audio: the path of an audio file, absolute or relative to the current directory; or a command that
            writes one to its standard output, ending in ``|``; or an entry of ``feats.scp``.
        words: the transcript; None where there is none.
        start: where the utterance begins in the audio, in seconds.
        end: where it ends, in seconds; None is the end of the audio.
        recording: the audio's id in ``wav.scp`` where `segments` are used; else it is the utterance's.
        features: whether there are features instead of audio.
    """

    id: str
    speaker: str
    audio: str
    words: tuple[str, ...] | None = None
    start: float = 0.0
    end: float | None = None
    recording: str | None = None
    features: bool = False


def source_file(path: Path) -> Path:
    """What says where a data directory's speech is: its ``feats.scp`` where that is all there is, or ``wav.scp``."""
    only_features = (path / FEATURES_FILE).is_file() and not (path / AUDIO_FILE).is_file()
    return path / (FEATURES_FILE if only_features else AUDIO_FILE)


def load_data_dir(path: Path, *, need_text: bool = True, allow_commands: bool = False) -> list[Utterance]:
    """The utterances of a data directory, sorted by id.

    A relative path in ``wav.scp`` is tried from the current directory, as Kaldi does, then from ``path``. That the
    audio itself is there and whole is found out on reading it, or by `asr-kd validate-data`, with ``--audio``.

    Args:
        path: the data directory.
        need_text: whether every utterance must have a transcript; else those without have ``words=None``.
        allow_commands: whether ``wav.scp`` may hold commands, which reading the audio would run.

    Raises:
        DataError: a file or a column is missing; ids are repeated, unsorted or in one file and not in another; a
            command in ``wav.scp`` that is not allowed.
    """
    utterances, problems = inspect_data_dir(path, need_text=need_text, allow_commands=allow_commands)
    if problems:
        raise DataError(
            f"{problems[0]} ({len(problems)} in all: `asr-kd validate-data {path}` lists them, "
            f"`asr-kd fix-data {path} OUT` writes a copy of what can be used)"
        )
    return utterances


def inspect_data_dir(path: Path, *, need_text: bool, allow_commands: bool) -> tuple[list[Utterance], list[Problem]]:
    """The utterances of a data directory that can be used, sorted by id, and everything that is wrong with it."""
    if not path.is_dir():
        raise DataError(f"{path}: no such data directory")
    problems: list[Problem] = []
    features = source_file(path).name == FEATURES_FILE
    wavs = read_table(source_file(path), lambda entry: _wav_fault(entry, allow_commands), problems)
    speakers = read_table(path / "utt2spk", _speaker_fault, problems)
    texts = read_table(path / "text", lambda words: _text_fault(words, need_text), problems, needed=need_text)
    # Features are of utterances, also where these are segments of recordings.
    segments = IdTable(path, present=False)
    if not features:
        segments = read_table(path / "segments", _segment_fault, problems, needed=False)
    sources = segments if segments.present else wavs
    problems += [*not_in(speakers, sources), *not_in(sources, speakers), *not_in(texts, speakers)]
    problems += not_in(speakers, texts) if need_text else ()
    problems += _recording_problems(segments, wavs)
    utterances = []
    for key in sorted(speakers.rows.keys() & sources.rows.keys()):
        recording, start, end = _segment(segments.rows[key].value) if segments.present else (key, 0.0, None)
        words = tuple(texts.rows[key].value.split()) if key in texts.rows else ()
        if recording in wavs.rows and (words or not need_text):
            utterances.append(
                Utterance(
                    id=key,
                    speaker=speakers.rows[key].value,
                    audio=_located(wavs.rows[recording].value, path, features),
                    words=words or None,
                    start=start,
                    end=end,
                    recording=recording if segments.present else None,
                    features=features,
                )
            )
    return utterances, problems


def write_data_dir(path: Path, utterances: Iterable[Utterance], audio_entries: Mapping[str, str] | None = None) -> None:
    """Write ``wav.scp`` or ``feats.scp``, ``utt2spk``, ``spk2utt``, and ``text`` and ``segments`` where used, sorted.

    Args:
        path: the data directory, made if need be.
        utterances: in any order.
        audio_entries: what to write in ``wav.scp`` or ``feats.scp`` for an utterance's ``audio``; by default the same.

    Raises:
        DataError: no utterances, an id twice, white space in an id, or one recording with two audio files.
    """
    ordered = sorted(utterances, key=lambda u: u.id)
    if not ordered:
        raise DataError(f"{path}: no utterances to write")
    segmented = any(u.recording is not None or u.start > 0 or u.end is not None for u in ordered)
    files: dict[str, dict[str, str]] = {name: {} for name in (*DATA_FILES, FEATURES_FILE)}
    source = FEATURES_FILE if ordered[0].features else AUDIO_FILE
    members: dict[str, list[str]] = {}
    for u in ordered:
        recording, entry = u.recording or u.id, (audio_entries or {}).get(u.audio, u.audio)
        for name in (u.id, u.speaker, recording):
            if name.split() != [name]:
                raise DataError(f"{path}: '{name}' cannot be an id: it must not be empty nor hold white space")
        if u.id in files["utt2spk"]:
            raise DataError(f"{path}: utterance '{u.id}' twice")
        if files[source].setdefault(recording, entry) != entry:
            other = files[source][recording]
            raise DataError(f"{path}: recording '{recording}' has two audio files, {other} and {entry}")
        files["utt2spk"][u.id] = u.speaker
        members.setdefault(u.speaker, []).append(u.id)
        if u.words:
            files["text"][u.id] = " ".join(u.words)
        if segmented:
            files["segments"][u.id] = f"{recording} {u.start} {TO_THE_END if u.end is None else u.end}"
    files["spk2utt"] = {speaker: " ".join(ids) for speaker, ids in members.items()}
    path.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        if rows:
            write_text(path / name, "".join(f"{key} {rows[key]}\n" for key in sorted(rows)))
        else:
            (path / name).unlink(missing_ok=True)


def absolute_audio(utterances: Iterable[Utterance]) -> dict[str, str]:
    """The absolute path of each audio file: ``audio_entries`` that hold wherever the data directory is written."""
    return {u.audio: str(Path(u.audio).resolve()) for u in utterances if not u.audio.endswith("|")}


def data_fingerprint(path: Path) -> str:
    """16 hex digits that change with ``wav.scp`` (or ``feats.scp``), ``text``, ``utt2spk`` or ``segments``.

    Where a command made the data directory, with its audio, in a folder of several, the audio counts too.

    Raises:
        DataError: there is neither.
    """
    source = source_file(path)
    if not source.is_file():
        raise DataError(f"{source}: missing file; expected a Kaldi data directory")
    content = {name: file_sha256(path / name) for name in {*DATA_FILES, source.name} if (path / name).is_file()}
    if (path.parent / RUN_FILE).is_file():
        content[RUN_FILE] = fingerprint(path.parent)
    return digest(content)


def _wav_fault(entry: str, allow_commands: bool) -> str | None:
    if not entry:
        return "has no audio: expected <recording-id> <path>"
    if entry.endswith("|") and not allow_commands:
        return "is a command (it ends in '|'): refused unless --allow-commands is given"
    return None


def _speaker_fault(value: str) -> str | None:
    return None if len(value.split()) == 1 else "must have one speaker: expected <utterance-id> <speaker-id>"


def _text_fault(words: str, need_text: bool) -> str | None:
    return "has no transcript: expected <utterance-id> <word> ..." if need_text and not words else None


def _segment_fault(value: str) -> str | None:
    try:
        _, start, end = _segment(value)
    except ValueError:
        return "is malformed: expected <utterance-id> <recording-id> <start> <end>, times in seconds"
    last = math.nextafter(math.inf, 0.0) if end is None else end
    return None if 0 <= start < last < math.inf else f"from {start} s to {end} s: expected 0 <= start < end"


def _segment(value: str) -> tuple[str, float, float | None]:
    recording, start, end = value.split()
    return recording, float(start), None if float(end) == TO_THE_END else float(end)


def _recording_problems(segments: IdTable, wavs: IdTable) -> Iterator[Problem]:
    recordings = {key: row.value.split()[0] for key, row in segments.rows.items()}
    for key, recording in recordings.items():
        if wavs.present and recording not in wavs.mentioned:
            what = f"recording '{recording}' of '{key}' is not in wav.scp"
            yield Problem(where=segments.where(key), what=what, dropped=key)
    used = set(recordings.values())
    for recording in wavs.rows:
        if segments.present and recording not in used:
            what = f"recording '{recording}' is not in segments"
            yield Problem(where=wavs.where(recording), what=what, dropped=recording)


def _located(entry: str, folder: Path, features: bool) -> str:
    path = Path(_WITHIN_ARCHIVE.sub("", entry) if features else entry)
    if entry.endswith("|") or path.is_absolute() or path.exists():
        return entry
    return str(folder / entry)
