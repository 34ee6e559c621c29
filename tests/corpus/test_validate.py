"""Validation lists everything at once; fixing leaves a directory in which validation finds nothing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.corpus.validate import fix, problems, warnings
from asr_kd.errors import DataError
from asr_kd.stage import read_run

RATE = 8000
IDS = ("ann-1", "ann-2", "bob-1", "bob-2", "cy-1")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Five utterances of three speakers, half a second each."""
    folder = tmp_path / "good"
    folder.mkdir()
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, RATE // 2)
    for key in IDS:
        soundfile.write(folder / f"{key}.wav", samples, RATE)
    (folder / "wav.scp").write_text("".join(f"{key} {key}.wav\n" for key in IDS))
    (folder / "text").write_text("".join(f"{key} ONE\n" for key in IDS))
    (folder / "utt2spk").write_text("".join(f"{key} {key.split('-')[0]}\n" for key in IDS))
    return folder


@pytest.fixture
def bad(good: Path) -> Path:
    """The same with one mistake of each kind."""
    (good / "wav.scp").write_text(
        "ann-1 ann-1.wav\nann-2 missing.wav\nbob-1 bob-1.wav\nbob-2 bob-2.wav\ncy-1 cy-1.wav\nzoe-1 z.wav\n"
    )
    (good / "text").write_text("bob-1 FOUR\nann-1 ONE\nann-2 TWO\nbob-2\ncy-1 FIVE\ncy-1 SIX\n")
    (good / "spk2utt").write_text("ann ann-1\nbob bob-1 bob-2\n")
    soundfile.write(good / "bob-1.wav", np.zeros((RATE, 2)), RATE)
    (good / "cy-1.wav").write_bytes((good / "cy-1.wav").read_bytes()[:-100])
    return good


def test_a_good_directory_has_no_problems(good: Path) -> None:
    assert problems(good, audio=True) == []
    assert warnings(good) == []


def test_all_problems_are_listed_at_once_each_with_file_and_line(bad: Path) -> None:
    found = problems(bad, audio=True)
    expected = [
        ("text:2", "not sorted"),
        ("text:4", "'bob-2' has no transcript"),
        ("text:6", "'cy-1' a second time"),
        ("wav.scp:6", "'zoe-1' is not in utt2spk"),
        ("spk2utt:1", "speaker 'ann' has other utterances"),
        ("spk2utt", "speaker 'cy' of utt2spk is missing"),
        ("wav.scp:2", "missing.wav: no such audio file"),
        ("wav.scp:3", "2 channels"),
        ("wav.scp:5", "truncated"),
    ]
    assert len(found) == len(expected), "\n".join(found)
    for (place, said), line in zip(expected, found, strict=True):
        assert line.startswith(f"{bad}/{place}: ")
        assert said in line


def test_audio_is_read_only_where_asked_for_but_must_be_there(bad: Path) -> None:
    found = problems(bad, audio=False)
    assert not any("wav.scp:3" in line or "truncated" in line for line in found)
    assert found[-1] == f"{bad}/wav.scp:2: utterance 'ann-2': {bad}/missing.wav: no such audio file"


def test_a_problem_of_a_segment_names_the_line_of_segments(good: Path) -> None:
    (good / "wav.scp").write_text("tape ann-1.wav\n")
    (good / "segments").write_text("".join(f"{key} tape {i / 10} {i / 10 + 0.2}\n" for i, key in enumerate(IDS)))
    found = problems(good, audio=True)
    assert len(found) == 1
    assert found[0].startswith(f"{good}/segments:5: utterance 'cy-1'")
    assert "beyond the end" in found[0]


def test_stereo_is_no_problem_where_its_channel_is_said(bad: Path) -> None:
    assert not any("channels" in line for line in problems(bad, audio=True, channel="mix"))


def test_a_speaker_who_is_no_prefix_of_the_utterance_is_only_a_warning(good: Path) -> None:
    (good / "utt2spk").write_text("".join(f"{key} x{key.split('-')[0]}\n" for key in IDS))
    assert problems(good, audio=False) == []
    (warning,) = warnings(good)
    assert f"{good}/utt2spk:1" in warning
    assert "5 utterances" in warning


