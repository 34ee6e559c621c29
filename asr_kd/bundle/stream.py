"""Recognise a stream while it is heard: partial results at once, and final ones where the speaker pauses.

Mean and variance of an utterance are known when it has ended, not before: a model that was trained with them makes
twice the word errors without. So there are two passes. The first runs with the stream, on frames normalised by
what was heard until then; it gives the partial results and finds the pauses. The second recognises each utterance
anew when it has ended, exactly as a file of its own: **what is final is word for word what `asr-kd recognize` says of a
file with the same samples.**

All computation of the first pass is done in chunks of the same length, counted from the beginning, so that pauses are
found at the same places whatever pieces the samples come in. Memory does not grow with the stream: at its longest an
utterance lasts `StreamOptions.max_utterance_s`.

Legend: S samples.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asr_kd.bundle.front_end import OnlineFrontEnd
from asr_kd.bundle.incremental_search import IncrementalSearch, Partial
from asr_kd.bundle.recognizer import Recognizer
from asr_kd.bundle.speech_gate import SpeechGate
from asr_kd.errors import UsageError
from asr_kd.options import option

# What earlier utterances count for in the first pass' mean and variance, as in Kaldi's online CMVN.
REMEMBERED_FRAMES = 600
# How much of a pause counts in mean and variance, and how much of the one that ended an utterance stays part of it.
KEPT_PAUSE_S = 0.3


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How often results come, and where utterances end."""

    chunk_ms: float = option("ms of audio that are recognised at a time", default=100.0)
    pause_s: float = option("seconds of silence that end an utterance", default=0.8)
    max_utterance_s: float = option(
        "seconds an utterance can last; from half of that on, ever shorter pauses end it", default=30.0
    )

    def __post_init__(self) -> None:
        if self.chunk_ms <= 0 or self.pause_s <= 0 or self.max_utterance_s < 1:
            raise UsageError("--chunk-ms and --pause-s must be above 0, --max-utterance-s at least 1")

    def pause_that_ends(self, seconds: float) -> float:
        """Seconds of silence that end an utterance of so many seconds; 0 ends it in the middle of a word."""
        return self.pause_s * min(max(2 * (1 - seconds / self.max_utterance_s), 0.0), 1.0)


@dataclass(frozen=True)
class Heard:
    """What was recognised of one utterance.

    Attributes:
        start_s, end_s: in the stream.
        ended: False for a partial result, which what follows may change.
    """

    words: tuple[str, ...]
    start_s: float
    end_s: float
    ended: bool


