"""Audio: every format gives the same samples, and what is damaged is an error and never silently short."""

import io
import os
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.corpus.audio import duration, parse_channel, read_audio, read_audio_file
from asr_kd.corpus.data_dir import Utterance, load_data_dir
from asr_kd.errors import DataError, UsageError

RATE = 16000
# Suffix -> (container, coding) of every kind that the tests write.
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "wavex": ("WAVEX", "PCM_24"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
LOSSY = {"ogg", "opus", "mp3"}


def tone(seconds: float = 2.0, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    container, coding = FORMATS[path.name.split(".", 1)[1]]
    soundfile.write(path, samples, rate, format=container, subtype=coding)
    return path


def utterance(audio: object, start: float = 0.0, end: float | None = None) -> Utterance:
    return Utterance(id="ann-1", speaker="ann", audio=str(audio), start=start, end=end)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_float32_mono_of_the_same_sound(tmp_path: Path, suffix: str) -> None:
    samples = read_audio_file(write(tmp_path / f"a.{suffix}", tone()), sample_rate=RATE)
    assert samples.dtype == np.float32
    assert samples.shape == (2 * RATE,)
    middle = slice(RATE // 2, -RATE // 2)
    assert np.abs(samples - tone())[middle].max() < (0.02 if suffix in LOSSY else 1 / 32768)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.01])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str, kept: float) -> None:
    path = write(tmp_path / f"a.{suffix}", tone(20))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=r"utterance 'ann-1': .*truncated"):
        read_audio(utterance(path), sample_rate=RATE)


@settings(max_examples=40, deadline=None)
@given(missing=st.integers(1, 30_000))
def test_a_wav_or_flac_short_of_any_number_of_bytes_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, missing: int
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    for suffix in ("wav", "flac"):
        path = write(tmp_path_factory.mktemp("short") / f"a.{suffix}", noise)
        path.write_bytes(path.read_bytes()[:-missing])
        with pytest.raises(DataError, match="truncated"):
            read_audio_file(path, sample_rate=RATE)


def test_the_wavs_of_programs_that_write_to_pipes_are_not_taken_for_truncated(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", tone()).read_bytes())
    for length in (0xFFFFFFFF, 0x7FFFF000):
        data[40:44] = struct.pack("<I", length)
        (tmp_path / "piped.wav").write_bytes(data)
        assert len(read_audio_file(tmp_path / "piped.wav", sample_rate=RATE)) == 2 * RATE


def test_a_flac_that_does_not_say_its_length_is_an_error_that_says_so(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.flac", tone()).read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(DataError, match="does not say how long"):
        read_audio_file(tmp_path / "a.flac", sample_rate=RATE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such audio file"),
        (b"", "empty audio, 0 bytes"),
        (b"this is a text\n" * 50, "not audio"),
    ],
)
def test_what_is_no_audio_is_an_error_with_utterance_and_path(tmp_path: Path, content: bytes | None, said: str) -> None:
    for name in ("a.wav", "a.flac", "a.raw"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as error:
            read_audio(utterance(path), sample_rate=RATE)
        assert "'ann-1'" in str(error.value)
        assert str(path) in str(error.value)
        assert said in str(error.value)


def test_a_wav_without_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty audio, no samples"):
        read_audio_file(write(tmp_path / "a.wav", tone(0)), sample_rate=RATE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_an_error(tmp_path: Path, bad: float) -> None:
    samples = tone()
    samples[100] = bad
    with pytest.raises(DataError, match="not finite"):
        read_audio_file(write(tmp_path / "a.float.wav", samples), sample_rate=RATE)


def test_stereo_is_refused_unless_the_channel_is_said(tmp_path: Path) -> None:
    left, right = tone(), tone(hz=880)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1))
    with pytest.raises(DataError, match=r"2 channels; --channel 0 .* --channel mix"):
        read_audio_file(path, sample_rate=RATE)
    np.testing.assert_allclose(read_audio_file(path, sample_rate=RATE, channel=0), left, atol=1e-4)
    np.testing.assert_allclose(read_audio_file(path, sample_rate=RATE, channel=1), right, atol=1e-4)
    np.testing.assert_allclose(read_audio_file(path, sample_rate=RATE, channel="mix"), (left + right) / 2, atol=1e-4)
    with pytest.raises(DataError, match="no channel 2"):
        read_audio_file(path, sample_rate=RATE, channel=2)


def test_mono_is_its_own_mix_and_first_channel(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone())
    plain = read_audio_file(path, sample_rate=RATE)
    np.testing.assert_array_equal(read_audio_file(path, sample_rate=RATE, channel="mix"), plain)
    np.testing.assert_array_equal(read_audio_file(path, sample_rate=RATE, channel=0), plain)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_a_tone_its_length_and_its_level(tmp_path: Path, rate: int) -> None:
    samples = read_audio_file(write(tmp_path / "a.wav", tone(rate=rate), rate), sample_rate=RATE)
    assert abs(len(samples) - 2 * RATE) <= 2
    middle = slice(RATE // 2, -RATE // 2)
    assert np.abs(samples[: 2 * RATE - 2] - tone()[: 2 * RATE - 2])[middle].max() < 1e-3


def test_audio_that_must_be_resampled_upwards_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, rate in (("low", 6000), ("low, too", 6000), ("high", 22050)):
        read_audio_file(write(tmp_path / f"{name}.wav", tone(rate=rate), rate), sample_rate=RATE)
    assert [record.getMessage() for record in caplog.records] == [
        "audio of 6000 Hz is resampled to 16000 Hz: there is nothing above 3000 Hz in it, unlike in other audio"
    ]


def test_the_rate_of_the_recording_is_kept_where_none_is_asked_for(tmp_path: Path) -> None:
    assert len(read_audio_file(write(tmp_path / "a.wav", tone(rate=8000), 8000), sample_rate=None)) == 2 * 8000


def test_audio_too_short_to_resample_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(1, dtype=np.float32), 44100)
    with pytest.raises(DataError, match="too short"):
        read_audio_file(path, sample_rate=8000)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 31_998), data=st.data())
