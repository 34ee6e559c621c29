"""`asr-kd make-lang`: what it writes, and words outside the lexicon."""

import json
from pathlib import Path

import pytest

from asr_kd.cli.main import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "wav.scp").write_text("u1 u1.wav\nu2 u2.wav\n")
    (directory / "utt2spk").write_text("u1 s\nu2 s\n")
    (directory / "text").write_text("u1 OH ONE\nu2 ONE\n")
    (tmp_path / "lexicon.txt").write_text("OH OW\nONE W AH N\n")
    return directory


def test_lexicon_symbols_and_states_are_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "lang"
    arguments = ["make-lang", str(data), str(tmp_path / "lexicon.txt"), str(out)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert (out / "lexicon.txt").read_text() == "OH OW_S\nONE W_B AH_I N_E\n"
    assert (out / "words.txt").read_text().split()[::2] == ["<eps>", "OH", "ONE", "#0", "<s>", "</s>"]
    assert (out / "phones.txt").read_text().split()[::2][:3] == ["<eps>", "SIL", "AH_I"]
    states = json.loads((out / "states.json").read_text())
    assert states["num_pdfs"] == 5 + 4 * 3
    assert states["phones"]["SIL"] == [0, 1, 2, 3, 4]


def test_topology_and_positions_are_options(data: Path, tmp_path: Path) -> None:
    flags = ["--position-dependent-phones", "false", "--num-states=2", "--silence-states=1", "--silence-phone=_"]
    assert main(["make-lang", str(data), str(tmp_path / "lexicon.txt"), str(tmp_path / "lang"), *flags]) == 0
    states = json.loads((tmp_path / "lang" / "states.json").read_text())
    assert states["phones"] == {"_": [0], "AH": [1, 2], "N": [3, 4], "OW": [5, 6], "W": [7, 8]}


@pytest.mark.parametrize("phone", ["", "#0", "<eps>", "S IL"])
def test_the_silence_phone_is_a_phone(
    data: Path, tmp_path: Path, phone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["make-lang", str(data), str(tmp_path / "lexicon.txt"), str(tmp_path / "lang")]
    assert main([*arguments, f"--silence-phone={phone}"]) == 2
    assert "--silence-phone: one word" in capsys.readouterr().err
    assert not (tmp_path / "lang").exists()


def test_words_outside_the_lexicon_stop_it(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "text").write_text("u1 OH TEN\nu2 SIX\n")
    assert main(["make-lang", str(data), str(tmp_path / "lexicon.txt"), str(tmp_path / "lang")]) == 1
    message = capsys.readouterr().err
    assert "SIX (1x, as in u2), TEN (1x, as in u1)" in message
    assert not (tmp_path / "lang").exists()
