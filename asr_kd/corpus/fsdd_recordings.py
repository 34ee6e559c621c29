"""Reading the Free Spoken Digit Dataset: 3,000 isolated digits, verified, from Kaldi data or its repository."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr_kd.corpus.audio import read_audio
from asr_kd.corpus.data_dir import Utterance, load_data_dir
from asr_kd.corpus.noise import Samples
from asr_kd.corpus.strings import DIGIT_WORDS
from asr_kd.errors import DataError

SAMPLE_RATE = 8000

# Over the samples of all recordings in the order of their file names. FLAC and WAV hold the same samples.
SHA256 = "6f643a7422de89763625dfc9aa79427e69f7a690223a5bc5752a2f56db5af465"

# The official test set: the first five recordings of each digit and speaker.
_NUM_OFFICIAL_TEST = 5
_FILE_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_\s]+)_(?P<index>[0-9]+)\.wav")


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One isolated digit, at `SAMPLE_RATE`, full scale 1."""

    name: str
    speaker: str
    word: str
    is_official_test: bool
    samples: Samples


def load_recordings(corpus: Path) -> list[Recording]:
    """All recordings, sorted by name.

    Args:
        corpus: a folder with ``data/train`` and ``data/test`` (Kaldi data directories, one digit an utterance), or
            a checkout of the repository with ``recordings/<digit>_<speaker>_<index>.wav``.

    Raises:
        DataError: neither is there, or a recording is unreadable or is not one digit.
    """
    if (corpus / "data").is_dir():
        found = [(u, part == "test") for part in ("train", "test") for u in load_data_dir(corpus / "data" / part)]
    elif (corpus / "recordings").is_dir():
        found = [_from_file_name(path) for path in sorted((corpus / "recordings").glob("*.wav"))]
    else:
        raise DataError(f"{corpus}: holds neither data/train and data/test nor recordings/; expected a copy of FSDD")
    recordings = [_load(utterance, is_test) for utterance, is_test in found]
    if not recordings:
        raise DataError(f"{corpus}: holds no recordings named <digit>_<speaker>_<index>.wav")
    return sorted(recordings, key=lambda r: r.name)


def checksum(recordings: Sequence[Recording]) -> str:
    """SHA-256, in hex, over the 16-bit samples (little-endian) of the recordings in the order given."""
    state = hashlib.sha256()
    for recording in recordings:
        state.update(np.round(recording.samples * 32768).astype("<i2").tobytes())
    return state.hexdigest()


def verify(recordings: Sequence[Recording], expected: str, corpus: Path) -> None:
    """Check that nothing is missing, added or changed.

    Raises:
        DataError: the checksum is another.
    """
    found = checksum(recordings)
    if found != expected:
        raise DataError(
            f"{corpus}: SHA-256 of the samples of its {len(recordings)} recordings is {found}, expected {expected}: "
            "the copy is incomplete or of another version; fetch it again, or give --checksum to accept it"
        )


def _load(utterance: Utterance, is_test: bool) -> Recording:
    words = utterance.words or ()
    if len(words) != 1 or words[0] not in DIGIT_WORDS:
        raise DataError(f"utterance '{utterance.id}': its transcript is '{' '.join(words)}', expected one digit word")
    info = soundfile.info(utterance.audio)
    if info.samplerate != SAMPLE_RATE:
        raise DataError(f"utterance '{utterance.id}': {utterance.audio}: {info.samplerate} Hz, expected {SAMPLE_RATE}")
    return Recording(
        name=Path(utterance.audio).stem,
        speaker=utterance.speaker,
        word=words[0],
        is_official_test=is_test,
        samples=read_audio(utterance, sample_rate=SAMPLE_RATE),
    )


def _from_file_name(path: Path) -> tuple[Utterance, bool]:
    match = _FILE_NAME.fullmatch(path.name)
    if not match:
        raise DataError(f"{path}: not named <digit>_<speaker>_<index>.wav")
    word = DIGIT_WORDS[int(match["digit"])]
    utterance = Utterance(id=path.stem, speaker=match["speaker"], audio=str(path), words=(word,))
    return utterance, int(match["index"]) < _NUM_OFFICIAL_TEST
