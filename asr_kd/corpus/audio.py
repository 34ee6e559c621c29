"""Audio of any rate and container that libsndfile reads, as float32 mono at one rate; never silently short."""

import io
import logging
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import soundfile
import soxr

from asr_kd.corpus.data_dir import Utterance, load_data_dir
from asr_kd.errors import DataError, UsageError
from asr_kd.options import option

log = logging.getLogger(__name__)

Channel: TypeAlias = Literal["refuse", "mix"] | int

# Times in `segments` are usually rounded to hundredths, so an end may lie this far (in seconds) behind the audio's.
END_TOLERANCE = 0.01
# Programs that write to a pipe leave such a length in a WAV header, as they cannot go back; Kaldi takes them too.
UNKNOWN_LENGTH = 0x7FFFF000
_SHORT_CHUNK = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_NIST_COUNT = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
_OGG_TAIL = 1 << 16  # a page has at most 65,307 bytes
_OGG_END_OF_STREAM = 4


@dataclass(frozen=True, kw_only=True)
class AudioOptions:
    """What the audio of data directories may be."""

    channel: str = option("which channel of a recording of several: refuse, mix, or its number", default="refuse")
    allow_commands: bool = option("run wav.scp entries that end in '|' through the shell", default=False)

    def __post_init__(self) -> None:
        parse_channel(self.channel)

    def utterances(self, data: Path, *, need_text: bool = False) -> list[Utterance]:
        """Those of a data directory; errors as `load_data_dir`."""
        return load_data_dir(data, need_text=need_text, allow_commands=self.allow_commands)

    def read(self, utterance: Utterance, *, sample_rate: int | None) -> np.ndarray:
        """The samples ``[S]`` of an utterance; arguments and errors as `read_audio`."""
        channel = parse_channel(self.channel)
        return read_audio(utterance, sample_rate=sample_rate, channel=channel, allow_commands=self.allow_commands)


def read_audio(
    utterance: Utterance, *, sample_rate: int | None, channel: Channel = "refuse", allow_commands: bool = False
) -> np.ndarray:
    """The samples of one utterance.

    Args:
        utterance: its audio is a file or, where allowed, a command run by the shell.
        sample_rate: in Hz; other rates are resampled with soxr. None keeps the recording's own.
        channel: what to do with several channels: refuse them, mix them (their mean), or take one, counted from 0.
        allow_commands: whether to run a command.

    Returns:
        float32 of shape [num_samples], full scale 1.

    Raises:
        DataError: the audio is missing, empty, truncated, unreadable or not finite, has several channels and
            ``channel`` does not say which, or ends before the utterance begins or ends.
    """
    where = f"utterance '{utterance.id}': {utterance.audio}"
    source = _source(utterance, where, allow_commands)
    samples, rate = _read(source, where, channel, utterance.start, utterance.end)
    return _resampled(samples, rate, sample_rate, where)


def read_audio_file(path: Path, *, sample_rate: int | None, channel: Channel = "refuse") -> np.ndarray:
    """The samples of one file, float32 of shape [num_samples], full scale 1; arguments and errors as `read_audio`."""
    samples, rate = _read(path, str(path), channel, 0.0, None)
    return _resampled(samples, rate, sample_rate, str(path))


def parse_channel(word: str) -> Channel:
    """``refuse``, ``mix`` or the number of a channel, as a command line gives it.

    Raises:
        UsageError: anything else.
    """
    if word == "refuse":
        return "refuse"
    if word == "mix":
        return "mix"
    if word.isdecimal():
        return int(word)
    raise UsageError(f"--channel: '{word}' is not refuse, mix or the number of a channel, counted from 0")


def duration(utterance: Utterance, *, allow_commands: bool = False) -> float:
    """How long an utterance is, in seconds, from its segment or its audio's header.

    Raises:
        DataError: the audio is missing, unreadable or truncated.
    """
    if utterance.end is not None:
        return utterance.end - utterance.start
    where = f"utterance '{utterance.id}': {utterance.audio}"
    source = _source(utterance, where, allow_commands)
    with _opened(source, where) as file:
        return float(file.frames / file.samplerate - utterance.start)


