"""A Kaldi system from its files to words: its alignments train a network, its graph recognises with it."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kaldifst
import kaldiio
import numpy as np
import pytest
import torch
from kaldi_files import SPEECH, Model, run, write_alignments, write_occs

from asr_kd.cli import (
    decode,
    export_ali,
    export_posteriors,
    export_soft_targets,
    import_feats,
    import_kaldi_ali,
    import_kaldi_graph,
    make_bundle,
    make_soft_targets,
    train,
)
from asr_kd.decode.recognition import Scorer
from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.kaldi.archives import encode_matrix, write_archive
from asr_kd.nets.device import DeviceOptions
from asr_kd.targets.store import SoftTargets, TargetReader

PHONES = {"SIL": 1, "A": 2, "B": 3, "C": 4}
WORDS = {"AB": "A B", "BCA": "B C A", "CC": "C C", "CA": "C A"}
# Two states a phone with pdfs of their own; A and B share their second one, as in a tree.
PDFS = {"SIL": (0, 1), "A": (2, 3), "B": (4, 3), "C": (5, 6)}
MODEL = Model(
    [(list(PHONES.values()), SPEECH)],
    [(number, state, PDFS[phone][state]) for phone, number in PHONES.items() for state in range(2)],
)
NUM_PDFS, DIM = 7, 8
MEANS = 3 * np.random.default_rng(11).normal(size=(NUM_PDFS, DIM))


def transitions(phone: str) -> list[tuple[int, int]]:
    """Self-loop and way on of each state of a phone: two transition ids a state, in the model's order."""
    first = 4 * (PHONES[phone] - 1)
    return [(first + 1, first + 2), (first + 3, first + 4)]


def phones_of(words: Sequence[str]) -> list[str]:
    return ["SIL", *(phone for word in words for phone in WORDS[word].split()), "SIL"]


def hclg() -> str:
    """Any sequence of words between silences: Kaldi's way, with self-loops after the way into a state."""
    lines, last = [], 1
    entries = [(0, "SIL", 0, 1), *((1, phones, number, 1) for number, phones in enumerate(WORDS.values(), 1))]
    for source, phones, word, target in [*entries, (1, "SIL", 0, 2)]:
        chain = [pair for phone in phones.split() for pair in transitions(phone)]
        place = source
        for number, (loop, way_on) in enumerate(chain):
            last += 1
            following = last + 1
            lines.append(f"{place} {following} {way_on} {word if number == 0 else 0} 0.7")
            lines.append(f"{following} {following} {loop} 0 0.7")
            place = following
        lines.append(f"{place} {target} 0 0 0")
    return "\n".join([*lines, "2 0"]) + "\n"


@dataclass(frozen=True)
class KaldiSystem:
    """What a Kaldi recipe left, and what the commands made of it."""

    kaldi: Path
    exp: Path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> KaldiSystem:
    root = tmp_path_factory.mktemp("kaldi-system")
    made = KaldiSystem(root / "kaldi", root / "exp")
    rng = np.random.default_rng(2)
    (made.kaldi / "graph").mkdir(parents=True)
    for split, count in {"train": 30, "dev": 6, "test": 12}.items():
        write_split(made.kaldi, split, count, rng)
    kaldifst.StdConstFst(kaldifst.compile(hclg())).write(str(made.kaldi / "graph/HCLG.fst"))
    symbols = ["<eps>", *WORDS, "#0", "<s>", "</s>"]
    (made.kaldi / "graph/words.txt").write_text("".join(f"{word} {n}\n" for n, word in enumerate(symbols)))
    (made.kaldi / "graph/num_pdfs").write_text(f"{NUM_PDFS}\n")
    for split in ("train", "dev", "test"):
        frames = made.exp / "frames" / split
        run(import_feats, "--left-context", 2, "--right-context", 2, made.kaldi / split, frames)
        run(import_kaldi_ali, made.kaldi / f"ali_{split}", frames, made.exp / "ali" / split)
    run(import_kaldi_graph, made.kaldi / "graph", made.kaldi / "ali_train/final.mdl", made.exp / "graph")
    dev = ("--dev-frames", made.exp / "frames/dev", "--dev-labels", made.exp / "ali/dev")
    net = ("--num-layers", 1, "--hidden-dim", 32, "--batch-size", 64, "--learning-rate", 3e-3, "--num-epochs", 4)
    for seed in (1, 2):
        flags = (*net, *dev, "--labels", made.exp / "ali/train", "--seed", seed)
        run(train, *flags, "--", made.exp / "frames/train", made.exp / f"members/{seed}")
    return made