def test_fixing_drops_what_cannot_be_used_and_says_each_and_why(bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = fix(bad, out, audio=True)
    assert [u.id for u in load_data_dir(out)] == ["ann-1"]
    assert problems(out, audio=True) == []
    for key in ("ann-2", "bob-1", "bob-2", "zoe-1"):
        assert any(line.startswith("dropped: ") and f"'{key}'" in line for line in said)
    assert any(line.startswith("mended: ") and "not sorted" in line for line in said)


def test_fixing_without_reading_audio_still_drops_missing_files(bad: Path, tmp_path: Path) -> None:
    fix(bad, tmp_path / "out")
    assert [u.id for u in load_data_dir(tmp_path / "out")] == ["ann-1", "bob-1", "cy-1"]


def test_of_an_id_that_is_there_twice_fixing_keeps_the_first(bad: Path, tmp_path: Path) -> None:
    fix(bad, tmp_path / "out")
    assert "cy-1 FIVE" in lines(tmp_path / "out" / "text")


def test_fixing_keeps_untranscribed_utterances_where_transcripts_are_not_needed(good: Path, tmp_path: Path) -> None:
    (good / "text").write_text("ann-1 ONE\n")
    fix(good, tmp_path / "out", need_text=False)
    assert lines(tmp_path / "out" / "text") == ["ann-1 ONE"]
    assert len(load_data_dir(tmp_path / "out", need_text=False)) == 5


def test_fixing_what_holds_nothing_usable_is_an_error_with_the_reason(good: Path, tmp_path: Path) -> None:
    (good / "wav.scp").unlink()
    with pytest.raises(DataError, match=r"no utterance can be used.*wav\.scp: missing file"):
        fix(good, tmp_path / "out")


def test_the_copy_finds_its_audio_from_any_folder(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good.parent)
    fix(Path("good"), Path("deep/er/out"))
    monkeypatch.chdir("/")
    assert problems(tmp_path / "deep/er/out", audio=True) == []


GOOD_ROWS = ["ann-1 ann", "ann-2 ann", "bob-1 bob"]
BAD_ROWS = ["bob-1", "", "zz", "cy-1 a b", "ann-1 ann-1 0 0.2", "ann-2 ann-1 1 0", "ann-1 ann"]
rows = st.lists(st.sampled_from(BAD_ROWS), max_size=2).flatmap(
    lambda bad: st.just(sorted(GOOD_ROWS + bad)) | st.permutations(GOOD_ROWS + bad)
)


@settings(max_examples=50, deadline=None)
@given(wav=rows, text=rows, speakers=rows, segments=st.none() | rows)
def test_whatever_the_mistakes_loading_fails_exactly_where_problems_are_found_and_a_fixed_copy_has_none(
    tmp_path_factory: pytest.TempPathFactory,
    wav: list[str],
    text: list[str],
    speakers: list[str],
    segments: list[str] | None,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    for value in ("ann", "bob", "ann-1 0 0.2", "a b"):
        (folder / value).touch()
    for name, found in {"wav.scp": wav, "text": text, "utt2spk": speakers, "segments": segments}.items():
        if found is not None:
            (folder / name).write_text("\n".join(found) + "\n")
    if problems(folder, audio=False):
        with pytest.raises(DataError):
            load_data_dir(folder)
    else:
        load_data_dir(folder)
    try:
        fix(folder, folder / "out")
    except DataError as error:
        assert "no utterance can be used" in str(error)
    else:
        assert problems(folder / "out", audio=False) == []


def test_validate_data_prints_the_list_and_exits_with_1(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate-data", "--audio", str(bad)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == problems(bad, audio=True)
    assert printed.err.splitlines()[-1].startswith(f"asr-kd validate-data: {bad}: 9 problems")


def test_validate_data_of_a_good_directory_exits_with_0(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate-data", str(good), "--audio", "true"]) == 0
    assert "5 utterances of 3 speakers" in capsys.readouterr().out


def test_validate_data_can_do_without_transcripts(good: Path) -> None:
    (good / "text").unlink()
    assert main(["validate-data", str(good)]) == 1
    assert main(["validate-data", str(good), "--need-text", "false"]) == 0


def test_fix_data_makes_a_finished_stage_and_is_a_no_op_the_second_time(bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["fix-data", str(bad), str(out), "--audio"]) == 0
    before = (out / "run.json").read_text()
    assert "wav.scp" in read_run(out)["checksums"]
    assert main(["fix-data", str(bad), str(out), "--audio"]) == 0
    assert (out / "run.json").read_text() == before
    assert main(["fix-data", str(bad), str(out)]) == 1
