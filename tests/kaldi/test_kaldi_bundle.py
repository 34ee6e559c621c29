"""A network of Kaldi's states becomes a bundle that hears audio."""

from pathlib import Path

import kaldifst
import numpy as np
import pytest
from kaldi_files import GMM_AFTER_IT, Model, run, write_alignments
from tone_pipeline import TINY_NET, Pipeline

from asr_kd.bundle.recognizer import Recognizer
from asr_kd.cli import decode, import_kaldi_ali, import_kaldi_graph, make_bundle, train
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.fst_arrays import FstArrays, from_arrays, read_arrays
from asr_kd.hmm.labels import Labels
from asr_kd.hmm.states import StateInventory


def kaldi_model(inventory: StateInventory) -> Model:
    """The same states as Kaldi has them: phones numbered from 1, two transitions a state."""
    entries, states = [], []
    for number, pdfs in enumerate(inventory.phones.values(), 1):
        topology = [((place,), [place, place + 1]) for place in range(len(pdfs))]
        entries.append(([number], [*topology, (None, [])]))
        states += [(number, place, pdf) for place, pdf in enumerate(pdfs)]
    return Model(entries, states)


@pytest.fixture(scope="module")
def kaldi(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alignments, model and graph of the tones as a Kaldi recipe leaves them."""
    root = tmp_path_factory.mktemp("kaldi-bundle")
    inventory = StateInventory.load(pipeline.exp / "lang")
    model = kaldi_model(inventory)
    loop_of = np.zeros(inventory.num_pdfs, dtype=np.int32)
    for place, (_, _, pdf) in enumerate(model.tuples):
        loop_of[pdf] = 1 + 2 * place
    for split in ("train", "dev", "test"):
        store, labels = FrameStore(pipeline.exp / "frames" / split), Labels.load(pipeline.exp / "ali" / split)
        ids = {utterance: loop_of[labels.pdfs[own]].tolist() for utterance, own in store.index.slices()}
        write_alignments(root / f"ali_{split}", [ids], model)
    ours = read_arrays(pipeline.exp / "graph/HCLG.fst")
    arcs = ours.arcs.copy()
    arcs["input"] = np.concatenate([[0], loop_of])[arcs["input"]]
    (root / "graph/phones").mkdir(parents=True)
    fst = from_arrays(FstArrays(ours.start, ours.states, arcs))
    assert kaldifst.StdConstFst(fst).write(str(root / "graph/HCLG.fst"))
    (root / "graph/words.txt").write_bytes((pipeline.exp / "graph/words.txt").read_bytes())
    (root / "graph/phones/silence.csl").write_text(f"{1 + list(inventory.phones).index(inventory.silence)}\n")
    (root / "final.mdl").write_bytes(model.binary() + GMM_AFTER_IT)
    return root


def test_a_network_of_kaldis_states_recognises_audio(pipeline: Pipeline, kaldi: Path, tmp_path: Path) -> None:
    ours = {split: pipeline.exp / "frames" / split for split in ("train", "dev", "test")}
    for split, frames in ours.items():
        run(import_kaldi_ali, kaldi / f"ali_{split}", frames, tmp_path / f"ali/{split}")
    run(import_kaldi_graph, kaldi / "graph", kaldi / "final.mdl", tmp_path / "graph")
    dev = ("--dev-frames", ours["dev"], "--dev-labels", tmp_path / "ali/dev")
    labels = ("--labels", tmp_path / "ali/train")
    run(train, *TINY_NET, "--num-epochs", 4, *labels, *dev, "--", ours["train"], tmp_path / "net")
    data = pipeline.tones / "data"
    sets = ("--dev-data", data / "dev", "--dev-frames", ours["dev"], "--test-data", data / "test")
    sets = (*sets, "--test-frames", ours["test"], "--test-labels", tmp_path / "ali/test", "--acoustic-scales", 0.3)
    run(decode, "--name", "net", *sets, "--", tmp_path / "graph", tmp_path / "net", tmp_path / "decoded")
    run(make_bundle, "--decoded", tmp_path / "decoded", tmp_path / "net", tmp_path / "graph", tmp_path / "bundle")
    recognizer = Recognizer(tmp_path / "bundle")
    found = [" ".join([u.id, *recognizer.recognize(u.audio).words]) for u in load_data_dir(data / "test")]
    assert found == (tmp_path / "decoded/hyp.txt").read_text().splitlines()
    assert recognizer.graph.silence_pdfs == StateInventory.load(pipeline.exp / "lang").silence_pdfs
