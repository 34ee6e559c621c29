"""The smallest corpus that goes all the way: words made of tones, and every stage run on them by the commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, write_data_dir

RATE = 8000
LEXICON = {"AB": "A B", "BCA": "B C A", "CD": "C D", "DAC": "D A C"}
TONES_HZ = {"A": 300.0, "B": 650.0, "C": 1200.0, "D": 2200.0}
SPEAKERS = {"high": 1.25, "low": 0.9}
NUM_UTTERANCES = {"train": 48, "dev": 10, "test": 20, "extra": 12}


def spoken(words: Sequence[str], pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Words as sequences of tones with pauses around and sometimes between them, in a little noise."""
    parts = [np.zeros(rng.integers(800, 1600))]
    for word in words:
        for phone in LEXICON[word].split():
            seconds = np.arange(rng.integers(560, 880)) / RATE
            tone = np.sin(2 * np.pi * pitch * TONES_HZ[phone] * rng.uniform(0.97, 1.03) * seconds)
            swell = np.sin(np.pi * seconds / seconds[-1])
            parts.append(rng.uniform(0.2, 0.5) * swell * tone)
        if rng.random() < 0.3:
            parts.append(np.zeros(rng.integers(400, 1200)))
    samples = np.concatenate([*parts, np.zeros(rng.integers(800, 1600))])
    return samples + 0.01 * rng.standard_normal(len(samples))


def write_tones(root: Path) -> None:
    """A corpus of words made of tones: ``lexicon.txt``, ``data/{train,dev,test}``, ``data/extra`` without words."""
    (root / "audio").mkdir()
    (root / "lexicon.txt").write_text("".join(f"{word} {phones}\n" for word, phones in LEXICON.items()))
    rng = np.random.default_rng(7)
    for split, count in NUM_UTTERANCES.items():
        utterances = []
        for number in range(count):
            speaker = list(SPEAKERS)[number % 2]
            words = tuple(str(word) for word in rng.choice(list(LEXICON), size=rng.integers(2, 5)))
            audio = root / "audio" / f"{speaker}-{split}-{number:02d}.wav"
            soundfile.write(audio, spoken(words, SPEAKERS[speaker], rng), RATE)
            heard = None if split == "extra" else words
            utterances.append(Utterance(id=audio.stem, speaker=speaker, audio=str(audio), words=heard))
        write_data_dir(root / "data" / split, utterances)


def asr_kd(*words: object) -> None:
    """Run a command, which must succeed."""
    assert main([str(word) for word in words]) == 0


TINY_NET = ("--num-layers", "2", "--hidden-dim", "64", "--batch-size", "64", "--learning-rate", "3e-3")
CONTEXT = ("--left-context", "6", "--right-context", "3")


@dataclass(frozen=True)
class Pipeline:
    """Everything made from the corpus of tones by the commands, in the directories that run.sh uses."""

    tones: Path
    exp: Path

    @property
    def dev(self) -> tuple[object, ...]:
        """What every training command watches."""
        return "--dev-frames", self.exp / "frames/dev", "--dev-labels", self.exp / "ali/dev"

    @property
    def decoding(self) -> tuple[object, ...]:
        """What every decoding command recognises."""
        data, exp = self.tones / "data", self.exp
        return (
            *("--dev-data", data / "dev", "--dev-frames", exp / "frames/dev"),
            *("--test-data", data / "test", "--test-frames", exp / "frames/test", "--test-labels", exp / "ali/test"),
            *("--acoustic-scales", 0.1, 0.3, 1.0, "--insertion-penalties", 0, 3, 6),
        )

    @property
    def members(self) -> list[Path]:
        """The ensemble's models."""
        return [self.exp / "members" / seed for seed in ("1", "2")]

    def run(self) -> None:
        """Every stage, from audio to scores."""
        data, exp = self.tones / "data", self.exp
        states = ("--num-states", 3, "--silence-states", 3)
        asr_kd("make-lang", *states, data / "train", self.tones / "lexicon.txt", exp / "lang")
        fbank = ("--sample-rate", RATE, "--cmvn", "utterance", "--cmvn-prior-frames", 20, *CONTEXT)
        asr_kd("make-fbank", *fbank, data / "train", exp / "frames/train")
        for split in ("dev", "test", "extra"):
            asr_kd("make-fbank", *fbank, "--prior", exp / "frames/train", data / split, exp / f"frames/{split}")
        rounds = ("--num-rounds", 5, "--num-epochs", 2, "--final-learning-rate", 0.3)
        asr_kd("flat-start", *TINY_NET, *rounds, data / "train", exp / "lang", exp / "frames/train", exp / "mono")
        for split in ("train", "dev", "test"):
            asr_kd("align", data / split, exp / "lang", exp / f"frames/{split}", exp / "mono", exp / f"ali/{split}")
        labels = ("--labels", exp / "ali/train", *self.dev)
        for seed, member in enumerate(self.members, 1):
            flags = (*TINY_NET, "--dropout", 0.1, "--num-epochs", 4, "--seed", seed, *labels)
            asr_kd("train", *flags, "--", exp / "frames/train", member)
        transfer = [exp / "frames" / split for split in ("train", "extra")]
        soft = [exp / "soft" / frames.name for frames in transfer]
        for frames, targets in zip(transfer, soft, strict=True):
            asr_kd("make-soft-targets", "--dense", frames, *self.members, targets)
        weights = ("--soft-weight", 0.9, "--hard-weight", 0.1, "--soft-targets", *soft, "--teachers", *self.members)
        asr_kd(
            "distill", *TINY_NET, "--num-epochs", 8, *weights, *labels, "--", *transfer, exp / "students/distilled-1"
        )
        asr_kd("make-graph", exp / "lang", exp / "graph")
        systems = {
            "baseline-1": ("baseline", self.members[:1]),
            "baseline-2": ("baseline", self.members[1:]),
            "ensemble": ("ensemble", self.members),
            "distilled-1": ("distilled", [exp / "students/distilled-1"]),
        }
        for directory, (name, models) in systems.items():
            flags = ("--name", name, *self.decoding)
            asr_kd("decode", *flags, "--", exp / "graph", *models, exp / "decode" / directory)
        asr_kd("score", "--recipe", "tones", "--bootstrap-samples", 200, exp, exp / "score")
        student = (exp / "students/distilled-1", exp / "graph")
        asr_kd("make-bundle", "--decoded", exp / "decode/distilled-1", *student, exp / "bundle")
