"""Recognise audio with a bundle: files, directories, standard input, or a live stream.

Prints '<utterance-id> <words>' for each recording. The id is the file's name without the ending; of a file in a
directory, its path from there, with '-' for '/' and '_' for spaces. As a file '-' is what standard input holds.

--stream hears raw 16-bit little-endian mono samples at the bundle's rate on standard input, for example

    arecord -q -t raw -f S16_LE -r 16000 -c 1 | asr-kd recognize BUNDLE --stream

and prints each utterance when the speaker pauses; its id has its start and end in hundredths of a second. What is
recognised so far goes to standard error. --online cuts files into utterances at pauses just as --stream does.
"""

import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from asr_kd.bundle.recognizer import Recognizer
from asr_kd.bundle.stream import Heard, Stream, StreamOptions
from asr_kd.corpus.audio import parse_channel
from asr_kd.errors import DataError, UsageError
from asr_kd.options import group, option

log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
READ_BYTES, FULL_SCALE = 1 << 16, 32768.0
LINE_CHARACTERS = 79
AUDIO_ENDINGS = frozenset({*(f".{name.lower()}" for name in soundfile.available_formats()), ".oga", ".opus", ".sph"})


@dataclass(frozen=True, kw_only=True)
class Options:
    bundle: Path = option("bundle, from asr-kd make-bundle or asr-kd export-onnx", positional=True)
    inputs: tuple[Path, ...] = option(
        "audio files of any rate and container that libsndfile reads, directories of such, or -",
        default=(),
        positional=True,
    )
    stream: bool = option("hear raw samples on standard input", default=False)
    online: bool = option("hear files as a stream, cut at pauses: for long recordings", default=False)
    streaming: StreamOptions = group(StreamOptions)
    channel: str = option("which channel of a recording of several: refuse, mix, or its number", default="refuse")
    nj: int = option("processes that search", default=1)

    def __post_init__(self) -> None:
        if self.stream == bool(self.inputs):
            raise UsageError("asr-kd recognize: give either audio files, directories or -, or --stream")


def run(options: Options) -> None:
    channel = parse_channel(options.channel)
    recognizer = Recognizer(options.bundle)
    if options.stream:
        _hear(Stream(recognizer, options.streaming), sys.stdin.buffer, recognizer.front_end.log_mel.sample_rate)
        return
    failed: list[str] = []

    def readable(read: Callable[[Path], np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        for name, path in recordings:
            try:
                yield name, read(path)
            except DataError as error:
                log.warning("%s", error)
                failed.append(str(error))

    with tempfile.TemporaryDirectory(prefix="asr_kd") as folder:
        recordings = _recordings(options.inputs, Path(folder))
        if options.online:
            for name, samples in readable(lambda path: recognizer.read(path, channel=channel)):
                stream = Stream(recognizer, options.streaming)
                _print_ended(name, (*stream.accept(samples), *stream.finish()))
        else:
            log_mels = readable(lambda path: recognizer.log_mel(path, channel=channel))
            scores = ((name, recognizer.log_likelihoods(log_mel)) for name, log_mel in log_mels)
            for found in recognizer.search(scores, nj=options.nj):
                print(found.utt, *found.words, flush=True)
    if failed:
        raise DataError(f"{len(failed)} of {len(recordings)} recordings could not be recognised; {failed[0]}")


def _recordings(inputs: Iterable[Path], folder: Path) -> list[tuple[str, Path]]:
    """Ids and files; what comes on standard input is kept in the folder."""
    found: list[tuple[str, Path]] = []
    for given in inputs:
        if str(given) == STANDARD_INPUT:
            kept = folder / "stdin"
            kept.write_bytes(sys.stdin.buffer.read())
            found.append((kept.stem, kept))
        elif given.is_dir():
            files = sorted(path for path in given.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
            if not files:
                raise DataError(f"{given}: no audio files in this directory (known by endings such as .wav, .flac)")
            names = ("-".join(path.relative_to(given).with_suffix("").parts) for path in files)
            found += [("_".join(name.split()), path) for name, path in zip(names, files, strict=True)]
        else:
            found.append((given.stem, given))
    first: dict[str, Path] = {}
    for name, path in found:
        if name in first:
            raise UsageError(f"{first[name]} and {path} would both be called '{name}'; recognise them one by one")
        first[name] = path
    return found


def _hear(stream: Stream, source: BinaryIO, sample_rate: int) -> None:
    """Recognise raw samples until they end, or until Ctrl-C."""
    log.info("%d Hz; what is heard is shown after %.0f ms and what computation takes", sample_rate, stream.latency_ms)
    left_over = b""
    try:
        while data := source.read1(READ_BYTES):  # type: ignore[attr-defined]
            data = left_over + data
            whole = len(data) // 2 * 2
            left_over = data[whole:]
            samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / FULL_SCALE
            _show(stream.accept(samples))
    except KeyboardInterrupt:
        log.info("interrupted")
    _show(stream.finish())


def _show(results: Iterable[Heard]) -> None:
    """Partial results on one line of a terminal, or a line each; utterances on standard output."""
    terminal = sys.stderr.isatty()
    for heard in results:
        if terminal:
            print(
                f"\r\033[K{' '.join(heard.words)[-LINE_CHARACTERS:] if not heard.ended else ''}",
                end="",
                file=sys.stderr,
            )
        elif not heard.ended:
            print("...", *heard.words, file=sys.stderr)
        sys.stderr.flush()
        _print_ended("stream", [heard])


def _print_ended(name: str, results: Iterable[Heard]) -> None:
    for heard in results:
        if heard.ended:
            start, end = round(100 * heard.start_s), round(100 * heard.end_s)
            print(f"{name}-{start:07d}-{end:07d}", *heard.words, flush=True)