def test_a_segment_is_a_slice_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, first: int, data: st.DataObject
) -> None:
    last = data.draw(st.integers(first + 1, 32_000))
    for suffix in ("wav", "flac", "ogg", "opus"):
        path = tmp_path_factory.getbasetemp() / f"whole.{suffix}"
        if not path.exists():
            write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32_000).astype(np.float32))
        cut = read_audio(utterance(path, first / RATE, last / RATE), sample_rate=RATE)
        np.testing.assert_array_equal(cut, read_audio_file(path, sample_rate=RATE)[first:last])


def test_a_segment_beyond_the_end_is_an_error_but_the_rounding_of_its_time_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1.997))
    assert len(read_audio(utterance(path, 1.0, 2.0), sample_rate=RATE)) == round(0.997 * RATE)
    assert len(read_audio(utterance(path, 1.0, None), sample_rate=RATE)) == round(0.997 * RATE)
    for start, end in ((1.0, 2.1), (2.5, 3.0), (2.5, None), (1.997, 2.0)):
        with pytest.raises(DataError, match=r"'ann-1'.* goes beyond the end of the audio \(2.00 s\)"):
            read_audio(utterance(path, start, end), sample_rate=RATE)
    with pytest.raises(DataError, match="holds no sample"):
        read_audio(utterance(path, 1.0, 1.00001), sample_rate=RATE)


def test_a_command_is_run_only_where_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "a b.wav", tone()).rename(tmp_path / "a b")
    touched = tmp_path / "touched"
    command = f"touch {shlex.quote(str(touched))}; cat {shlex.quote(str(path))} |"
    with pytest.raises(DataError, match="--allow-commands"):
        read_audio(utterance(command), sample_rate=RATE)
    assert not touched.exists()
    samples = read_audio(utterance(command, 0.5, 1.0), sample_rate=RATE, allow_commands=True)
    assert touched.exists()
    np.testing.assert_array_equal(samples, read_audio(utterance(path, 0.5, 1.0), sample_rate=RATE))


def test_a_command_that_fails_or_writes_nothing_or_half_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", tone(20))
    for command, said in (
        ("echo no such tape >&2; exit 3 |", "failed with 3: no such tape"),
        ("true |", "empty audio, 0 bytes"),
        (f"head -c {path.stat().st_size // 2} {path} |", "truncated"),
    ):
        with pytest.raises(DataError, match=said):
            read_audio(utterance(command), sample_rate=RATE, allow_commands=True)


def test_a_duration_comes_from_the_segment_or_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", tone(2))
    assert duration(utterance(path)) == 2.0
    assert duration(utterance(path, 0.5, None)) == 1.5
    assert duration(utterance("/nowhere", 0.5, 0.75)) == 0.25
    assert duration(utterance(f"cat {path} |"), allow_commands=True) == 2.0


@pytest.mark.parametrize(("word", "meant"), [("refuse", "refuse"), ("mix", "mix"), ("0", 0), ("12", 12)])
def test_a_channel_is_read_from_a_word(word: str, meant: object) -> None:
    assert parse_channel(word) == meant


@pytest.mark.parametrize("word", ["", "-1", "left", "1.0"])
def test_any_other_channel_is_a_usage_error(word: str) -> None:
    with pytest.raises(UsageError, match="--channel"):
        parse_channel(word)


def test_real_speech_reads_the_same_as_with_soundfile_alone(corpora: Path) -> None:
    for corpus, rate in (("fsdd", 8000), ("librispeech47", 16000)):
        for found in load_data_dir(corpora / corpus / "data" / "test")[:40:8]:
            expected, _ = soundfile.read(io.BytesIO(Path(found.audio).read_bytes()), dtype="float32")
            np.testing.assert_array_equal(read_audio(found, sample_rate=rate), expected)
            assert len(expected) / rate == pytest.approx(duration(found))


def test_real_speech_cut_short_is_an_error(corpora: Path, tmp_path: Path) -> None:
    for corpus in ("fsdd", "librispeech47"):
        whole = Path(load_data_dir(corpora / corpus / "data" / "test")[0].audio)
        short = tmp_path / f"short{whole.suffix}"
        short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
        with pytest.raises(DataError, match="truncated"):
            read_audio_file(short, sample_rate=RATE)


@pytest.fixture
def corpora() -> Path:
    folder = os.environ.get("ASR_KD_CORPORA")
    if not folder or not (Path(folder) / "librispeech47").is_dir() or not (Path(folder) / "fsdd").is_dir():
        pytest.skip("ASR_KD_CORPORA names no folder with fsdd and librispeech47")
    return Path(folder)
