"""What several tests share: real corpora, a small corpus of tones, frame stores of made-up features, a pipeline."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, write_data_dir
from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.fbank import FbankOptions
from asr_kd.frames.store import FEATS_FILE, FrameIndex, FrameStore, write_meta
from asr_kd.nets.acoustic_model import AcousticModel, ModelCard
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import to_dict

RATE = 8000
LEXICON = {"AB": "A B", "BCA": "B C A", "CD": "C D", "DAC": "D A C"}
TONES_HZ = {"A": 300.0, "B": 650.0, "C": 1200.0, "D": 2200.0}
SPEAKERS = {"high": 1.25, "low": 0.9}
NUM_UTTERANCES = {"train": 48, "dev": 10, "test": 20, "extra": 12}


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora that ASR_KD_CORPORA names."""
    folder = os.environ.get("ASR_KD_CORPORA", "")
    if not folder or not all((Path(folder) / name / "data").is_dir() for name in ("fsdd", "librispeech47")):
        pytest.skip("ASR_KD_CORPORA names no folder with fsdd and librispeech47")
    return Path(folder)


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


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of words made of tones: ``lexicon.txt``, ``data/{train,dev,test}``, ``data/extra`` without words."""
    root = tmp_path_factory.mktemp("tones")
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
    return root


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
        asr_kd(
            "make-lang",
            data / "train",
            self.tones / "lexicon.txt",
            exp / "lang",
            "--num-states",
            3,
            "--silence-states",
            3,
        )
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
        student = (exp / "students/distilled-1", exp / "lang", exp / "graph")
        asr_kd("make-bundle", "--decoded", exp / "decode/distilled-1", *student, exp / "bundle")


@pytest.fixture(scope="session")
def pipeline(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The corpus of tones with every stage run; tests read it and write elsewhere."""
    made = Pipeline(tones, tmp_path_factory.mktemp("pipeline") / "exp")
    made.run()
    return made


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FrameStore]:
    """Writes a frame store of given features, or of random ones of given lengths."""

    def make(
        utterances: Sequence[np.ndarray | int], *, left: int = 2, right: int = 1, dim: int = 3, seed: int = 0
    ) -> FrameStore:
        rng = np.random.default_rng(seed)
        feats = [
            rng.standard_normal((given, dim)).astype(np.float32) if isinstance(given, int) else given
            for given in utterances
        ]
        path = tmp_path_factory.mktemp("frames")
        padded = [np.pad(own, ((left, right), (0, 0)), mode="edge") for own in feats]
        np.save(path / FEATS_FILE, np.concatenate(padded))
        ids = tuple(f"utt-{number:03d}" for number in range(len(feats)))
        index = FrameIndex(ids, tuple("speaker" for _ in ids), np.array([len(own) for own in feats], dtype=np.int64))
        options = FeatureOptions(fbank=FbankOptions(num_mel_bins=dim), left_context=left, right_context=right)
        write_meta(path, index, features=to_dict(options) | {"prior": {}}, extra={})
        return FrameStore(path)

    return make


@pytest.fixture(scope="session")
def make_model() -> Callable[..., AcousticModel]:
    """An untrained model of a frame store's features, with weights large enough for decided outputs."""

    def make(store: FrameStore, *, num_pdfs: int = 11, seed: int = 1, states: str = "states") -> AcousticModel:
        card = ModelCard(
            net=NetOptions(num_layers=1, hidden_dim=16),
            input_dim=store.input_dim,
            num_pdfs=num_pdfs,
            features=store.meta["features"],
            features_fingerprint=store.features_fingerprint,
            states_fingerprint=states,
        )
        net = card.new_net(seed=seed)
        with torch.no_grad():
            net.layers[-1].weight *= 3
        prior = torch.log_softmax(torch.linspace(-1, 1, num_pdfs), dim=0)
        return AcousticModel(card, net.eval(), prior, fingerprint=f"model-{seed}")

    return make
