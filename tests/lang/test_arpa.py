"""ARPA files are read as they are meant, whoever wrote them, and every mistake in one is named with its line."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arpa_oracle import ngrams_of, slow_logp
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import GrammarError
from asr_kd.lang import arpa_reader
from asr_kd.lang.arpa import BackoffModel

ARPA = """A line of the program that wrote it.

\\data\\
ngram 1=6
ngram 2=4
ngram 3=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.9\t</s>
-0.5\tONE\t-0.2
-0.6\tTWO\t0.1
-0.7\tSIX

\\2-grams:
-0.2\t<s> ONE\t-0.25
-0.4\tONE TWO
-0.5\tTWO </s>
-0.8\tTWO ONE\t-0.15

\\3-grams:
-0.1\t<s> ONE TWO
-0.3\tTWO ONE TWO

\\end\\
"""
BY_HAND = {
    "ONE TWO": [-0.2, -0.1, -0.5],
    "TWO": [-0.3 - 0.6, -0.5],
    "SIX": [-0.3 - 0.7, -0.9],
    "ONE ONE": [-0.2, -0.25 - 0.2 - 0.5, -0.2 - 0.9],
    "TWO ONE SIX": [-0.3 - 0.6, -0.8, -0.15 - 0.2 - 0.7, -0.9],
    "ONE ALIEN TWO": [-0.2, -0.25 - 0.2 - 1.0, -0.6, -0.5],
    "": [-0.3 - 0.9],
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], BackoffModel]:
    def load_text(content: str) -> BackoffModel:
        path = tmp_path / "lm.arpa"
        path.write_text(content, encoding="utf-8")
        return BackoffModel.load(path)

    return load_text


def test_each_word_and_the_end_have_the_probability_of_the_longest_ngram_with_its_backoff_weights(
    load: Callable[[str], BackoffModel],
) -> None:
    model = load(ARPA)
    for sentence, log10 in BY_HAND.items():
        np.testing.assert_allclose(model.log_prob(sentence.split()), np.array(log10) * math.log(10), atol=1e-12)


def test_many_sentences_at_once_are_scored_as_each_alone(load: Callable[[str], BackoffModel]) -> None:
    model = load(ARPA)
    sentences = [sentence.split() for sentence in BY_HAND]
    for words, together in zip(sentences, model.log_probs(sentences), strict=True):
        np.testing.assert_array_equal(together, model.log_prob(words))
    assert model.log_probs([]) == []


@pytest.mark.parametrize("sort_of", ["gzip", "spaces", "crlf", "no <unk>", "<UNK>", "one chunk a line"])
def test_what_programs_write_differently_is_read_the_same(
    sort_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, path = ARPA, tmp_path / "lm"
    if sort_of == "spaces":
        content = content.replace("\t", "  ")
    if sort_of == "crlf":
        content = content.replace("\n", "\r\n")
    if sort_of == "no <unk>":
        content = content.replace("-1.0\t<unk>\n", "").replace("ngram 1=6", "ngram 1=5")
    if sort_of == "<UNK>":
        content = content.replace("<unk>", "<UNK>")
    if sort_of == "one chunk a line":
        monkeypatch.setattr(arpa_reader, "_CHUNK", 1)
    path.write_bytes(gzip.compress(content.encode()) if sort_of == "gzip" else content.encode())
    model = BackoffModel.load(path)
    for sentence, log10 in BY_HAND.items():
        found = model.log_prob(sentence.split()) / math.log(10)
        if sort_of == "no <unk>" and "ALIEN" in sentence:
            np.testing.assert_allclose(found, [-0.2, -0.25 - 0.2 - 100, -0.6, -0.5][: len(found)], atol=1e-9)
            continue
        np.testing.assert_allclose(found, log10, atol=1e-9)


WORD = st.sampled_from(["ONE", "TWO", "SIX", "ALIEN"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BackoffModel:
    path = tmp_path_factory.mktemp("arpa") / "lm.arpa"
    path.write_text(ARPA)
    return BackoffModel.load(path)


@given(sentence=st.lists(WORD, max_size=6))
@settings(max_examples=50)
def test_scores_are_those_of_the_recursion_word_for_word(sentence: list[str], model: BackoffModel) -> None:
    ngrams = ngrams_of(model)
    known = ["<s>", *(word if word in model else "<unk>" for word in sentence), "</s>"]
    expected = [slow_logp(ngrams, known[:place], known[place], model.order) for place in range(1, len(known))]
    np.testing.assert_allclose(model.log_prob(sentence), expected, atol=1e-12)


@pytest.mark.parametrize("empty", [1, 2, 5])
def test_orders_without_a_single_ngram_change_nothing(empty: int, load: Callable[[str], BackoffModel]) -> None:
    orders = range(4, 4 + empty)
    counts = "".join(f"ngram {order}=0\n" for order in orders)
    sections = "".join(f"\\{order}-grams:\n\n" for order in orders)
    model = load(ARPA.replace("ngram 3=2\n", f"ngram 3=2\n{counts}").replace("\\end", f"{sections}\\end"))
    assert model.order == 3 + empty
    for sentence, log10 in BY_HAND.items():
        np.testing.assert_allclose(model.log_prob(sentence.split()), np.array(log10) * math.log(10), atol=1e-12)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_a_saved_model_is_read_back_and_saved_again_it_is_the_same_file(
    name: str, load: Callable[[str], BackoffModel], tmp_path: Path
) -> None:
    model = load(ARPA)
    first, second = tmp_path / f"first-{name}", tmp_path / f"second-{name}"
    model.save(first)
    again = BackoffModel.load(first)
    assert again.words == model.words
    for read, made in zip(again.tables, model.tables, strict=True):
        np.testing.assert_array_equal(read.keys_K, made.keys_K)
        np.testing.assert_allclose(read.logp_K, made.logp_K, atol=1e-6)
        np.testing.assert_allclose(read.backoff_K, made.backoff_K, atol=1e-6)
    again.save(second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("\\data\\", "data", None, "no line \\data\\"),
        ("ngram 2=4", "ngram 3=4", 5, "expected 'ngram 2=COUNT'"),
        ("ngram 1=6\n", "ngram 1=0\n", 8, "expected 'ngram 1=COUNT' with words"),
        ("\\2-grams:", "\\4-grams:", 16, "expected \\2-grams:"),
        ("ngram 2=4", "ngram 2=3", 20, "expected \\3-grams:"),
        ("ngram 2=4", "ngram 2=5", 21, "expected a probability, 2 words"),
        ("-0.7\tSIX", "-0.7\tONE", 14, "'ONE' a second time"),
        ("-0.7\tSIX", "-0.7", 14, "expected a probability, a word"),
        ("-0.4\tONE TWO", "many\tONE TWO", 18, "logarithm of a probability first, found 'many ONE TWO'"),
        ("-0.4\tONE TWO", "nan\tONE TWO", 18, "logarithm of a probability first"),
        ("-0.4\tONE TWO", "0.4\tONE TWO", 18, "logarithm of a probability first"),
        ("-0.4\tONE TWO", "-0.4\tONE TWO x", 18, "logarithm of a probability first"),
        ("-0.4\tONE TWO", "-0.4\tONE TEN", 18, "'TEN' is not among the 1-grams"),
        ("-0.4\tONE TWO", "-0.4\t<s> ONE", 18, "the same n-gram as in line 17"),
        ("-0.3\tTWO ONE TWO", "-0.3\tSIX ONE TWO", 24, "'SIX ONE TWO' has a history that is no 2-gram"),
        ("<s>", "<S>", None, "no 1-gram '<s>'"),
        ("\\end\\\n", "", 26, "expected \\end\\, found the end of the file"),
        ("-0.3\tTWO ONE TWO\n\n\\end\\\n", "", 24, "expected 2 3-grams, found the end of the file"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(
    old: str, new: str, line: int | None, why: str, load: Callable[[str], BackoffModel], tmp_path: Path
) -> None:
    with pytest.raises(GrammarError) as caught:
        load(ARPA.replace(old, new))
    message = str(caught.value)
    assert why in message
    assert message.startswith(f"{tmp_path / 'lm.arpa'}:{line}:" if line else f"{tmp_path / 'lm.arpa'}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (gzip.compress(ARPA.encode())[:-20], "truncated"),
        (b"\x1f\x8b" + bytes(40), "damaged"),
        (ARPA.replace("SIX", "S\x00X").encode().replace(b"\x00", b"\xff"), "not UTF-8"),
    ],
    ids=["absent", "cut", "damaged", "not text"],
)
def test_a_file_that_cannot_be_read_is_one_line(content: bytes | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GrammarError, match=why) as caught:
        BackoffModel.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
