"""The FSDD string corpus: which recordings are whose in train, dev and test, and what every string is."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np

from asr_kd.corpus import espeak
from asr_kd.corpus.conditions import ConditionOptions, expose, record
from asr_kd.corpus.espeak import Voice
from asr_kd.corpus.fsdd_recordings import SAMPLE_RATE, Recording
from asr_kd.corpus.joining import deal, join
from asr_kd.corpus.noise import Samples
from asr_kd.corpus.seeding import generator
from asr_kd.corpus.strings import punctuated, random_digits
from asr_kd.corpus.voices import draw_voice, share_out
from asr_kd.errors import UsageError
from asr_kd.options import group, option

OFFICIAL, HELD_OUT = "official", "held-out"

_NUM_FOLDS = 3
_LEVEL_DB = -26.0
_GAIN_DB = 8.0
_STRINGS_A_VOICE = 5
_PAUSE_PROBABILITY = 0.2


@dataclass(frozen=True, kw_only=True)
class FsddOptions:
    """Which speakers are tested on, and how many strings of which kind are made."""

    protocol: str = option("test on new recordings, or on new speakers too", choices=(OFFICIAL, HELD_OUT))
    fold: int = option("held-out: which third of the speakers to test on", default=1, choices=(1, 2, 3))
    test_speakers: tuple[str, ...] = option("held-out: test on these speakers, whatever the fold", default=())
    train_strings: int = option("training strings of unchanged recordings", default=480)
    augmented_strings: int = option("training strings with changed speed and gain, noise and echo", default=960)
    speed_factors: tuple[float, ...] = option("speeds of augmented strings; above 1 is higher", default=(0.9, 1.1))
    synthetic_strings: int = option("training strings of many espeak-ng voices", default=0)
    extra_strings: int = option("strings without transcripts; half of them espeak-ng's", default=0)
    dev_strings: int = option("strings to tune on", default=240)
    dev_recordings: int = option("official: recordings of each digit and speaker kept from train for dev", default=4)
    dev_speed_factors: tuple[float, ...] = option("held-out: speeds in dev, to sound like others", default=(0.8, 1.25))
    test_strings: int = option("strings to report on", default=240)
    min_digits: int = option("fewest digits in a string", default=3)
    max_digits: int = option("most digits in a string", default=7)
    conditions: ConditionOptions = group(ConditionOptions)
    seed: int = option("everything random follows from it", default=1)

    def __post_init__(self) -> None:
        for name in ("train_strings", "dev_strings", "test_strings", "dev_recordings", "min_digits"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be above 0, not {getattr(self, name)}")
        for name in ("augmented_strings", "synthetic_strings", "extra_strings"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name.replace('_', '-')} must not be negative, it is {getattr(self, name)}")
        if self.max_digits < self.min_digits:
            raise ValueError(f"--max-digits {self.max_digits} lies below --min-digits {self.min_digits}")
        for name in ("speed_factors", "dev_speed_factors"):
            if not all(0.5 <= factor <= 2 for factor in getattr(self, name)) or not getattr(self, name):
                raise ValueError(f"--{name.replace('_', '-')} must be factors between 0.5 and 2")
        if self.test_speakers and self.protocol == OFFICIAL:
            raise ValueError("--test-speakers goes with --protocol held-out")


@dataclass(frozen=True, kw_only=True)
class JoinedString:
    """A string of one person's recordings; ``exposed`` is one with another gain, noise and echo."""

    id: str
    speaker: str
    recordings: Sequence[Recording]
    speed: float = 1.0
    exposed: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(recording.word for recording in self.recordings)


@dataclass(frozen=True, kw_only=True)
class SyntheticString:
    """A string that espeak-ng reads."""

    id: str
    speaker: str
    words: tuple[str, ...]
    voice: Voice


String: TypeAlias = JoinedString | SyntheticString
Shares: TypeAlias = dict[str, dict[str, list[Recording]]]


def share_recordings(recordings: Sequence[Recording], options: FsddOptions) -> Shares:
    """The recordings of train, dev and test, by speaker. None is in two of them.

    Official: the official split, and dev is the same number of recordings of each digit and speaker, kept from train.
    Held-out: test is all that the held-out speakers recorded; dev is the official test part of the others.

    Raises:
        UsageError: a speaker to test on does not exist, none is left to train on, or dev takes all recordings.
    """
    speakers = sorted({r.speaker for r in recordings})
    held_out = set(_held_out(speakers, options)) if options.protocol == HELD_OUT else set()
    shares: Shares = {"train": {}, "dev": {}, "test": {}}
    taken: dict[tuple[str, str], int] = {}
    order = generator(options.seed, "dev recordings").permutation(len(recordings))
    for r in [recordings[i] for i in order]:
        if options.protocol == HELD_OUT:
            split = "test" if r.speaker in held_out else "dev" if r.is_official_test else "train"
        else:
            split = "test" if r.is_official_test else "train"
            if split == "train" and taken.setdefault((r.speaker, r.word), 0) < options.dev_recordings:
                taken[r.speaker, r.word] += 1
                split = "dev"
        shares[split].setdefault(r.speaker, []).append(r)
    for split, by_speaker in shares.items():
        if not by_speaker:
            raise UsageError(f"no recordings are left for {split}; test on fewer speakers or lower --dev-recordings")
    return shares


