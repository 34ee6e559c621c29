"""Grammars weigh sentences as they should: the loop evenly, an n-gram model as its ARPA file says."""

import gzip
import math
import resource
from dataclasses import replace
from pathlib import Path

import kaldifst
import pytest

from asr_kd.errors import GrammarError
from asr_kd.lang.grammar import arpa_grammar, word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import word_symbols

LEXICON = Lexicon((("ONE", ("w",)), ("TWO", ("t",)), ("SIX", ("s",))))
# With what trips converters up: <unk>, a word outside the lexicon, an n-gram of it, <s> <s>.
ARPA = """\\data\\
ngram 1=6
ngram 2=5

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.9\t</s>
-0.5\tONE\t-0.2
-0.6\tTWO\t-0.1
-0.7\tALIEN

\\2-grams:
-0.2\t<s> ONE
-0.4\tONE TWO
-0.5\tTWO </s>
-0.1\tONE ALIEN
-0.1\t<s> <s>

\\end\\
"""


def sentence_cost(grammar: kaldifst.StdVectorFst, sentence: str) -> float:
    """The least cost of a word sequence; back-off arcs are free to take."""
    words = word_symbols(LEXICON)
    labels = [words.id(word) for word in sentence.split()]
    acceptor = kaldifst.make_linear_acceptor(labels)
    for state in range(acceptor.num_states):
        acceptor.add_arc(state, kaldifst.StdArc(words.id("#0"), words.id("#0"), 0.0, state))
    kaldifst.arcsort(acceptor, "olabel")
    found = kaldifst.compose(acceptor, grammar)
    if found.start < 0:
        return math.inf
    linear, _, _, weight = kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(found))
    assert linear
    return weight.value


def test_the_loop_takes_one_or_more_words_all_alike() -> None:
    grammar = word_loop(LEXICON)
    assert sentence_cost(grammar, "") == math.inf
    for sentence in ("SIX", "ONE ONE", "TWO ONE SIX"):
        assert sentence_cost(grammar, sentence) == pytest.approx(len(sentence.split()) * math.log(3), rel=1e-5)


@pytest.mark.parametrize("zipped", [False, True])
def test_an_ngram_model_weighs_sentences_as_its_arpa_file_says(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(gzip.compress(ARPA.encode()) if zipped else ARPA.encode())
    grammar = arpa_grammar(path, LEXICON)
    by_hand = {
        "ONE TWO": -0.2 - 0.4 - 0.5,  # bigrams only
        "TWO": (-0.3 - 0.6) - 0.5,  # backs off from <s>
        "ONE": -0.2 + (-0.2 - 0.9),  # backs off to the end
        "ONE ONE": -0.2 + (-0.2 - 0.5) + (-0.2 - 0.9),
        "TWO TWO ONE": (-0.3 - 0.6) + (-0.1 - 0.6) + (-0.1 - 0.5) + (-0.2 - 0.9),
    }
    for sentence, log10 in by_hand.items():
        assert sentence_cost(grammar, sentence) == pytest.approx(-log10 * math.log(10), rel=1e-4)
    assert sentence_cost(grammar, "SIX") == math.inf


def test_the_word_for_unknown_ones_is_never_recognised(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    lexicon = replace(LEXICON, oov="TWO")
    assert sentence_cost(arpa_grammar(path, lexicon), "ONE") < math.inf
    assert sentence_cost(arpa_grammar(path, lexicon), "ONE TWO") == math.inf
    assert sentence_cost(word_loop(lexicon), "ONE SIX") == pytest.approx(2 * math.log(2), rel=1e-5)
    assert sentence_cost(word_loop(lexicon), "TWO") == math.inf


def test_dropped_and_absent_words_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    arpa_grammar(path, LEXICON)
    assert "2 of 4 words are not in the lexicon" in caplog.text
    assert "lacks 1 of the lexicon's 3 words" in caplog.text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no section"),
        (b"hello\n", "no section"),
        (b"\\1-grams:\n-1 ONE\n\\end\\\n", "data"),
        (ARPA.replace("-0.5\tONE", "many\tONE").encode(), "ARPA"),
        (ARPA.replace("\\end\\", "").encode(), "ARPA"),
        (ARPA.replace("ONE", "one").replace("TWO", "two").encode(), "none of its 4 words"),
        (gzip.compress(ARPA.encode(), mtime=0)[:-20], "truncated"),
        (gzip.compress(ARPA.encode(), mtime=0)[:10] + b"\xff" * 20, "damaged"),
    ],
)
def test_a_malformed_arpa_file_is_an_error_and_not_a_crash(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(content)
    with pytest.raises(GrammarError, match=why) as caught:
        arpa_grammar(path, LEXICON)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_arpa_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GrammarError, match="no such file"):
        arpa_grammar(tmp_path / "absent.arpa", LEXICON)


def test_a_full_disk_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    largest, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
    try:
        with pytest.raises(GrammarError, match=r"cannot unpack .*lm\.arpa there"):
            arpa_grammar(path, LEXICON)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, most))
