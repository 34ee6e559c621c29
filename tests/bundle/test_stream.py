"""What a stream finally says is what a file of the same samples says, and memory does not grow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tone_pipeline import RATE, Pipeline

from asr_kd.bundle.recognizer import Recognizer
from asr_kd.bundle.stream import Heard, Stream, StreamOptions
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.errors import DecodeError, UsageError

NEVER = StreamOptions(pause_s=100.0, max_utterance_s=300.0)


@pytest.fixture(scope="module")
def recognizer(pipeline: Pipeline) -> Recognizer:
    return Recognizer(pipeline.exp / "bundle")


@pytest.fixture(scope="module")
def files(pipeline: Pipeline) -> list[Path]:
    return [Path(utterance.audio) for utterance in load_data_dir(pipeline.tones / "data/test")]


def pause(seconds: float, seed: int = 0) -> np.ndarray:
    """The noise that the corpus of tones has in its pauses."""
    rng = np.random.default_rng(seed)
    return (0.01 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def heard(recognizer: Recognizer, pieces: list[np.ndarray], options: StreamOptions | None = None) -> list[Heard]:
    stream = Stream(recognizer, options)
    return [*(one for piece in pieces for one in stream.accept(piece)), *stream.finish()]


def ended(results: list[Heard]) -> list[Heard]:
    return [one for one in results if one.ended]


def test_without_a_pause_a_stream_is_recognised_as_its_file(recognizer: Recognizer, files: list[Path]) -> None:
    for file in files:
        (only,) = ended(heard(recognizer, [recognizer.read(file)], NEVER))
        assert only.words == recognizer.recognize(file).words
        assert only.start_s == 0


def test_each_utterance_is_recognised_as_a_file_with_its_samples(
    recognizer: Recognizer, files: list[Path], tmp_path: Path
) -> None:
    samples = np.concatenate([part for file in files[:6] for part in (recognizer.read(file), pause(1.5))])
    found = ended(heard(recognizer, [samples]))
    assert len(found) >= 6
    shift, window = recognizer.front_end.log_mel.shift, recognizer.front_end.log_mel.window
    for one in found:
        first, last = (round(seconds * RATE / shift) for seconds in (one.start_s, one.end_s))
        soundfile.write(tmp_path / "own.wav", samples[first * shift : (last - 1) * shift + window], RATE, "FLOAT")
        assert recognizer.recognize(tmp_path / "own.wav").words == one.words


@pytest.mark.parametrize("options", [NEVER, StreamOptions()])
def test_a_recording_that_the_first_pass_takes_for_silence_is_recognised_as_its_file(
    recognizer: Recognizer, files: list[Path], tmp_path: Path, options: StreamOptions
) -> None:
    for file in files[:6]:
        samples = 1e-3 * recognizer.read(file)
        soundfile.write(tmp_path / "quiet.wav", samples, RATE, "FLOAT")
        found = recognizer.recognize(tmp_path / "quiet.wav").words
        assert found and [one.words for one in ended(heard(recognizer, [samples], options))] == [found]


def test_a_pause_ends_an_utterance_and_the_next_begins(recognizer: Recognizer, files: list[Path]) -> None:
    one, two = (recognizer.read(file) for file in files[:2])
    found = ended(heard(recognizer, [one, pause(1.5), two, pause(1.5)]))
    assert [each.words for each in found] == [recognizer.recognize(file).words for file in files[:2]]
    first, second = found
    assert 0 == first.start_s < first.end_s < len(one) / RATE + 0.5
    assert first.end_s <= second.start_s < len(one) / RATE + 1.5, (first, second, len(one) / RATE)
    assert second.end_s < (len(one) + len(two)) / RATE + 1.5 + 0.5


@given(cuts=st.lists(st.integers(0, 40_000), max_size=12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_change_nothing(recognizer: Recognizer, files: list[Path], cuts: list[int]) -> None:
    samples = np.concatenate([recognizer.read(files[0]), pause(1.2), recognizer.read(files[1])])
    pieces = np.split(samples, sorted(cut for cut in cuts if cut <= len(samples)))
    assert heard(recognizer, pieces) == heard(recognizer, [samples])


def test_partial_results_come_before_the_end_and_grow_to_it(recognizer: Recognizer, files: list[Path]) -> None:
    results = heard(recognizer, [recognizer.read(files[0])], NEVER)
    assert not any(one.ended for one in results[:-1])
    assert len(results) > 2
    assert results[0].end_s < results[-1].end_s / 2
    assert [one.end_s for one in results] == sorted(one.end_s for one in results)


@pytest.mark.parametrize("chunk_ms", [10.0, 100.0, 250.0])
def test_every_frame_is_searched_within_the_stated_latency(recognizer: Recognizer, chunk_ms: float) -> None:
    stream = Stream(recognizer, replace(NEVER, chunk_ms=chunk_ms))
    samples = pause(2.0)
    for given_ms in range(10, 2000, 10):
        list(stream.accept(samples[(given_ms - 10) * RATE // 1000 : given_ms * RATE // 1000]))
        searched_ms = stream._search.num_frames * recognizer.front_end.frame_shift_ms
        assert given_ms - searched_ms < stream.latency_ms


def test_memory_does_not_grow_in_silence_nor_in_endless_speech(recognizer: Recognizer, files: list[Path]) -> None:
    options = StreamOptions(max_utterance_s=4.0, pause_s=0.5)
    endless = np.concatenate([recognizer.read(file)[800:-1600] for file in files[:8]])
    for samples in (np.concatenate([recognizer.read(files[0]), pause(20.0)]), endless):
        stream = Stream(recognizer, options)
        kept = []
        for piece in np.split(samples, range(800, len(samples), 800)):
            list(stream.accept(piece))
            kept.append(max(len(stream._front_end.log_mel), stream._search.num_frames))
        assert max(kept) <= 100 * options.max_utterance_s + 20
    assert max(kept) > 100


def test_silence_after_speech_says_nothing_and_does_not_count(recognizer: Recognizer, files: list[Path]) -> None:
    stream = Stream(recognizer)
    found = [*stream.accept(recognizer.read(files[0])), *stream.accept(pause(2.0))]
    assert len(ended(found)) == 1
    counted = stream._front_end.heard.count
    assert 0 < counted < (len(recognizer.read(files[0])) / RATE + 1.0) * 100
    later = [*stream.accept(pause(20.0, 1)), *stream.finish()]
    assert not ended(later)
    assert stream._front_end.heard.count == counted


def test_the_longer_an_utterance_the_shorter_the_pause_that_ends_it() -> None:
    options = StreamOptions(pause_s=0.8, max_utterance_s=30.0)
    pauses = [options.pause_that_ends(seconds) for seconds in range(0, 40)]
    assert pauses[:16] == [0.8] * 16
    assert pauses == sorted(pauses, reverse=True)
    assert options.pause_that_ends(30.0) == 0


def test_an_empty_stream_says_nothing(recognizer: Recognizer) -> None:
    assert heard(recognizer, []) == []
    assert heard(recognizer, [np.zeros(50, np.float32)]) == []


def test_scores_of_other_states_are_refused(recognizer: Recognizer) -> None:
    stream = Stream(recognizer)
    with pytest.raises(DecodeError, match="made for other states"):
        stream._search.advance(np.zeros((3, recognizer.graph.num_pdfs - 1), np.float32))


@pytest.mark.parametrize("wrong", [{"chunk_ms": 0.0}, {"pause_s": 0.0}, {"max_utterance_s": 0.5}])
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--chunk-ms"):
        StreamOptions(**wrong)
