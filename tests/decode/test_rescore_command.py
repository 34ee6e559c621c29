"""`decode --num-best`, `rescore` and `make-ctm` on the corpus of tones: directories that score and sclite take."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tone_pipeline import LEXICON, NUM_UTTERANCES, Pipeline, asr_kd

from asr_kd.cli import make_ctm, rescore
from asr_kd.decode.nbest_file import read_nbest
from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.options import parse
from asr_kd.score.decoded import read_decoded
from asr_kd.score.systems import require_same_test_set
from asr_kd.score.wer import WordCounts

ARPA = "\\data\\\nngram 1=6\n\n\\1-grams:\n-99 <s>\n-0.7 </s>\n" + "".join(f"-0.6 {word}\n" for word in LEXICON)


def run(command: object, *words: object) -> None:
    name = command.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    command.run(parse(command.Options, [str(word) for word in words], command=name, description=""))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def decoded(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nbest") / "decoded"
    flags = ("--name", "distilled", "--num-best", 20, "--lattice-beam", 20)
    asr_kd(
        "decode", *flags, *pipeline.decoding, "--", pipeline.exp / "graph", pipeline.exp / "students/distilled-1", out
    )
    return out


@pytest.fixture(scope="module")
def rescored(decoded: Path) -> Path:
    lm, out = decoded.parent / "lm.arpa", decoded.parent / "rescored"
    lm.write_text(f"{ARPA}\n\\end\\\n")
    run(rescore, decoded, lm, out)
    return out


def test_the_lists_of_both_sets_begin_with_what_was_recognised(decoded: Path, pipeline: Pipeline) -> None:
    plain = pipeline.exp / "decode/distilled-1"
    assert (decoded / "hyp.txt").read_text() == (plain / "hyp.txt").read_text()
    for name in ("dev", "test"):
        lists = read_nbest(decoded / f"nbest/{name}.tsv.gz")
        assert len(lists) == NUM_UTTERANCES[name]
        assert all(len({s.words for s in found}) == len(found) <= 20 for found in lists.values())
        assert sum(len(found) for found in lists.values()) > 5 * len(lists)
    words = dict(line.split(maxsplit=1) for line in (decoded / "hyp.txt").read_text().splitlines())
    assert {utterance: " ".join(found[0].words) for utterance, found in lists.items()} == words
    assert json.loads((decoded / "system.json").read_text())["nbest_rtf"] > 0


def test_tuned_on_some_utterances_the_error_is_still_that_of_all(pipeline: Pipeline, tmp_path: Path) -> None:
    graph, model = pipeline.exp / "graph", pipeline.exp / "students/distilled-1"
    asr_kd("decode", "--name", "x", *pipeline.decoding, "--tune-utterances", 4, "--", graph, model, tmp_path / "some")
    some = read_decoded(tmp_path / "some").info
    chosen = ("--acoustic-scales", some.acoustic_scale, "--insertion-penalties", some.insertion_penalty)
    asr_kd("decode", "--name", "x", *pipeline.decoding, *chosen, "--", graph, model, tmp_path / "all")
    assert read_decoded(tmp_path / "all").info.dev_wer == some.dev_wer


def test_a_rescored_directory_is_a_system_on_the_same_test_set(decoded: Path, rescored: Path) -> None:
    before, after = read_decoded(decoded), read_decoded(rescored)
    require_same_test_set(before, after)
    system = json.loads((rescored / "system.json").read_text())
    assert system["name"] == "distilled+1-gram"
    assert system["dev_oracle_wer"] <= system["dev_wer"] <= before.info.dev_wer
    assert system["oracle_wer"] <= after.words.wer
    assert (rescored / "frames.tsv").read_bytes() == (decoded / "frames.tsv").read_bytes()


def test_the_words_of_least_risk_are_one_of_the_lists(decoded: Path, rescored: Path) -> None:
    careful = rescored.parent / "careful"
    run(rescore, "--minimum-risk", "--", decoded, decoded.parent / "lm.arpa", careful)
    assert json.loads((careful / "system.json").read_text())["minimum_risk"] is True
    lists = read_nbest(decoded / "nbest/test.tsv.gz")
    for utterance, *words in (line.split() for line in (careful / "hyp.txt").read_text().splitlines()):
        assert tuple(words) in [sentence.words for sentence in lists[utterance]]


def test_lists_that_were_not_kept_are_asked_for(pipeline: Pipeline, decoded: Path, rescored: Path) -> None:
    with pytest.raises(DataError, match=r"nbest/dev.tsv.gz: no such file; decode with --num-best"):
        run(rescore, pipeline.exp / "decode/distilled-1", decoded.parent / "lm.arpa", decoded.parent / "none")
    assert not (decoded.parent / "none").exists()


def test_what_is_taken_out_of_the_costs_must_be_what_the_graph_put_in(
    pipeline: Pipeline, decoded: Path, rescored: Path, tmp_path: Path
) -> None:
    lm = decoded.parent / "lm.arpa"
    with pytest.raises(MismatchError, match="a loop of words; leave out --old-lm"):
        run(rescore, "--old-lm", lm, "--", decoded, lm, tmp_path / "none")
    other = tmp_path / "other.arpa"
    other.write_text(lm.read_text().replace("-0.7", "-0.8"))
    asr_kd("make-graph", "--grammar", "arpa", "--arpa", lm, "--", pipeline.exp / "lang", tmp_path / "graph")
    model, out = pipeline.exp / "students/distilled-1", tmp_path / "decoded"
    asr_kd("decode", "--name", "x", "--num-best", 5, *pipeline.decoding, "--", tmp_path / "graph", model, out)
    with pytest.raises(MismatchError, match="give its ARPA file as --old-lm"):
        run(rescore, out, lm, tmp_path / "none")
    with pytest.raises(MismatchError, match="not the very file"):
        run(rescore, "--old-lm", other, "--", out, lm, tmp_path / "none")
    run(rescore, "--old-lm", lm, "--", out, lm, tmp_path / "rescored")


def ctm_rows(path: Path) -> Iterator[tuple[str, float, float, str, float]]:
    for line in path.read_text().splitlines():
        utterance, channel, start, duration, word, confidence = line.split()
        assert channel == "1"
        yield utterance, float(start), float(duration), word, float(confidence)


def test_word_times_follow_one_another_within_the_utterance(pipeline: Pipeline, rescored: Path) -> None:
    model, out = pipeline.exp / "students/distilled-1", rescored.parent / "ctm"
    run(make_ctm, rescored, pipeline.exp / "lang", pipeline.exp / "frames/test", model, out)
    rows = list(ctm_rows(out / "hyp.ctm"))
    index = FrameStore(pipeline.exp / "frames/test").index
    seconds = dict(zip(index.utterances, index.counts / 100, strict=True))
    for (utterance, start, duration, _, _), (following, later, *_) in pairwise(rows):
        assert later >= start + duration - 1e-9 or following != utterance
        assert start + duration <= seconds[utterance] + 1e-9
    # Tones of 70 to 110 ms, two or three a word.
    assert all(0.08 <= duration <= 0.6 and 0 < sure <= 1 for _, _, duration, _, sure in rows)
    spoken = {}
    for utterance, _, _, word, _ in rows:
        spoken.setdefault(utterance, []).append(word)
    hypotheses = (line.split() for line in (rescored / "hyp.txt").read_text().splitlines())
    assert spoken == {utterance: words for utterance, *words in hypotheses if words}


def test_word_times_are_of_the_frames_that_were_decoded(pipeline: Pipeline, rescored: Path, tmp_path: Path) -> None:
    model, out = pipeline.exp / "students/distilled-1", tmp_path / "ctm"
    with pytest.raises(MismatchError, match="give the frames that were decoded"):
        run(make_ctm, rescored, pipeline.exp / "lang", pipeline.exp / "frames/dev", model, out)
    assert not out.exists()


@pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's sctk is not installed (apt-get install sctk)")
def test_sclite_reads_the_ctm(pipeline: Pipeline, rescored: Path, tmp_path: Path) -> None:
    model, out = pipeline.exp / "students/distilled-1", tmp_path / "ctm"
    run(make_ctm, rescored, pipeline.exp / "lang", pipeline.exp / "frames/test", model, out)
    stm = [
        f"{utterance} 1 {speaker} 0 1000 {words}"
        for (utterance, words), speaker in zip(
            (line.split(maxsplit=1) for line in (rescored / "ref.txt").read_text().splitlines()),
            (line.split()[1] for line in (rescored / "utt2spk").read_text().splitlines()),
            strict=True,
        )
    ]
    (tmp_path / "ref.stm").write_text("\n".join(stm) + "\n")
    given = f"-r {tmp_path}/ref.stm stm -h {out}/hyp.ctm ctm -o rsum stdout"
    said = subprocess.run(["sctk", "sclite", *given.split()], capture_output=True, text=True, check=True).stdout
    total = next(line for line in said.splitlines() if line.split()[:2] == ["|", "Sum"])
    counts = read_decoded(rescored).words
    assert total.split()[3:10] == [str(v) for v in (len(counts.sub), counts.ref_words.sum(), "|", *of(counts))]


def of(counts: WordCounts) -> tuple[int, int, int, int]:
    """Correct words, substitutions, deletions and insertions."""
    sub, dele, ins = (int(part.sum()) for part in (counts.sub, counts.dele, counts.ins))
    return int(counts.ref_words.sum()) - sub - dele, sub, dele, ins
