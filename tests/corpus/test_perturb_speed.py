"""Speech at other speeds: what a copy is called, how long it lasts and how high it is."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir

RATE, TONE_HZ = 8000, 500.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    seconds = np.arange(2 * RATE) / RATE
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(2 * np.pi * TONE_HZ * seconds), RATE)
    write_data_dir(
        tmp_path / "data", [Utterance(id="s-1", speaker="s", audio=str(tmp_path / "tone.wav"), words=("A",))]
    )
    return tmp_path / "data"


def pitch(path: Path) -> float:
    samples, rate = soundfile.read(path)
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_a_copy_is_shorter_and_higher_where_it_is_faster(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        main(["perturb-speed", "--sample-rate", str(RATE), "--factors", "0.8", "1.25", "--", str(data), str(out)]) == 0
    )
    copies = {u.id: u for u in load_data_dir(out)}
    assert sorted(copies) == ["sp0.8-s-1", "sp1.25-s-1"]
    for factor, copy in ((0.8, copies["sp0.8-s-1"]), (1.25, copies["sp1.25-s-1"])):
        assert (copy.speaker, copy.words) == (f"sp{factor:g}-s", ("A",))
        assert soundfile.info(copy.audio).frames == pytest.approx(2 * RATE / factor, abs=2)
        assert pitch(Path(copy.audio)) == pytest.approx(TONE_HZ * factor, rel=0.01)


def test_untranscribed_copies_have_no_words(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["perturb-speed", "--transcripts", "false", "--factors", "0.9", "--", str(data), str(out)]) == 0
    assert [u.words for u in load_data_dir(out, need_text=False)] == [None]
    assert not (out / "text").exists()


@pytest.mark.parametrize("factors", [("0",), ("1.1", "1.1"), ("11",)])
def test_a_speed_that_cannot_be_is_refused(
    data: Path, tmp_path: Path, factors: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perturb-speed", "--factors", *factors, "--", str(data), str(tmp_path / "out")]) == 2
    assert "--factors" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
