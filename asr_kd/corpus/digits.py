"""The synthetic digit corpus: who speaks in which split, and what every utterance is."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_kd.corpus import espeak
from asr_kd.corpus.conditions import ConditionOptions, expose, record
from asr_kd.corpus.data_dir import Utterance
from asr_kd.corpus.espeak import Voice
from asr_kd.corpus.noise import Samples
from asr_kd.corpus.seeding import generator
from asr_kd.corpus.strings import CHATTER, punctuated, random_digits
from asr_kd.corpus.voices import draw_voice, share_out
from asr_kd.corpus.wav import write_wav
from asr_kd.options import group, option

LABELLED = ("train", "dev", "test")

# Of the accent-variant pairs. A split with more speakers than pairs reuses them with another pitch, range and rate.
_SHARES_OF_VOICES = {"train": 0.25, "dev": 0.1, "test": 0.3, "extra": 0.35}

# Mean length of an utterance in seconds, fitted to what espeak-ng speaks with the voices of `draw_voice`.
_SECONDS_BASE = 0.58
_SECONDS_A_DIGIT = 0.34

_SPEAKER_LEVEL_DB = (-32.0, -22.0)
_LEVEL_SPREAD_DB = 2.0
_TALKERS_A_SPLIT = 16
_TALKER_WORDS = 30


@dataclass(frozen=True, kw_only=True)
class DigitsOptions:
    """The size and the difficulty of the synthetic digit corpus."""

    train_hours: float = option("about so many hours of training speech with transcripts", default=0.75)
    extra_hours: float = option("about so many hours of speech without transcripts; 0 makes none", default=3.0)
    dev_utterances: int = option("utterances to tune on", default=600)
    test_utterances: int = option("utterances to report on", default=3600)
    utterances_per_speaker: int = option("utterances of each voice", default=10)
    min_digits: int = option("fewest digits in an utterance", default=3)
    max_digits: int = option("most digits in an utterance", default=7)
    pause_probability: float = option("chance of a pause between two digits", default=0.1)
    conditions: ConditionOptions = group(ConditionOptions)
    sample_rate: int = option("samples a second", default=16000)
    seed: int = option("everything random follows from it", default=1)

    def __post_init__(self) -> None:
        for name in ("train_hours", "dev_utterances", "test_utterances", "utterances_per_speaker", "min_digits"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be above 0, not {getattr(self, name)}")
        if self.extra_hours < 0:
            raise ValueError(f"--extra-hours must not be negative, it is {self.extra_hours}")
        if self.max_digits < self.min_digits:
            raise ValueError(f"--max-digits {self.max_digits} lies below --min-digits {self.min_digits}")
        if not 0 <= self.pause_probability <= 1:
            raise ValueError(f"--pause-probability must lie between 0 and 1, not {self.pause_probability}")
        if not 8000 <= self.sample_rate <= espeak.SAMPLE_RATE:
            raise ValueError(f"--sample-rate must lie between 8000 and {espeak.SAMPLE_RATE}, not {self.sample_rate}")


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One synthetic speaker of one split, and the numbers of the utterances within the split."""

    id: str
    split: str
    voice: Voice
    utterances: range


def plan_speakers(options: DigitsOptions) -> dict[str, list[Speaker]]:
    """The speakers of each split that is not empty; no accent-variant pair, let alone a voice, is in two splits."""
    per_speaker = options.utterances_per_speaker
    utterances = _num_utterances(options)
    pairs = share_out(options.seed, _SHARES_OF_VOICES)
    plan: dict[str, list[Speaker]] = {}
    for split, count in utterances.items():
        rng = generator(options.seed, split, "speakers")
        plan[split] = [
            Speaker(
                id=f"{split}-{place:04d}",
                split=split,
                voice=draw_voice(pairs[split], place, rng),
                utterances=range(place * per_speaker, min((place + 1) * per_speaker, count)),
            )
            for place in range(math.ceil(count / per_speaker))
        ]
    return plan


def make_talkers(split: str, options: DigitsOptions) -> NDArray[np.float32]:
    """Continuous speech that is not digits, of a split's own accents and variants, for babble: [talkers, samples]."""
    pairs = share_out(options.seed, _SHARES_OF_VOICES)[split]
    talkers: list[Samples] = []
    for place in range(_TALKERS_A_SPLIT):
        rng = generator(options.seed, split, "talker", place)
        voice = draw_voice(pairs, int(rng.integers(len(pairs))), rng)
        text = " ".join(rng.choice(CHATTER.split(), _TALKER_WORDS))
        talkers += espeak.synthesise(voice, [text], sample_rate=options.sample_rate)
    shortest = min(map(len, talkers))
    return np.stack([talker[:shortest] for talker in talkers])


def make_utterances(speaker: Speaker, options: DigitsOptions, talkers: Path, folder: Path) -> list[Utterance]:
    """Speak and write all utterances of one speaker.

    Args:
        talkers: a ``.npy`` file of what `make_talkers` made for the speaker's split.
        folder: the corpus; the audio goes to ``audio/<split>/<speaker>`` below it.

    Returns:
        The utterances, their audio relative to a data directory in ``folder``; only labelled splits have words.
    """
    talkers_TN = np.load(talkers, mmap_mode="r")
    rngs = [generator(options.seed, speaker.split, "utterance", index) for index in speaker.utterances]
    strings = [random_digits(rng, options.min_digits, options.max_digits) for rng in rngs]
    texts = [punctuated(words, options.pause_probability, rng) for words, rng in zip(strings, rngs, strict=True)]
    level_db = generator(options.seed, speaker.id, "level").uniform(*_SPEAKER_LEVEL_DB)
    made = []
    spoken = espeak.synthesise(speaker.voice, texts, sample_rate=options.sample_rate)
    for index, words, rng, speech in zip(speaker.utterances, strings, rngs, spoken, strict=True):
        name = f"{speaker.id}-{index:05d}"
        audio = f"audio/{speaker.split}/{speaker.id}/{name}.wav"
        write_wav(folder / audio, _recorded(speech, options, talkers_TN, level_db, rng), options.sample_rate)
        known = words if speaker.split in LABELLED else None
        made.append(Utterance(id=name, speaker=speaker.id, audio=f"../{audio}", words=known))
    return made


def _num_utterances(options: DigitsOptions) -> dict[str, int]:
    seconds = _SECONDS_BASE + _SECONDS_A_DIGIT * (options.min_digits + options.max_digits) / 2
    counts = {
        "train": max(1, round(options.train_hours * 3600 / seconds)),
        "dev": options.dev_utterances,
        "test": options.test_utterances,
        "extra": round(options.extra_hours * 3600 / seconds),
    }
    return {split: count for split, count in counts.items() if count}


def _recorded(
    speech: Samples, options: DigitsOptions, talkers_TN: NDArray[np.float32], level_db: float, rng: np.random.Generator
) -> Samples:
    """Speech at about the speaker's level, in a room, with noise."""
    level_db += rng.uniform(-_LEVEL_SPREAD_DB, _LEVEL_SPREAD_DB)
    recorded = record(speech, level_db, options.sample_rate, rng)
    return expose(recorded, options.sample_rate, options.conditions, talkers_TN, rng)