def write_split(kaldi: Path, split: str, count: int, rng: np.random.Generator) -> None:
    """A data directory with ``feats.scp`` and no audio, and a directory of alignments."""
    feats, ids, texts = {}, {}, {}
    for number in range(count):
        words = [str(word) for word in rng.choice(list(WORDS), size=rng.integers(1, 5))]
        utterance = f"{split}-{number:02d}"
        path = [
            transition
            for phone in phones_of(words)
            for loop, way_on in transitions(phone)
            for transition in [way_on] + [loop] * int(rng.integers(1, 4))
        ]
        pdfs = [MODEL.tuples[(transition - 1) // 2][2] for transition in path]
        feats[utterance] = (MEANS[pdfs] + rng.normal(size=(len(pdfs), DIM))).astype(np.float32)
        ids[utterance], texts[utterance] = path, words
    data = kaldi / split
    data.mkdir()
    write_archive(data, "feats", ((key, encode_matrix(matrix)) for key, matrix in feats.items()), final=data)
    for name, lines in {
        "utt2spk": dict.fromkeys(feats, split),
        "text": {utterance: " ".join(words) for utterance, words in texts.items()},
    }.items():
        (data / name).write_text("".join(f"{utterance} {value}\n" for utterance, value in lines.items()))
    halves = [dict(list(ids.items())[::2]), dict(list(ids.items())[1::2])]
    write_alignments(kaldi / f"ali_{split}", halves, MODEL)
    counted = [MODEL.tuples[(transition - 1) // 2][2] for path in ids.values() for transition in path]
    write_occs(kaldi / f"ali_{split}/final.occs", np.bincount(counted, minlength=NUM_PDFS))


def test_the_counts_of_the_labels_are_kaldis(system: KaldiSystem) -> None:
    for split in ("train", "dev", "test"):
        labels = Labels.load(system.exp / "ali" / split)
        theirs = kaldiio.load_mat(str(system.kaldi / f"ali_{split}/final.occs"))
        assert np.bincount(labels.pdfs, minlength=NUM_PDFS).tolist() == theirs.tolist()


def test_kaldis_graph_recognises_with_networks_of_kaldis_states(system: KaldiSystem) -> None:
    exp, kaldi = system.exp, system.kaldi
    sets = ("--dev-data", kaldi / "dev", "--dev-frames", exp / "frames/dev", "--test-data", kaldi / "test")
    sets = (*sets, "--test-frames", exp / "frames/test", "--test-labels", exp / "ali/test")
    members = (exp / "members/1", exp / "members/2")
    run(decode, "--name", "ensemble", "--acoustic-scales", 0.3, 1.0, *sets, "--", exp / "graph", *members, exp / "out")
    assert (exp / "out/hyp.txt").read_text() == (kaldi / "test/text").read_text()


def test_exported_log_likelihoods_are_those_the_decoder_searches_with(system: KaldiSystem, tmp_path: Path) -> None:
    members, frames = [system.exp / "members/1", system.exp / "members/2"], system.exp / "frames/test"
    store, device = FrameStore(frames), torch.device("cpu")
    models = list(load_models(members, store, device, DeviceOptions().dtype).values())
    expected = dict(Scorer(models, device).log_likelihoods(store))
    for flags, tolerance in (((), 0.0), (("--compress",), 1e-3)):
        run(export_posteriors, "--frames", frames, *flags, "--", *members, tmp_path / f"loglikes{len(flags)}")
        found = kaldiio.load_scp(str(tmp_path / f"loglikes{len(flags)}/loglikes.scp"))
        assert list(found) == list(expected)
        for utterance, logp in expected.items():
            assert np.abs(found[utterance] - logp).max() <= tolerance
    run(export_posteriors, "--frames", frames, "--kind", "posteriors", "--", *members, tmp_path / "posteriors")
    for matrix in kaldiio.load_scp(str(tmp_path / "posteriors/posteriors.scp")).values():
        assert np.abs(matrix.sum(1) - 1).max() < 1e-5


@pytest.mark.parametrize("flags", [(), ("--dense",), ("--top-k", "2", "--tail-samples", "3")], ids=str)
def test_exported_soft_targets_are_those_a_student_learns_from(
    system: KaldiSystem, tmp_path: Path, flags: Sequence[str]
) -> None:
    frames = system.exp / "frames/dev"
    run(make_soft_targets, *flags, frames, system.exp / "members/1", system.exp / "members/2", tmp_path / "soft")
    run(export_soft_targets, frames, tmp_path / "soft", tmp_path / "post")
    run(export_soft_targets, "--text", frames, tmp_path / "soft", tmp_path / "text")
    store, soft = FrameStore(frames), SoftTargets(tmp_path / "soft")
    all_frames, reader = torch.arange(store.num_frames), TargetReader([soft], torch.device("cpu"))
    expected = torch.zeros(store.num_frames, NUM_PDFS)
    if reader.dense:
        expected = reader.dense_batch(all_frames)
    else:
        ids_BK, probs_BK = reader.sparse_batch(all_frames)
        expected.scatter_add_(1, ids_BK, probs_BK)
    with gzip.open(tmp_path / "text/post.txt.gz", "rt") as file:
        text = {line.split()[0]: line for line in file}
    entries = [line.split() for line in (tmp_path / "post/post.scp").read_text().splitlines()]
    assert [utterance for utterance, _ in entries] == list(store.index.utterances) == list(text)
    for (utterance, entry), (_, own) in zip(entries, store.index.slices(), strict=True):
        for found in (read_posterior(entry), read_posterior_line(text[utterance])):
            assert len(found) == own.stop - own.start
            for pairs, row in zip(found, expected[own].numpy(), strict=True):
                assert len(dict(pairs)) == len(pairs)
                dense = np.zeros(NUM_PDFS)
                dense[[number for number, _ in pairs]] = [weight for _, weight in pairs]
                assert np.abs(dense - row).max() < 1e-6


def read_posterior(entry: str) -> list[list[tuple[int, float]]]:
    """Number by number, as Kaldi's ``PosteriorHolder`` reads."""
    path, _, offset = entry.rpartition(":")
    data, place = Path(path).read_bytes(), int(offset)

    def number(kind: str) -> float:
        nonlocal place
        assert data[place] == 4
        place += 5
        return np.frombuffer(data, kind, 1, place - 4)[0].item()

    assert data[place : place + 2] == b"\0B"
    place += 2
    return [[(int(number("<i4")), number("<f4")) for _ in range(int(number("<i4")))] for _ in range(int(number("<i4")))]


def read_posterior_line(line: str) -> list[list[tuple[int, float]]]:
    frames = [frame.split() for frame in line.split("[")[1:]]
    assert all(frame[-1] == "]" for frame in frames)
    return [[(int(a), float(b)) for a, b in zip(f[:-1:2], f[1:-1:2], strict=True)] for f in frames]


def test_exported_alignments_are_read_by_kaldi_and_imported_again(system: KaldiSystem, tmp_path: Path) -> None:
    frames, labels = system.exp / "frames/dev", Labels.load(system.exp / "ali/dev")
    run(export_ali, frames, system.exp / "ali/dev", tmp_path / "ali")
    theirs = kaldiio.load_scp(str(tmp_path / "ali/ali.scp"))
    assert np.concatenate([theirs[utterance] for utterance in theirs]).tolist() == labels.pdfs.tolist()
    model = ("--ids", "pdf", "--model", system.kaldi / "ali_dev/final.mdl")
    run(import_kaldi_ali, *model, tmp_path / "ali/ali.ark", frames, tmp_path / "again")
    again = Labels.load(tmp_path / "again")
    assert again.pdfs.tolist() == labels.pdfs.tolist()
    assert again.states_fingerprint == labels.states_fingerprint


def test_alignments_of_another_tree_do_not_meet_the_graph(system: KaldiSystem, tmp_path: Path) -> None:
    other = Model(MODEL.entries, [(*row[:2], 6 - row[2]) for row in MODEL.tuples])
    (tmp_path / "other.mdl").write_bytes(other.text())
    run(import_kaldi_graph, system.kaldi / "graph", tmp_path / "other.mdl", tmp_path / "graph")
    exp, kaldi = system.exp, system.kaldi
    sets = ("--dev-data", kaldi / "dev", "--dev-frames", exp / "frames/dev", "--test-data", kaldi / "test")
    sets = (*sets, "--test-frames", exp / "frames/test", "--test-labels", exp / "ali/test")
    with pytest.raises(MismatchError, match="is of the states"):
        run(decode, "--name", "x", *sets, "--", tmp_path / "graph", exp / "members/1", tmp_path / "out")


def test_a_network_of_imported_features_cannot_become_a_bundle(system: KaldiSystem, tmp_path: Path) -> None:
    parts = (system.exp / "members/1", system.exp / "graph", tmp_path / "bundle")
    with pytest.raises(MismatchError, match="not trained on filter banks"):
        run(make_bundle, "--acoustic-scale", 0.3, *parts)
