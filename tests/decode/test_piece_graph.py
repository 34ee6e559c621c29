"""A graph over pieces of words puts out words."""

from pathlib import Path

import numpy as np
import pytest

from asr_kd.decode.graph import DecodingGraph, build_graph, save_graph
from asr_kd.decode.search import Hypothesis, search
from asr_kd.hmm.states import monophone_states
from asr_kd.lang.grammar import word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.units import Spelling

SPELLING = Spelling.of(["TWO", "ON", "NOW"])
PIECES = (*SPELLING.single_pieces(), "▁TWO", "ON")
LEXICON = Lexicon(tuple((piece, SPELLING.of_piece(piece)) for piece in PIECES))
INVENTORY = monophone_states(LEXICON, "SIL", 2, 1)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> DecodingGraph:
    directory = tmp_path_factory.mktemp("graph")
    save_graph(directory, build_graph(LEXICON, INVENTORY, word_loop(LEXICON)), LEXICON, INVENTORY)
    return DecodingGraph.load(directory)


def recognised(graph: DecodingGraph, spoken: str) -> Hypothesis:
    """What is recognised where these phones are certain, each state for two frames."""
    pdfs = [pdf for phone in spoken.split() for pdf in INVENTORY.pdfs(phone, "SIL", "SIL") for _ in range(2)]
    scores = np.full((len(pdfs), INVENTORY.num_pdfs), -100.0, dtype=np.float32)
    scores[np.arange(len(pdfs)), pdfs] = 0.0
    return next(search(graph, [("u", scores)], acoustic_scale=1.0, beam=1000.0))


@pytest.mark.parametrize(
    ("spoken", "words"),
    [
        ("T_B W O", "TWO"),
        ("T_B W O O_B N", "TWO ON"),
        ("SIL T_B W O SIL O_B N SIL", "TWO ON"),
        ("SIL N_B O W SIL N_B O N", "NOW NON"),
        ("O_B N O N", "ONON"),
    ],
)
def test_pieces_come_out_as_words_also_such_as_nobody_wrote(graph: DecodingGraph, spoken: str, words: str) -> None:
    found = recognised(graph, spoken)
    assert found.reached_final
    assert found.words == tuple(words.split())
    assert found.cost < 50


def test_the_words_of_a_lexicon_are_left_as_they_are(tmp_path: Path) -> None:
    lexicon = Lexicon((("TWO", ("T_B", "W", "O")), ("ON", ("O_B", "N"))))
    inventory = monophone_states(lexicon, "SIL", 1, 1)
    save_graph(tmp_path, build_graph(lexicon, inventory, word_loop(lexicon)), lexicon, inventory)
    graph = DecodingGraph.load(tmp_path)
    assert graph.words_of([graph.words.id("TWO"), graph.words.id("ON")]) == ("TWO", "ON")
