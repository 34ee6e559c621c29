"""Word times are those of the path that was taken, whatever the words share."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.decode.word_times import word_spans
from asr_kd.hmm.states import Question, StateInventory, monophone_states
from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon((("A", ("x",)), ("B", ("x", "y")), ("B", ("y",)), ("XX", ("x", "x")), ("C", ("z", "y", "x"))))
MONO = monophone_states(LEXICON, "SIL", 3, 3)


def question(yes: int, no: int) -> Question:
    return Question("left", frozenset({"x", "SIL"}), yes, no)


TIED = StateInventory(
    "SIL",
    {
        "SIL": (0, 1),
        "x": (question(2, 3), question(4, 5), 6),
        "y": (7, question(8, 9), question(10, 11)),
        "z": (12, 13, 14),
    },
)


def path(
    words: Sequence[str], inventory: StateInventory, rng: np.random.Generator
) -> tuple[list[int], list[tuple[int, int]]]:
    """The pdfs of some way to speak words, and the frames of each."""
    spoken: list[tuple[int, str]] = []
    for number, word in [(-1, ""), *enumerate(words)]:
        if word:
            choices = LEXICON.pronunciations(word)
            spoken += [(number, phone) for phone in choices[rng.integers(len(choices))]]
        if rng.random() < 0.5:
            spoken.append((-1, "SIL"))
    phones = ["SIL", *(phone for _, phone in spoken), "SIL"]
    pdfs: list[int] = []
    owners: list[int] = []
    for place, (owner, phone) in enumerate(spoken):
        for pdf in inventory.pdfs(phone, phones[place], phones[place + 2]):
            count = int(rng.integers(1, 4))
            pdfs += [pdf] * count
            owners += [owner] * count
    return pdfs, [(owners.index(number), owners.count(number)) for number in range(len(words))]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(LEXICON.words), min_size=1, max_size=6), st.sampled_from([MONO, TIED]), st.integers(0, 999)
)
def test_the_frames_of_each_word_are_those_of_the_path(words: list[str], inventory: StateInventory, seed: int) -> None:
    pdfs, expected = path(words, inventory, np.random.default_rng(seed))
    assert word_spans(words, np.array(pdfs), LEXICON, inventory) == expected


def test_frames_too_few_for_the_words_have_no_times() -> None:
    assert word_spans(["C", "C"], np.zeros(3, np.int32), LEXICON, MONO) is None
