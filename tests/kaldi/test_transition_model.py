"""Kaldi's transition models are read in all their forms, and damaged ones are refused."""

from pathlib import Path

import numpy as np
import pytest
from kaldi_files import CHAIN, GMM_AFTER_IT, PDF_OF_CHAIN, PDF_OF_TRIPLES, SPEECH, TRIPLES, Model

from asr_kd.errors import DataError
from asr_kd.kaldi.transition_model import TransitionModel, read_transition_model


def read(path: Path, content: bytes) -> TransitionModel:
    path.write_bytes(content)
    return read_transition_model(path)


@pytest.mark.parametrize(
    ("model", "pdf_of"), [(TRIPLES, PDF_OF_TRIPLES), (CHAIN, PDF_OF_CHAIN)], ids=["triples", "tuples"]
)
def test_binary_and_text_form_say_the_same(tmp_path: Path, model: Model, pdf_of: list[int]) -> None:
    binary = read(tmp_path / "binary.mdl", model.binary() + GMM_AFTER_IT)
    text = read(tmp_path / "text.mdl", model.text() + b"<DIMENSION> 39 <NUMPDFS> 6 ")
    assert binary.pdf_of.tolist() == text.pdf_of.tolist() == pdf_of
    assert binary.num_pdfs == max(pdf_of) + 1
    assert binary.fingerprint == text.fingerprint
    assert np.array_equal(binary.states, text.states)


def test_the_fingerprint_does_not_depend_on_probabilities_but_on_the_tree(tmp_path: Path) -> None:
    first = read(tmp_path / "a", TRIPLES.text())
    reestimated = read(tmp_path / "b", TRIPLES.text().replace(b"-0.5", b"-0.7").replace(b"0.333333", b"0.3"))
    other_tree = Model(TRIPLES.entries, [*TRIPLES.tuples[:-1], (3, 1, 6)])
    assert reestimated.fingerprint == first.fingerprint
    assert read(tmp_path / "c", other_tree.binary()).fingerprint != first.fingerprint


@pytest.mark.parametrize("form", ["binary", "text"])
def test_a_model_cut_anywhere_is_an_error_that_names_it(tmp_path: Path, form: str) -> None:
    content = getattr(TRIPLES, form)().rstrip()
    for length in range(0, len(content) - len("</TransitionModel>"), 7):
        with pytest.raises(DataError, match=r"cut\.mdl: at byte \d+"):
            read(tmp_path / "cut.mdl", content[:length])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.mdl: no such file"):
        read_transition_model(tmp_path / "nothing.mdl")
    with pytest.raises(DataError, match="expected <TransitionModel>, found 'A'"):
        read(tmp_path / "lexicon.txt", b"A AH\n")
    with pytest.raises(DataError, match="state 7 of phone 2"):
        read(tmp_path / "wrong", TRIPLES.text().replace(b"2 1 4", b"2 7 4"))
    with pytest.raises(DataError, match="phone 9"):
        read(tmp_path / "wrong", Model([([2], SPEECH)], [(2, 0, 0)]).text().replace(b"2 0 0", b"9 0 0"))
    with pytest.raises(DataError, match="16 probabilities for 17"):
        states = [((0,), [0, 1]), ((1,), [0, 1, 2]), ((2,), [0, 2, 3]), (None, [])]
        more = Model([([1], states), ([2, 3], SPEECH)], TRIPLES.tuples)
        read(tmp_path / "wrong", more.text().replace(b"-0.5 ", b"", 1))