def plan_strings(shares: Shares, options: FsddOptions) -> dict[str, list[String]]:
    """The strings of train, dev, test and, where asked for, extra."""
    train, dev, test = (shares[split] for split in ("train", "dev", "test"))
    dev_speeds = options.dev_speed_factors if options.protocol == HELD_OUT else (1.0,)
    half = options.extra_strings // 2
    plan: dict[str, list[String]] = {
        "train": [
            *_joined("train", train, options.train_strings, options),
            *_joined("train", train, options.augmented_strings, options, options.speed_factors, exposed=True),
        ],
        "dev": [*_joined("dev", dev, options.dev_strings, options, dev_speeds)],
        "test": [*_joined("test", test, options.test_strings, options)],
        "extra": [*_joined("extra", train, options.extra_strings - half, options, options.speed_factors, exposed=True)],
    }
    for split, strings in _synthetic({"train": options.synthetic_strings, "extra": half}, options).items():
        plan[split] += strings
    return {split: strings for split, strings in plan.items() if strings}


def make_talkers(shares: Shares) -> list[Samples]:
    """For babble noise: each training speaker's recordings end to end."""
    return [np.concatenate([r.samples for r in recordings[:100]]) for recordings in shares["train"].values()]


def make_audio(
    strings: Sequence[String], options: FsddOptions, talkers: Sequence[Samples]
) -> Iterator[tuple[String, Samples]]:
    """The audio of each string, at `SAMPLE_RATE`."""
    for voice, group_of_strings in groupby(strings, key=lambda s: s.voice if isinstance(s, SyntheticString) else None):
        together = list(group_of_strings)
        rngs = [generator(options.seed, string.id, "audio") for string in together]
        if voice:
            texts = [punctuated(s.words, _PAUSE_PROBABILITY, rng) for s, rng in zip(together, rngs, strict=True)]
            spoken = espeak.synthesise(voice, texts, sample_rate=SAMPLE_RATE)
            for string, speech, rng in zip(together, spoken, rngs, strict=True):
                recorded = record(speech, _LEVEL_DB + rng.uniform(-_GAIN_DB, _GAIN_DB), SAMPLE_RATE, rng)
                yield string, expose(recorded, SAMPLE_RATE, options.conditions, talkers, rng)
        for string, rng in zip(together, rngs, strict=True):
            if isinstance(string, JoinedString):
                yield string, _person(string, options, talkers, rng)


def _person(
    string: JoinedString, options: FsddOptions, talkers: Sequence[Samples], rng: np.random.Generator
) -> Samples:
    level_db = _LEVEL_DB + (rng.uniform(-_GAIN_DB, _GAIN_DB) if string.exposed else 0.0)
    samples = join(string.recordings, level_db, rng, speed=string.speed)
    return expose(samples, SAMPLE_RATE, options.conditions, talkers, rng) if string.exposed else samples


def _held_out(speakers: Sequence[str], options: FsddOptions) -> Sequence[str]:
    if unknown := sorted(set(options.test_speakers) - set(speakers)):
        raise UsageError(f"--test-speakers {' '.join(unknown)}: no such speaker; there are {' '.join(speakers)}")
    if options.test_speakers:
        return options.test_speakers
    ends = np.linspace(0, len(speakers), _NUM_FOLDS + 1).round().astype(int)
    return speakers[ends[options.fold - 1] : ends[options.fold]]


def _joined(
    split: str,
    by_speaker: dict[str, list[Recording]],
    num_strings: int,
    options: FsddOptions,
    speeds: Sequence[float] = (1.0,),
    *,
    exposed: bool = False,
) -> Iterator[JoinedString]:
    """Strings spread evenly over speakers and speeds. A person at another speed counts as another speaker."""
    sources = [(speaker, speed) for speed in speeds for speaker in sorted(by_speaker)]
    for place, (speaker, speed) in enumerate(sources):
        name = f"{speaker}-sp{speed:.2f}" if speed != 1 else speaker
        if exposed:
            name += "-aug"
        count = num_strings // len(sources) + (place < num_strings % len(sources))
        rng = generator(options.seed, split, name, "deal")
        for index, dealt in enumerate(deal(by_speaker[speaker], count, options.min_digits, options.max_digits, rng)):
            string_id = f"{name}-{split}-{index:04d}"
            yield JoinedString(id=string_id, speaker=name, recordings=dealt, speed=speed, exposed=exposed)


def _synthetic(num_strings: dict[str, int], options: FsddOptions) -> dict[str, list[SyntheticString]]:
    if not any(num_strings.values()):
        return {}
    pairs = share_out(options.seed, dict.fromkeys(num_strings, 1.0))
    made: dict[str, list[SyntheticString]] = {split: [] for split in num_strings}
    for split in num_strings:
        rng = generator(options.seed, split, "synthetic")
        voices = [draw_voice(pairs[split], v, rng) for v in range(math.ceil(num_strings[split] / _STRINGS_A_VOICE))]
        for index in range(num_strings[split]):
            place = index // _STRINGS_A_VOICE
            speaker = f"espeak-{split}-{place:04d}"
            words = random_digits(rng, options.min_digits, options.max_digits)
            name = f"{speaker}-{index:05d}"
            made[split].append(SyntheticString(id=name, speaker=speaker, words=words, voice=voices[place]))
    return made
