"""Synthetic speech: reproducible, unclipped, many voices."""

import ctypes
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from asr_kd.corpus import espeak
from asr_kd.corpus.espeak import Voice, synthesise
from asr_kd.corpus.voices import draw_voice, share_out
from asr_kd.errors import SynthesisError

pytest.importorskip("espeakng_loader", reason="the optional extra 'synthesis' is not installed")

# An echo, whose state espeak-ng carries from one call to the next, and breath, whose noise it seeds with the time.
BREATHY = Voice(accent="en-us", variant="f3")


def test_speech_depends_on_nothing_said_before() -> None:
    (first,) = synthesise(BREATHY, ["one two three"], sample_rate=16000)
    synthesise(Voice(accent="en-029", variant="croak"), ["nine", "zero, eight"], sample_rate=16000)
    (again,) = synthesise(BREATHY, ["one two three"], sample_rate=16000)
    np.testing.assert_array_equal(first, again)


def test_breath_does_not_depend_on_the_time_of_day() -> None:
    breathy = [Voice(accent="en", variant=variant) for variant in ("f2", "f3", "f5", "Alicia", "sandro", "victor")]
    first = [synthesise(voice, ["six"], sample_rate=22050)[0] for voice in breathy]
    started = int(time.time())
    while int(time.time()) == started:  # espeak-ng's own seed changes with the second
        time.sleep(0.01)
    for voice, before in zip(breathy, first, strict=True):
        np.testing.assert_array_equal(synthesise(voice, ["six"], sample_rate=22050)[0], before)


def test_breath_does_not_depend_on_random_numbers_that_the_process_has_drawn() -> None:
    libc = ctypes.CDLL(None)
    voice = Voice(accent="en", variant="caleb")  # of the Klatt synthesiser, whose noise is the C library's
    spoken = []
    for seed in (2, 3):
        libc.srand(seed)
        spoken += synthesise(voice, ["six"], sample_rate=22050)
    np.testing.assert_array_equal(*spoken)


def test_a_faster_rate_speaks_shorter_and_a_higher_sample_rate_gives_more_samples() -> None:
    slow, fast = (
        synthesise(Voice(accent="en", variant="m1", words_per_minute=rate), ["one two three"], sample_rate=16000)[0]
        for rate in (115, 205)
    )
    assert len(fast) < 0.7 * len(slow)
    (narrow,) = synthesise(Voice(accent="en", variant="m1", words_per_minute=115), ["one two three"], sample_rate=8000)
    assert len(narrow) == pytest.approx(len(slow) / 2, abs=2)


def test_every_accent_speaks_its_own_way() -> None:
    spoken = [synthesise(Voice(accent=a, variant="m1"), ["four zero two"], sample_rate=8000)[0] for a in espeak.ACCENTS]
    assert len({samples.tobytes() for samples in spoken}) == len(espeak.ACCENTS) == 8


@pytest.mark.parametrize("variant", ["Jacky", "ed", "paul", "Mr serious"])
def test_the_loudest_variants_do_not_clip(variant: str) -> None:
    voice = Voice(accent="en-us", variant=variant, pitch=85, pitch_range=90)
    (samples,) = synthesise(voice, ["one two three four five six seven eight nine zero"], sample_rate=22050)
    assert 0.1 < np.max(np.abs(samples)) < 0.99


@pytest.mark.parametrize(("accent", "variant"), [("en-gb", "m3"), ("xx", "m3")])
def test_an_unknown_voice_is_an_error(accent: str, variant: str) -> None:
    with pytest.raises(SynthesisError, match="failed to speak"):
        synthesise(Voice(accent=accent, variant=variant), ["one"], sample_rate=8000)


def test_a_missing_wheel_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "espeakng_loader", None)
    with pytest.raises(SynthesisError, match="-m pip install espeakng_loader"):
        synthesise(BREATHY, ["one"], sample_rate=8000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_speaking_leaves_neither_an_open_file_nor_a_child_behind() -> None:
    def children() -> set[str]:
        return {child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()}

    before, processes = len(list(Path("/proc/self/fd").iterdir())), children()
    synthesise(BREATHY, ["one"], sample_rate=8000)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert children() <= processes


def test_splits_share_no_accent_and_variant() -> None:
    shares = share_out(1, {"train": 0.25, "dev": 0.25, "test": 0.5})
    pairs = [pair for share in shares.values() for pair in share]
    assert len(pairs) == len(set(pairs)) == len(espeak.ACCENTS) * len(espeak.variants())
    assert len(shares["test"]) == pytest.approx(2 * len(shares["dev"]), abs=2)


def test_speakers_with_the_same_pair_differ_otherwise() -> None:
    rng = np.random.default_rng(0)
    voices = [draw_voice([("en", "m1")], place, rng) for place in range(20)]
    assert {(v.accent, v.variant) for v in voices} == {("en", "m1")}
    assert len(set(voices)) == 20
