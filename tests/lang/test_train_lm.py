"""`asr-kd train-lm` and `asr-kd lm-report`: from texts to a model that other programs read."""

import json
import math
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
import pytest

from asr_kd.cli import lm_report, train_lm
from asr_kd.errors import DataError, StaleError, UsageError
from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.grammar import arpa_grammar
from asr_kd.lang.lexicon import Lexicon, load_lexicon
from asr_kd.lang.numbered_text import sentences_of
from asr_kd.lang.perplexity import measure
from asr_kd.lang.symbols import word_symbols
from asr_kd.options import parse

BOOK = "a b c\nb c a d\nc a\na b\na b c d\n" * 3
NEWS = "d d b\nd b\nd a d\n" * 4


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    for name, content in (("book", BOOK), ("news", NEWS), ("dev", "a b c\nd b\na b\n"), ("words", "a\nb\nc\nz\n")):
        (tmp_path / name).write_text(content)
    return tmp_path


def train(*words: Any) -> Path:
    options = parse(train_lm.Options, [str(word) for word in words], command="train-lm", description="")
    train_lm.run(options)
    return options.out


def report_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "report.json").read_text()))


def test_a_model_has_the_words_of_the_vocabulary_and_unk(texts: Path) -> None:
    out = train(texts / "book", texts / "lm", "--vocabulary", texts / "words", "--order", 2)
    model = BackoffModel.load(out / "lm.arpa.gz")
    assert set(model.words) == {"<unk>", "<s>", "</s>", "a", "b", "c", "z"}
    assert model.order == 2
    report = report_of(out)
    assert report["parts"][0]["words_outside_vocabulary"] == BOOK.count("d")
    assert report["ngrams"] == [len(table) for table in model.tables]


def test_the_same_command_does_nothing_and_another_text_is_refused(texts: Path) -> None:
    command = (texts / "book", texts / "lm", "--min-counts", 1, 2)
    first = (train(*command) / "lm.arpa.gz").stat().st_mtime_ns
    assert (train(*command) / "lm.arpa.gz").stat().st_mtime_ns == first
    (texts / "book").write_text(BOOK + "a\n")
    with pytest.raises(StaleError, match="text 1"):
        train(*command)


def test_files_under_another_name_make_the_same_model_and_with_another_content_are_refused(texts: Path) -> None:
    def command(words: str, dev: str) -> tuple[Any, ...]:
        return texts / "book", texts / "lm", "--vocabulary", texts / words, "--tune-on", texts / dev

    first = (train(*command("words", "dev")) / "lm.arpa.gz").stat().st_mtime_ns
    for name in ("words", "dev"):
        (texts / name).rename(texts / f"moved-{name}")
    assert (train(*command("moved-words", "moved-dev")) / "lm.arpa.gz").stat().st_mtime_ns == first
    for name, what in (("words", "vocabulary"), ("dev", "tuning text")):
        other = {"words": "moved-words", "dev": "moved-dev", name: "book"}
        with pytest.raises(StaleError, match=f"another {what}"):
            train(*command(**other))
    with pytest.raises(StaleError, match="another tuning text"):
        train(texts / "book", texts / "lm", "--vocabulary", texts / "moved-words")


def test_texts_without_weights_are_one_text(texts: Path) -> None:
    (texts / "all").write_text(BOOK + NEWS)
    apart, together = train(texts / "book", texts / "news", texts / "lm"), train(texts / "all", texts / "lm-all")
    assert (apart / "lm.arpa.gz").read_bytes() == (together / "lm.arpa.gz").read_bytes()


def test_tuned_interpolation_is_better_for_the_text_than_even_weights(texts: Path) -> None:
    both = (texts / "book", texts / "news")
    tuned = train(*both, texts / "tuned", "--tune-on", texts / "dev")
    even = train(*both, texts / "even", "--weights", 1, 1)
    assert report_of(even)["weights"] == [0.5, 0.5]
    dev = sentences_of(texts / "dev")
    found = measure(BackoffModel.load(tuned / "lm.arpa.gz"), dev)
    assert found.known < measure(BackoffModel.load(even / "lm.arpa.gz"), dev).known
    assert report_of(tuned)["tuned_on"]["known"] == pytest.approx(found.known, rel=1e-5)