class Stream:
    """One stream, from its beginning to its end.

    Example::

        stream = Stream(Recognizer("exp/bundle"))
        while samples := microphone.read():
            for heard in stream.accept(samples):
                print(*heard.words)
        for heard in stream.finish():
            print(*heard.words)
    """

    def __init__(self, recognizer: Recognizer, options: StreamOptions | None = None) -> None:
        self._recognizer, self._options = recognizer, options or StreamOptions()
        settings = recognizer.settings
        self._front_end = OnlineFrontEnd(recognizer.front_end)
        self._gate = SpeechGate()
        self._search = IncrementalSearch(
            recognizer.graph.penalised(settings.insertion_penalty),
            recognizer.graph.num_pdfs,
            silence_pdfs=recognizer.graph.silence_pdfs,
            acoustic_scale=settings.acoustic_scale,
            beam=settings.beam,
            max_active=settings.max_active,
        )
        self._frame_s = recognizer.front_end.frame_shift_ms / 1000
        self._chunk = max(round(recognizer.front_end.log_mel.sample_rate * self._options.chunk_ms / 1000), 1)
        self._waiting = np.zeros(0, np.float32)
        self._remembered = self._counted = self._front_end.heard
        self._start = self._lead = 0
        self._said: tuple[str, ...] = ()

    @property
    def latency_ms(self) -> float:
        """From a sound to the partial result that has it, without computation: window, right context and chunk."""
        front_end = self._recognizer.front_end
        window_ms = 1000 * front_end.log_mel.window / front_end.log_mel.sample_rate
        return window_ms + front_end.right * front_end.frame_shift_ms + self._options.chunk_ms

    def accept(self, samples: np.ndarray) -> Iterator[Heard]:
        """Hear samples ``[S]`` (float32, full scale 1, at the model's rate): partial results that changed, and ends."""
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= self._chunk:
            chunk, self._waiting = self._waiting[: self._chunk], self._waiting[self._chunk :]
            yield from self._hear(chunk)

    def finish(self) -> Iterator[Heard]:
        """The stream's end: what is left of it, and the last utterance."""
        yield from self._hear(self._waiting)
        self._waiting = self._waiting[:0]
        yield from self._advance(self._front_end.finish())
        best = self._search.best(ended=False)
        yield from self._ended(best, self._pause(best), kept_pause_s=math.inf)

    def _hear(self, samples: np.ndarray) -> Iterator[Heard]:
        known = len(self._front_end.log_mel)
        windows_TW = self._front_end.accept(samples)
        self._gate.accept(self._front_end.log_mel[known:])
        yield from self._advance(windows_TW)

    def _advance(self, windows_TW: np.ndarray) -> Iterator[Heard]:
        if not len(windows_TW):
            return
        self._search.advance(self._recognizer.network.log_likelihoods(windows_TW))
        best = self._search.best(ended=False)
        num_frames = self._search.num_frames
        pause = self._pause(best)
        pause_s, seconds = pause * self._frame_s, num_frames * self._frame_s
        if pause_s >= min(KEPT_PAUSE_S, seconds):
            # Normalised by its own mean and variance, silence would soon look like speech.
            self._front_end.heard = self._counted
        self._counted = self._front_end.heard
        if pause_s >= self._options.pause_that_ends(seconds):
            yield from self._ended(best, pause)
            return
        words = self._words(best.labels)
        if words != self._said and pause < num_frames:
            self._said = words
            yield self._result(words, self._lead + num_frames, ended=False)

    def _pause(self, best: Partial) -> int:
        """Frames of silence at the end of what was searched, as the gate hears it or, after a word, the model.

        Without a word the model has said nothing yet: speech far from the corpus' level is silence to it at first.
        """
        by_model = best.trailing_silence if best.labels else 0
        not_searched = len(self._front_end.log_mel) - self._lead - self._search.num_frames
        return min(max(by_model, self._gate.quiet - not_searched), self._search.num_frames)

    def _ended(self, best: Partial, pause: int, kept_pause_s: float = KEPT_PAUSE_S) -> Iterator[Heard]:
        """Put out the utterance without most of its last pause, unless nothing was said, and begin the next."""
        num_frames = self._lead + self._search.num_frames
        left = num_frames
        if pause < self._search.num_frames:
            kept = num_frames - round(max(pause - kept_pause_s / self._frame_s, 0.0))
            words = self._final_words(kept)
            if words or best.labels:
                left = num_frames - kept
                yield self._result(words, kept, ended=True)
                self._remembered = self._counted.counting_for(min(self._counted.count, REMEMBERED_FRAMES))
        self._counted = self._front_end.heard = self._remembered
        # A word is noticed a little after it began: what was before belongs to it.
        self._lead = min(round(KEPT_PAUSE_S / self._frame_s), left)
        self._front_end.forget(num_frames - self._lead)
        self._start += num_frames - self._lead
        self._said = ()
        self._search.restart()

    def _final_words(self, num_frames: int) -> tuple[str, ...]:
        scores = self._recognizer.log_likelihoods(self._front_end.log_mel[:num_frames])
        return next(self._recognizer.search([(f"from frame {self._start} of the stream", scores)])).words

    def _words(self, labels: tuple[int, ...]) -> tuple[str, ...]:
        return self._recognizer.words(self._recognizer.graph.words[label] for label in labels)

    def _result(self, words: tuple[str, ...], num_frames: int, *, ended: bool) -> Heard:
        return Heard(words, self._start * self._frame_s, (self._start + num_frames) * self._frame_s, ended)
