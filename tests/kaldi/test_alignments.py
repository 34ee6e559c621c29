"""Kaldi's alignments become labels of the same frames, and whatever does not fit is said."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldi_files import CHAIN, PDF_OF_TRIPLES, TRIPLES, binary_vectors, run, text_vectors, write_alignments, write_occs

from asr_kd.cli import import_kaldi_ali
from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.kaldi.alignments import alignment_files, compare_with_occs, import_alignments
from asr_kd.kaldi.transition_model import read_transition_model

PDF_OF = np.array(PDF_OF_TRIPLES, np.int32)
NUM_PDFS = int(PDF_OF.max()) + 1


def transition_ids(lengths: list[int], seed: int = 3) -> dict[str, list[int]]:
    rng = np.random.default_rng(seed)
    return {f"utt-{n:03d}": rng.integers(1, len(PDF_OF), length).tolist() for n, length in enumerate(lengths)}


@pytest.fixture
def store(make_store: Callable[..., FrameStore]) -> FrameStore:
    return make_store([30, 20, 25, 40])


def test_every_frame_gets_the_pdf_of_its_transition(tmp_path: Path, store: FrameStore) -> None:
    ids = transition_ids([30, 20, 25, 40])
    jobs = [dict(list(ids.items())[:3]), dict(list(ids.items())[3:])]
    write_alignments(tmp_path / "ali", jobs, TRIPLES)
    made = import_alignments(alignment_files(tmp_path / "ali"), store, PDF_OF, NUM_PDFS, max_difference=0)
    assert made.pdfs.tolist() == [PDF_OF_TRIPLES[number] for values in ids.values() for number in values]
    assert not made.dropped
    assert made.counts.tolist() == np.bincount(made.pdfs, minlength=NUM_PDFS).tolist()


@given(st.lists(st.integers(-3, 3), min_size=4, max_size=4))
@settings(max_examples=30)
def test_alignments_of_other_lengths_are_matched_from_the_start_or_dropped(
    tmp_path_factory: pytest.TempPathFactory, make_store: Callable[..., FrameStore], differences: list[int]
) -> None:
    store = make_store([30, 20, 25, 40])
    lengths = [count + more for count, more in zip([30, 20, 25, 40], differences, strict=True)]
    ids = transition_ids(lengths)
    path = tmp_path_factory.mktemp("ali") / "ali.txt"
    path.write_bytes(text_vectors(ids))
    too_far = [abs(more) > 2 for more in differences]
    if sum(too_far) > 2:
        with pytest.raises(MismatchError, match="get no labels"):
            import_alignments([path], store, PDF_OF, NUM_PDFS, max_difference=2)
        return
    made = import_alignments([path], store, PDF_OF, NUM_PDFS, max_difference=2)
    for (utterance, frames), far in zip(store.index.slices(), too_far, strict=True):
        own = made.pdfs[frames]
        expected = [] if far else PDF_OF[ids[utterance]][: len(own)].tolist()
        assert own.tolist() == expected + [-1] * (len(own) - len(expected))
    assert [utterance for utterance, _ in made.dropped] == [u for u, far in zip(ids, too_far, strict=True) if far]
    assert made.cut == sum(0 < more <= 2 for more in differences)
    assert made.short == sum(-2 <= more < 0 for more in differences)
    assert made.counts.sum() == sum(lengths)


def test_utterances_without_alignment_and_alignments_of_others_are_told(tmp_path: Path, store: FrameStore) -> None:
    ids = transition_ids([30, 20, 25, 40])
    ids["someone-else"] = ids.pop("utt-001")
    (tmp_path / "ali.gz").write_bytes(gzip.compress(binary_vectors(ids)))
    made = import_alignments([tmp_path / "ali.gz"], store, PDF_OF, NUM_PDFS, max_difference=2)
    assert made.dropped == [("utt-001", "no alignment")]
    assert made.elsewhere == 1


def test_what_does_not_belong_together_is_refused(tmp_path: Path, store: FrameStore) -> None:
    ids = transition_ids([30, 20, 25, 40])
    write_alignments(tmp_path / "ali", [ids, {"utt-000": ids["utt-000"]}], TRIPLES)
    files = alignment_files(tmp_path / "ali")
    with pytest.raises(DataError, match=r"ali\.2\.gz: 'utt-000' a second time, after .*ali\.1\.gz"):
        import_alignments(files, store, PDF_OF, NUM_PDFS, max_difference=2)
    with pytest.raises(MismatchError, match="expected 1 to 4"):
        import_alignments(files[:1], store, np.array([-1, 0, 0, 1, 1], np.int32), 2, max_difference=2)
    with pytest.raises(MismatchError, match="has the id 0, expected 1"):
        (tmp_path / "zero").write_bytes(text_vectors({"utt-000": [0]}))
        import_alignments([tmp_path / "zero"], store, PDF_OF, NUM_PDFS, max_difference=2)
    (tmp_path / "third").write_bytes(text_vectors(transition_ids([10, 7, 9, 14])))
    with pytest.raises(MismatchError, match="10 aligned frames for 30: a chain model's, of every third frame"):
        import_alignments([tmp_path / "third"], store, PDF_OF, NUM_PDFS, max_difference=2)
    files[1].unlink()
    with pytest.raises(DataError, match=r"1 files ali\.\*\.gz, but num_jobs says 2"):
        alignment_files(tmp_path / "ali")


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_the_counts_of_an_import_are_compared_with_kaldis_own(tmp_path: Path, text: bool) -> None:
    counts = np.array([5, 0, 1234567, 8])
    write_occs(tmp_path / "final.occs", counts, text=text)
    assert "are as many as" in compare_with_occs(counts, tmp_path / "final.occs")
    other = compare_with_occs(counts + np.array([1, 0, 1000, 0]), tmp_path / "final.occs")
    assert "2 of 4 pdfs differ" in other
    assert "counts 4 pdfs, the alignments are of 3" in compare_with_occs(counts[:3], tmp_path / "final.occs")


def test_the_command_takes_a_directory_of_kaldi_or_the_text_of_pdf_ids(
    tmp_path: Path, store: FrameStore, caplog: pytest.LogCaptureFixture
) -> None:
    (store.path / "run.json").write_text('{"checksums": {}}')
    ids = transition_ids([30, 20, 25, 40])
    write_alignments(tmp_path / "tri", [ids], TRIPLES)
    pdfs = {utterance: PDF_OF[values] for utterance, values in ids.items()}
    write_occs(tmp_path / "tri/final.occs", np.bincount(np.concatenate(list(pdfs.values())), minlength=NUM_PDFS))
    (tmp_path / "pdf.txt").write_bytes(text_vectors(pdfs))
    with caplog.at_level("INFO"):
        run(import_kaldi_ali, tmp_path / "tri", store.path, tmp_path / "labels")
    assert "the frames of every pdf are as many as" in caplog.text
    model = ("--model", tmp_path / "tri/final.mdl")
    run(import_kaldi_ali, "--ids", "pdf", *model, tmp_path / "pdf.txt", store.path, tmp_path / "from-text")
    run(import_kaldi_ali, "--ids", "pdf", "--num-pdfs", 6, tmp_path / "pdf.txt", store.path, tmp_path / "alone")
    labels, text, alone = (Labels.load(tmp_path / name) for name in ("labels", "from-text", "alone"))
    for made in (labels, text, alone):
        assert made.pdfs.tolist() == np.concatenate(list(pdfs.values())).tolist()
    assert labels.num_pdfs == text.num_pdfs == alone.num_pdfs == NUM_PDFS
    fingerprint = read_transition_model(tmp_path / "tri/final.mdl").fingerprint
    assert labels.states_fingerprint == text.states_fingerprint == fingerprint != alone.states_fingerprint


def test_the_command_says_what_is_missing(tmp_path: Path, store: FrameStore) -> None:
    (store.path / "run.json").write_text('{"checksums": {}}')
    (tmp_path / "pdf.txt").write_bytes(text_vectors({"utt-000": [1]}))
    with pytest.raises(UsageError, match=r"give --model .*or --num-pdfs"):
        run(import_kaldi_ali, "--ids", "pdf", tmp_path / "pdf.txt", store.path, tmp_path / "out")
    with pytest.raises(UsageError, match="--num-pdfs N goes with --ids pdf"):
        run(import_kaldi_ali, "--num-pdfs", 3, tmp_path / "pdf.txt", store.path, tmp_path / "out")
    write_alignments(tmp_path / "ali", [transition_ids([30, 20, 25, 40])], CHAIN)
    with pytest.raises(MismatchError, match="give the model that made the alignments"):
        run(import_kaldi_ali, tmp_path / "ali", store.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
