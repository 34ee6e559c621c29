"""Synthetic speech: espeak-ng through ctypes, from the library and data in the `espeakng-loader` wheel."""

import ctypes
import os
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import soxr
from numpy.typing import NDArray

from asr_kd.errors import SynthesisError, missing_package

try:
    import espeakng_loader
except ImportError:  # the optional extra `synthesis`: only a recipe that synthesises needs it
    espeakng_loader = None

SAMPLE_RATE = 22050

# 'en' is the British accent; its alias 'en-gb' is refused as soon as a variant is added to it.
ACCENTS = ("en", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us", "en-us-nyc")

# Variants that no person sounds like (robots, whispers), or that clip inside espeak-ng even at VOLUME.
_NOT_SPEECH_LIKE = ("robo", "Robo", "Demonic", "Tweaky", "whisper")
_CLIPPING = ("antonio", "iven")

# Percent. At the default of 100 a third of the variants clip; levels are set afterwards anyway.
VOLUME = 30

_NOISE_SEED = 1

# Constants of espeak-ng's public header, speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_BY_CHARACTER = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How one speaker sounds: espeak-ng's accent and variant, words a minute, pitch and its range (0 to 99)."""

    accent: str
    variant: str
    words_per_minute: int = 170
    pitch: int = 50
    pitch_range: int = 50


def variants() -> list[str]:
    """The names of the usable voice variants in the wheel's data, sorted.

    Raises:
        SynthesisError: the wheel is not installed.
    """
    folder = _data_path() / "voices" / "!v"
    names = sorted(path.name for path in folder.iterdir())
    return [n for n in names if n not in _CLIPPING and not any(part in n for part in _NOT_SPEECH_LIKE)]


def synthesise(voice: Voice, texts: Sequence[str], *, sample_rate: int) -> list[NDArray[np.float32]]:
    """Speak texts, one after the other, with one voice.

    espeak-ng's flutter and echo carry state from call to call that nothing resets, not even its own
    initialisation. So a forked child speaks: the samples depend on the arguments alone, not on what the
    process has said before.

    Returns:
        For each text its samples, mono at ``sample_rate`` Hz, full scale 1.

    Raises:
        SynthesisError: the wheel is not installed, or espeak-ng fails.
    """
    data = _data_path()
    library = str(Path(espeakng_loader.get_library_path()).resolve())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _speak_and_exit(library, data, voice, texts, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        spoken = list(_read_blocks(pipe))
    _, status = os.waitpid(child, 0)
    if status != 0 or len(spoken) != len(texts):
        raise SynthesisError(f"espeak-ng failed to speak {len(texts)} texts with {voice} (exit status {status})")
    return [soxr.resample(samples / np.float32(32768), SAMPLE_RATE, sample_rate) for samples in spoken]


def _data_path() -> Path:
    if espeakng_loader is None:
        raise SynthesisError(f"synthetic speech: {missing_package('espeakng_loader')}")
    return Path(espeakng_loader.get_data_path()).resolve()


def _read_blocks(pipe: BinaryIO) -> list[NDArray[np.int16]]:
    blocks = []
    while len(header := pipe.read(4)) == 4:
        (size,) = struct.unpack("<I", header)
        blocks.append(np.frombuffer(pipe.read(size), dtype="<i2"))
    return blocks


def _speak_and_exit(library: str, data: Path, voice: Voice, texts: Sequence[str], writer: int) -> NoReturn:
    """The forked child's whole life; it leaves by `os._exit`, so that nothing of the parent runs twice."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent reports an interrupt, once
        # espeak-ng keeps the path of its data in a buffer of 160 characters: a relative one always fits.
        os.chdir(data.parent)
        espeak = ctypes.CDLL(library)
        spoken: list[bytes] = []

        @_CALLBACK
        def collect(samples: int | None, count: int, events: int | None) -> int:
            if samples and count > 0:
                spoken.append(ctypes.string_at(samples, 2 * count))
            return 0

        _start(espeak, voice, collect)
        with os.fdopen(writer, "wb") as pipe:
            for text in texts:
                spoken.clear()
                encoded = text.encode()
                if espeak.espeak_Synth(encoded, len(encoded) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None) != 0:
                    raise SynthesisError(text)
                block = b"".join(spoken)
                pipe.write(struct.pack("<I", len(block)) + block)
        status = 0
    finally:
        os._exit(status)


def _start(espeak: ctypes.CDLL, voice: Voice, callback: object) -> None:
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    if espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 200, b".", _DO_NOT_EXIT) != SAMPLE_RATE:
        raise SynthesisError("espeak-ng does not find its data")
    # Breathy variants need noise. Its own generator is seeded with the time of day at initialisation; that of its Klatt
    # synthesiser is the C library's, whose state a fork inherits from whatever drew numbers in the parent.
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))
    ctypes.CDLL(None).srand(_NOISE_SEED)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(f"{voice.accent}+{voice.variant}".encode()) != 0:
        raise SynthesisError(f"espeak-ng has no voice {voice.accent}+{voice.variant}")
    for parameter, value in (
        (_RATE, voice.words_per_minute),
        (_VOLUME, VOLUME),
        (_PITCH, voice.pitch),
        (_RANGE, voice.pitch_range),
    ):
        espeak.espeak_SetParameter(parameter, value, 0)
