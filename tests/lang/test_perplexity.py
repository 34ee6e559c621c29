"""Perplexity counts what it says it counts."""

from pathlib import Path

import pytest

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.perplexity import measure

ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-2\t<unk>
-99\t<s>\t-1
-1\t</s>
-0.5\tONE\t-0.25
-0.75\tTWO

\\2-grams:
-0.125\t<s> ONE

\\end\\
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lm.arpa").write_text(ARPA)
    return tmp_path / "lm.arpa"


def test_known_words_and_ends_are_counted_and_unknown_words_apart(path: Path) -> None:
    figures = measure(BackoffModel.load(path), [["ONE", "TEN", "TWO"], ["ONE"]])
    assert (figures.sentences, figures.words, figures.unknown) == (2, 4, 1)
    known = [0.125, 0.75, 1, 0.125, 0.25 + 1]  # ONE, TWO, end; ONE, end
    assert figures.known == pytest.approx(10 ** (sum(known) / 5), rel=1e-6)
    assert figures.with_unknown == pytest.approx(10 ** ((sum(known) + 0.25 + 2) / 6), rel=1e-6)
    assert figures.hits == pytest.approx((3 / 5, 2 / 5))


def test_a_model_without_unk_has_no_perplexity_with_unknown_words(path: Path) -> None:
    path.write_text(ARPA.replace("-2\t<unk>\n", "").replace("ngram 1=5", "ngram 1=4"))
    figures = measure(BackoffModel.load(path), [["TEN", "TWO"]])
    assert figures.unknown == 1
    assert figures.with_unknown is None
    assert figures.known == pytest.approx(10 ** ((0.75 + 1) / 2), rel=1e-6)


def test_unk_written_in_the_text_is_an_unknown_word(path: Path) -> None:
    assert measure(BackoffModel.load(path), [["<unk>", "ONE"]]).unknown == 1