def test_pruning_makes_a_smaller_model(texts: Path) -> None:
    large, small = train(texts / "book", texts / "large"), train(texts / "book", texts / "small", "--prune", 0.01)
    kept = report_of(small)
    assert kept["parts"][0]["ngrams_kept"] == report_of(large)["ngrams"]
    assert all(few < many for few, many in zip(kept["ngrams"][1:], report_of(large)["ngrams"][1:], strict=True))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--min-counts", "2", "1"], "must not fall"),
        (["--min-counts", "1", "1", "1", "1"], "1 to 3 counts"),
        (["--min-counts", "0"], "at least 1"),
        (["--order", "0"], "--order"),
        (["--prune", "-1e-8"], "--prune"),
        (["--max-words", "0"], "--max-words"),
        (["--weights", "0.5", "0.5"], "takes 1 weights"),
        (["--weights", "-1"], "not negative"),
        (["--weights", "1", "--tune-on", "dev"], "not both"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(words: list[str], why: str, texts: Path) -> None:
    with pytest.raises(UsageError, match=why):
        train(texts / "book", texts / "lm", *words)


def test_a_text_that_leaves_no_word_is_refused(texts: Path) -> None:
    with pytest.raises(DataError, match="no word is left"):
        train(texts / "book", texts / "lm", "--min-counts", 1000)
    assert not (texts / "lm").exists()


def test_the_report_is_a_table_with_a_row_for_each_text(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arpa = train(texts / "book", texts / "lm", "--min-counts", 3) / "lm.arpa.gz"
    (texts / "data").mkdir()
    (texts / "data" / "text").write_text("u1 a z\nu2 b c\n")
    words = [str(arpa), str(texts / "dev"), str(texts / "data")]
    lm_report.run(parse(lm_report.Options, words, command="lm-report", description=""))
    *_, dev, data = capsys.readouterr().out.splitlines()
    figures = measure(BackoffModel.load(arpa), sentences_of(texts / "dev"))
    assert f"| {figures.known:.1f} | {figures.with_unknown:.1f} |" in dev
    assert "| 2 | 4 | 1 (25.00 %) |" in data


def _grammar_cost(grammar: kaldifst.StdVectorFst, lexicon: Lexicon, sentence: list[str]) -> float:
    words = word_symbols(lexicon)
    acceptor = kaldifst.make_linear_acceptor([words.id(word) for word in sentence])
    for state in range(acceptor.num_states):
        acceptor.add_arc(state, kaldifst.StdArc(words.id("#0"), words.id("#0"), 0.0, state))
    kaldifst.arcsort(acceptor, "olabel")
    return float(
        kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(kaldifst.compose(acceptor, grammar)))[3].value
    )


def test_a_decoding_graph_weighs_sentences_as_the_model(texts: Path) -> None:
    arpa = train(texts / "book", texts / "lm", "--prune", 0.003, "--max-words", 3) / "lm.arpa.gz"
    lexicon = Lexicon(tuple((word, (word,)) for word in "abc"))
    grammar, model = arpa_grammar(arpa, lexicon), BackoffModel.load(arpa)
    for sentence in (["a", "b", "c"], ["c", "b"], ["a"], ["b", "b", "a", "a"]):
        # A back-off path may be cheaper than the n-gram it stands in for; no path is dearer.
        own = -model.log_prob(sentence).sum()
        assert _grammar_cost(grammar, lexicon, sentence) <= own + 1e-3
    assert _grammar_cost(grammar, lexicon, ["a", "b", "c"]) == pytest.approx(
        -model.log_prob(["a", "b", "c"]).sum(), abs=1e-3
    )


@pytest.fixture(scope="module")
def real(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pruned 4-gram of the transcripts of LibriSpeech's train part, and the corpus."""
    folder = corpora / "librispeech47"
    out = tmp_path_factory.mktemp("real") / "lm"
    return train(
        folder / "data/train", out, "--order", 4, "--prune", 1e-6, "--vocabulary", folder / "lexicon.txt"
    ), folder


def test_kenlm_gives_every_word_of_real_speech_the_same_probability(real: tuple[Path, Path]) -> None:
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed")
    out, folder = real
    other, model = kenlm.Model(str(out / "lm.arpa.gz")), BackoffModel.load(out / "lm.arpa.gz")
    sentences = sentences_of(folder / "data/dev")
    for words, logp in zip(sentences, model.log_probs(sentences), strict=True):
        theirs = [score for score, _, _ in other.full_scores(" ".join(words))]
        np.testing.assert_allclose(logp / math.log(10), theirs, atol=1e-4)


def test_transcripts_foretell_other_speakers_far_better_than_chance(real: tuple[Path, Path]) -> None:
    out, folder = real
    lexicon = load_lexicon(folder / "lexicon.txt")
    figures = measure(BackoffModel.load(out / "lm.arpa.gz"), sentences_of(folder / "data/dev"))
    assert figures.unknown == 184  # as the corpus says of its lexicon
    assert figures.known < len(lexicon.words) / 20
