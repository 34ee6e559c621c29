"""`asr-kd make-graph`: from a lexicon to a graph that recognises, with a loop and with an n-gram model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_kd.cli.main import main
from asr_kd.decode.graph import DecodingGraph, save_graph
from asr_kd.decode.search import search
from asr_kd.hmm.states import StateInventory

ARPA = "\\data\\\nngram 1=4\n\n\\1-grams:\n-99 <s>\n-0.3 </s>\n-0.1 TWO\n-9 TO\n\n\\end\\\n"


@pytest.fixture
def lang(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text("u1 u1.wav\n")
    (data / "utt2spk").write_text("u1 s\n")
    (data / "text").write_text("u1 TWO\n")
    (tmp_path / "lexicon.txt").write_text("TWO T UW\nTO T UW\nTO T AH\n")
    assert main(["make-lang", str(data), str(tmp_path / "lexicon.txt"), str(tmp_path / "lang")]) == 0
    return tmp_path / "lang"


def said(inventory: StateInventory, phones: str) -> np.ndarray:
    labels = np.repeat([pdf for phone in phones.split() for pdf in inventory.phones[phone]], 4)
    scores_TP = np.full((len(labels), inventory.num_pdfs), -30.0, np.float32)
    scores_TP[np.arange(len(labels)), labels] = 0.0
    return scores_TP


def test_the_loop_recognises_and_a_second_run_is_a_no_op(lang: Path, tmp_path: Path) -> None:
    arguments = ["make-graph", str(lang), str(tmp_path / "graph"), "--silence-probability", "0.4"]
    assert main(arguments) == 0
    made = (tmp_path / "graph" / "run.json").read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / "graph" / "run.json").read_bytes() == made
    inventory = StateInventory.load(lang)
    about = json.loads((tmp_path / "graph" / "graph.json").read_text())
    assert about == {"num_pdfs": inventory.num_pdfs, "states": inventory.fingerprint, "silence_pdfs": [0, 1, 2, 3, 4]}
    graph = DecodingGraph.load(tmp_path / "graph")
    (found,) = search(graph, [("u", said(inventory, "SIL T_B AH_E T_B AH_E"))], acoustic_scale=1.0)
    assert found.words == ("TO", "TO")


def test_an_ngram_model_decides_between_homophones(lang: Path, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    flags = ["--grammar", "arpa", "--arpa", str(tmp_path / "lm.arpa")]
    assert main(["make-graph", str(lang), str(tmp_path / "graph"), *flags]) == 0
    graph = DecodingGraph.load(tmp_path / "graph")
    (found,) = search(graph, [("u", said(StateInventory.load(lang), "T_B UW_E"))], acoustic_scale=1.0)
    assert found.words == ("TWO",)


def test_a_graph_that_cannot_be_read_back_is_not_left_behind(
    lang: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(folder: Path, *given: Any) -> None:
        save_graph(folder, *given)
        (folder / "graph.json").write_text("{}")

    monkeypatch.setattr("asr_kd.cli.make_graph.save_graph", damaged)
    for _ in range(2):
        assert main(["make-graph", str(lang), str(tmp_path / "graph")]) == 1
    assert not (tmp_path / "graph").exists()


@pytest.mark.parametrize(
    ("flags", "code", "why"),
    [
        (["--grammar", "arpa"], 2, "--arpa FILE goes with"),
        (["--arpa", "lm"], 2, "--arpa FILE goes with"),
        (["--silence-probability", "1"], 2, "below 1"),
        (["--grammar", "arpa", "--arpa", "absent.arpa"], 1, "absent.arpa"),
    ],
)
def test_wrong_options_are_one_line(
    lang: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], code: int, why: str
) -> None:
    capsys.readouterr()
    assert main(["make-graph", str(lang), str(tmp_path / "graph"), *flags]) == code
    message = capsys.readouterr().err
    assert why in message
    assert "Traceback" not in message
