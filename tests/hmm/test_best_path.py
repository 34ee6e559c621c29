"""The pinned pair kaldifst and kaldi-decoder works together, and the guards around it hold."""

import gc

import kaldi_decoder
import kaldifst
import numpy as np
import pytest

from asr_kd.errors import DecodeError
from asr_kd.hmm.best_path import best_path, check_scores

# Two ways to the end: labels 1 1 .. 2 with the output 7, or 3 3 .. with the output 8 and a cost of 1.
GRAPH = "0 1 1 0\n1 1 1 0\n1 2 2 7\n0 3 3 8 1\n3 3 3 0\n2 0\n3 0\n"


def test_the_pinned_pair_of_wheels_decodes() -> None:
    graph = kaldifst.compile(GRAPH)
    scores_TP = np.log(np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.1, 0.7, 0.2]], np.float32))
    for fst in (graph, kaldifst.StdConstFst(graph)):
        path = best_path(fst, scores_TP, beam=100.0)
        assert path.inputs == [1, 1, 2]
        assert path.outputs == [7]
        assert path.reached_final
        assert path.cost == pytest.approx(-np.log(0.6 * 0.6 * 0.7), rel=1e-5)


def test_the_graph_outlives_the_decoder_that_does_not_keep_it() -> None:
    scores_TP = np.zeros((50, 3), np.float32)
    for _ in range(50):
        best_path(kaldifst.compile(GRAPH), scores_TP, beam=100.0)
        gc.collect()


def test_a_path_that_cannot_end_is_marked_though_the_decoder_calls_it_fine() -> None:
    graph = kaldifst.compile("0 1 1 0\n1 2 2 7\n2 3 3 0\n3 0\n")
    scores_TP = np.zeros((2, 3), np.float32)
    decoder = kaldi_decoder.FasterDecoder(graph, kaldi_decoder.FasterDecoderOptions())
    decoder.decode(kaldi_decoder.DecodableCtc(scores_TP))
    assert decoder.get_best_path()[0]
    assert not best_path(graph, scores_TP, beam=100.0).reached_final


def test_an_empty_graph_is_an_error() -> None:
    with pytest.raises(DecodeError, match="an empty graph"):
        best_path(kaldifst.StdVectorFst(), np.zeros((2, 3), np.float32), beam=10.0)


def test_a_graph_shorter_than_the_scores_leaves_no_path() -> None:
    with pytest.raises(DecodeError, match="no path left"):
        best_path(kaldifst.compile("0 1 1 7\n1 0\n"), np.zeros((3, 3), np.float32), beam=10.0)


@pytest.mark.parametrize(
    ("scores_TP", "why"),
    [
        (np.zeros((2, 2)), "scores of 2 pdfs for a graph of 3"),
        (np.zeros((2, 4)), "scores of 4 pdfs for a graph of 3"),
        (np.zeros((0, 3)), "no frames"),
        (np.zeros(3), "1 dimensions"),
        (np.array([[0, 0, 0], [0, 0, np.nan]]), "from frame 1"),
        (np.array([[0, np.inf, -np.inf], [0, 0, 0]]), "from frame 0"),
    ],
)
def test_scores_that_the_decoder_would_misread_are_refused(scores_TP: np.ndarray, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        check_scores(scores_TP, 3)


def test_great_finite_scores_pass() -> None:
    check_scores(np.full((2, 3), 1e308), 3)