def _source(utterance: Utterance, where: str, allow_commands: bool) -> Path | io.BytesIO:
    if utterance.features:
        raise DataError(f"{where}: features, not audio; asr-kd import-feats reads them")
    if not utterance.audio.endswith("|"):
        return Path(utterance.audio)
    if not allow_commands:
        raise DataError(f"{where}: a command is run only with --allow-commands")
    done = subprocess.run(utterance.audio[:-1], shell=True, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(f"{where}: the command failed with {done.returncode}{': ' + said[-1] if said else ''}")
    return io.BytesIO(done.stdout)


def _read(
    source: Path | io.BytesIO, where: str, channel: Channel, start: float, end: float | None
) -> tuple[np.ndarray, int]:
    with _opened(source, where) as file:
        rate, num_frames = file.samplerate, file.frames
        first = round(start * rate)
        last = num_frames if end is None else round(end * rate)
        if first >= num_frames or last > num_frames + END_TOLERANCE * rate:
            segment = f"the segment from {start:g} s to {'its end' if end is None else f'{end:g} s'}"
            raise DataError(f"{where}: {segment} goes beyond the end of the audio ({num_frames / rate:.2f} s)")
        last = min(last, num_frames)
        if last <= first:
            raise DataError(f"{where}: the segment from {start:g} s to {end:g} s holds no sample at {rate} Hz")
        try:
            if first:
                file.seek(first)
            samples_TC = file.read(last - first, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise DataError(f"{where}: truncated or damaged audio ({_reason(error)})") from error
    if len(samples_TC) < last - first:
        missing = last - first - len(samples_TC)
        raise DataError(
            f"{where}: truncated audio, the last {missing / rate:.2f} s that its header promises are missing"
        )
    samples = _one_channel(samples_TC, channel, where)
    if not np.isfinite(samples).all():
        raise DataError(f"{where}: holds samples that are not finite numbers (NaN or infinite)")
    return samples, rate


def _opened(source: Path | io.BytesIO, where: str) -> soundfile.SoundFile:
    if isinstance(source, Path) and not source.is_file():
        raise DataError(f"{where}: no such audio file")
    size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    if not size:
        raise DataError(f"{where}: empty audio, 0 bytes")
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a suffix .raw, which has no header
        raise DataError(f"{where}: truncated, or not audio that libsndfile reads ({_reason(error)})") from error
    found = _truncation(file, source)
    if not found and not file.frames:
        found = "empty audio, no samples"
    if found:
        file.close()
        raise DataError(f"{where}: {found}")
    return file


def _truncation(file: soundfile.SoundFile, source: Path | io.BytesIO) -> str | None:
    """What says that a file ends too early. libsndfile itself shortens such files without an error."""
    for declared, actual in _SHORT_CHUNK.findall(file.extra_info):
        if int(actual) < int(declared) < UNKNOWN_LENGTH:
            return f"truncated audio, its header promises {declared} bytes and {actual} are there"
    if file.frames > 1 << 40:
        return "the header does not say how long the audio is; encode it again, for example as WAV"
    if file.format == "NIST":
        count = _NIST_COUNT.search(_bytes(source, 0, 1024))
        if count and int(count[1]) > file.frames:
            return f"truncated audio, its header promises {int(count[1])} samples and {file.frames} are there"
    if file.format == "OGG" and not _has_last_page(_bytes(source, -_OGG_TAIL, _OGG_TAIL)):
        return "truncated audio, the Ogg stream has no whole last page"
    return None


def _has_last_page(tail: bytes) -> bool:
    """Whether the end of an Ogg file holds a whole page that is marked as the stream's last (RFC 3533, section 6)."""
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if len(page) < 27 or not page[5] & _OGG_END_OF_STREAM:
        return False
    num_segments = page[26]
    return len(page) >= 27 + num_segments + sum(page[27 : 27 + num_segments])


def _bytes(source: Path | io.BytesIO, offset: int, count: int) -> bytes:
    """Some bytes of a file; a negative offset counts from its end."""
    if isinstance(source, io.BytesIO):
        data = source.getvalue()
        return data[offset:][:count]
    with source.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(offset if offset >= 0 else max(0, size + offset))
        return file.read(count)


def _one_channel(samples_TC: np.ndarray, channel: Channel, where: str) -> np.ndarray:
    num_channels = samples_TC.shape[1]
    if channel == "mix":
        return samples_TC.mean(axis=1, dtype=np.float32)
    if channel == "refuse":
        if num_channels > 1:
            raise DataError(f"{where}: {num_channels} channels; --channel 0 takes the first, --channel mix their mean")
        return samples_TC[:, 0]
    if not 0 <= channel < num_channels:
        raise DataError(f"{where}: no channel {channel}, the audio has {num_channels}, counted from 0")
    return np.ascontiguousarray(samples_TC[:, channel])


def _resampled(samples: np.ndarray, rate: int, wanted: int | None, where: str) -> np.ndarray:
    if wanted is None or wanted == rate:
        return samples
    if rate < wanted:
        _warn_of_upsampling(rate, wanted)
    resampled: np.ndarray = soxr.resample(samples, rate, wanted)
    if not len(resampled):
        raise DataError(f"{where}: too short, {len(samples)} samples at {rate} Hz are none at {wanted} Hz")
    return resampled


@cache  # once is enough
def _warn_of_upsampling(rate: int, wanted: int) -> None:
    log.warning(
        "audio of %d Hz is resampled to %d Hz: there is nothing above %d Hz in it, unlike in other audio",
        *(rate, wanted, rate // 2),
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".")
