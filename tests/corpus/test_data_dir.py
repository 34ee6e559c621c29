"""Data directories: what is written is read back, and every mistake is an error that says where and what to do."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.corpus.data_dir import Utterance, data_fingerprint, load_data_dir, write_data_dir
from asr_kd.errors import DataError

GOOD = {
    "wav.scp": "ann-1 /audio/1.wav\nann-2 /audio/2.wav\nbob-1 /audio/3.wav\n",
    "text": "ann-1 ONE\nann-2 TWO THREE\nbob-1 FOUR\n",
    "utt2spk": "ann-1 ann\nann-2 ann\nbob-1 bob\n",
}


def make(folder: Path, **changes: str | None) -> Path:
    """A good data directory with some files changed or (None) left out; ``wav_scp`` stands for ``wav.scp``."""
    files: dict[str, str | None] = {**GOOD, **{name.replace("_", "."): text for name, text in changes.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_directory_loads_sorted_with_words_and_speakers(tmp_path: Path) -> None:
    utterances = load_data_dir(make(tmp_path / "d"))
    assert [(u.id, u.speaker, u.audio, u.words) for u in utterances] == [
        ("ann-1", "ann", "/audio/1.wav", ("ONE",)),
        ("ann-2", "ann", "/audio/2.wav", ("TWO", "THREE")),
        ("bob-1", "bob", "/audio/3.wav", ("FOUR",)),
    ]


@pytest.mark.parametrize(
    ("changes", "place", "said"),
    [
        ({"wav_scp": None}, "wav.scp", "missing file"),
        ({"utt2spk": None}, "utt2spk", "missing file"),
        ({"text": None}, "text", "missing file"),
        ({"text": ""}, "text", "empty file"),
        ({"wav_scp": "ann-1 /a\nann-2\nbob-1 /b\n"}, "wav.scp:2", "'ann-2' has no audio"),
        ({"utt2spk": "ann-1 ann\nann-2 ann x\nbob-1 bob\n"}, "utt2spk:2", "'ann-2' must have one speaker"),
        ({"text": "ann-1 ONE\nann-2 \nbob-1 FOUR\n"}, "text:2", "'ann-2' has no transcript"),
        ({"text": "ann-1 ONE\n\nann-2 TWO\nbob-1 FOUR\n"}, "text:2", "empty line"),
        ({"text": "ann-1 ONE\nann-2 TWO\nann-2 THREE\nbob-1 FOUR\n"}, "text:3", "'ann-2' a second time"),
        ({"text": "ann-2 TWO\nann-1 ONE\nbob-1 FOUR\n"}, "text:2", "not sorted"),
        ({"text": "ann-1 ONE\nbob-1 FOUR\n"}, "utt2spk:2", "'ann-2' is not in text"),
        ({"text": GOOD["text"] + "bob-2 FIVE\n"}, "text:4", "'bob-2' is not in utt2spk"),
        ({"utt2spk": "ann-1 ann\nbob-1 bob\n"}, "wav.scp:2", "'ann-2' is not in utt2spk"),
        ({"wav_scp": "ann-1 /a\nbob-1 /b\n"}, "utt2spk:2", "'ann-2' is not in wav.scp"),
        ({"wav_scp": "ann-1 /a\nann-2 sox /b -t wav - |\nbob-1 /b\n"}, "wav.scp:2", "--allow-commands"),
        ({"segments": "ann-1 r 0 1\n"}, "utt2spk:2", "'ann-2' is not in segments"),
        ({"segments": "ann-1 ann-1 0 1\nann-2 ann-2 2 1\nbob-1 bob-1 0 1\n"}, "segments:2", "start < end"),
        ({"segments": "ann-1 ann-1 0 1\nann-2 ann-2 0 nan\nbob-1 bob-1 0 1\n"}, "segments:2", "start < end"),
        ({"segments": "ann-1 ann-1 0 1\nann-2 ann-2 0\nbob-1 bob-1 0 1\n"}, "segments:2", "malformed"),
        ({"segments": "ann-1 ann-1 0 1\nann-2 zoe 0 1\nbob-1 bob-1 0 1\n"}, "segments:2", "'zoe' of 'ann-2' is not in"),
        ({"segments": "ann-1 ann-1 0 1\nann-2 ann-1 1 2\nbob-1 bob-1 0 1\n"}, "wav.scp:2", "'ann-2' is not in segm"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_that_names_file_line_and_remedy(
    tmp_path: Path, changes: dict[str, str | None], place: str, said: str
) -> None:
    folder = make(tmp_path / "d", **changes)
    with pytest.raises(DataError) as error:
        load_data_dir(folder)
    message = str(error.value)
    assert message.startswith(f"{folder}/{place}: ")
    assert said in message
    assert "asr-kd fix-data" in message
    assert "\n" not in message


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data directory"):
        load_data_dir(tmp_path / "nothing")


def test_text_that_is_not_utf8_is_an_error_with_its_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "d")
    (folder / "text").write_bytes(b"ann-1 ONE\nann-2 DEUXI\xc8ME\nbob-1 FOUR\n")
    with pytest.raises(DataError, match="text:2: not UTF-8"):
        load_data_dir(folder)


def test_windows_line_ends_and_byte_order_marks_do_not_become_part_of_ids_or_words(tmp_path: Path) -> None:
    folder = make(tmp_path / "d")
    for name, text in GOOD.items():
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_data_dir(folder) == load_data_dir(make(tmp_path / "unix"))


def test_ids_sort_by_bytes_and_not_by_locale(tmp_path: Path) -> None:
    rows = ["Z-1", "a-1", "é-1"]
    changes = {name: "".join(f"{key} x\n" for key in rows) for name in ("wav_scp", "text", "utt2spk")}
    assert [u.id for u in load_data_dir(make(tmp_path / "d", **changes))] == sorted(rows, key=str.encode)


def test_transcripts_are_optional_where_they_are_not_needed(tmp_path: Path) -> None:
    without = load_data_dir(make(tmp_path / "none", text=None), need_text=False)
    assert [u.words for u in without] == [None, None, None]
    some = load_data_dir(make(tmp_path / "some", text="ann-1 ONE\nbob-1\n"), need_text=False)
    assert [u.words for u in some] == [("ONE",), None, None]


def test_a_command_is_kept_as_it_is_where_allowed(tmp_path: Path) -> None:
    scp = "ann-1 sox -t wav x.wav - |\nann-2 /b\nbob-1 /c\n"
    assert load_data_dir(make(tmp_path / "d", wav_scp=scp), allow_commands=True)[0].audio == "sox -t wav x.wav - |"


def test_segments_cut_several_utterances_out_of_one_recording(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "d",
        wav_scp="tape-1 /audio/tape 1.wav\ntape-2 /audio/2.wav\n",
        segments="ann-1 tape-1 0.25 1.5\nann-2 tape-1 1.5 3\nbob-1 tape-2 0 -1\n",
    )
    assert [(u.recording, u.audio, u.start, u.end) for u in load_data_dir(folder)] == [
        ("tape-1", "/audio/tape 1.wav", 0.25, 1.5),
        ("tape-1", "/audio/tape 1.wav", 1.5, 3.0),
        ("tape-2", "/audio/2.wav", 0.0, None),
    ]


def test_a_relative_path_is_tried_from_here_and_then_from_the_folder_of_the_wav_scp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "1.wav").touch()
    folder = make(tmp_path / "d", wav_scp="ann-1 1.wav\nann-2 2.wav\nbob-1 /3.wav\n")
    (folder / "1.wav").touch()
    monkeypatch.chdir(here)
    assert [u.audio for u in load_data_dir(folder)] == ["1.wav", str(folder / "2.wav"), "/3.wav"]


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6).filter(
    lambda name: name.split() == [name] and not name.startswith("\ufeff")
)
times = st.floats(0, 1e5, allow_nan=False)


@st.composite
def utterances_of_a_directory(draw: st.DrawFn) -> list[Utterance]:
    segmented = draw(st.booleans())
    found = []
    for key in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        recording = draw(names) if segmented else key
        start = draw(times) if segmented else 0.0
        end = draw(st.none() | st.floats(start, 1e6, exclude_min=True)) if segmented else None
        found.append(
            Utterance(
                id=key,
                speaker=draw(names),
                audio=f"/{recording}.wav",
                words=draw(st.none() | st.lists(names, min_size=1, max_size=3).map(tuple)),
                start=start,
                end=end,
                recording=recording if segmented else None,
            )
        )
    return found


@settings(max_examples=50, deadline=None)
@given(utterances=utterances_of_a_directory())
def test_what_is_written_is_read_back_sorted(
    tmp_path_factory: pytest.TempPathFactory, utterances: list[Utterance]
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_data_dir(folder, utterances)
    assert load_data_dir(folder, need_text=False) == sorted(utterances, key=lambda u: u.id.encode())


def test_writing_lists_each_speakers_utterances_and_maps_audio_entries(tmp_path: Path) -> None:
    utterances = load_data_dir(make(tmp_path / "d"))
    write_data_dir(tmp_path / "out", reversed(utterances), {"/audio/2.wav": "2.flac"})
    assert (tmp_path / "out/spk2utt").read_text() == "ann ann-1 ann-2\nbob bob-1\n"
    assert (tmp_path / "out/wav.scp").read_text() == "ann-1 /audio/1.wav\nann-2 2.flac\nbob-1 /audio/3.wav\n"
    assert not (tmp_path / "out/segments").exists()


def test_writing_again_leaves_no_file_of_the_former_contents(tmp_path: Path) -> None:
    utterance = Utterance(id="a-1", speaker="a", audio="/a.wav", words=("ONE",), start=1.0, end=2.0)
    write_data_dir(tmp_path, [utterance])
    write_data_dir(tmp_path, [Utterance(id="b-1", speaker="b", audio="/b.wav")])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spk2utt", "utt2spk", "wav.scp"]


@pytest.mark.parametrize(
    ("utterances", "said"),
    [
        ([], "no utterances"),
        ([Utterance(id="a", speaker="s", audio="/x"), Utterance(id="a", speaker="s", audio="/x")], "'a' twice"),
        ([Utterance(id="a b", speaker="s", audio="/x")], "'a b' cannot be an id"),
        ([Utterance(id="a", speaker="", audio="/x")], "'' cannot be an id"),
        (
            [
                Utterance(id="a", speaker="s", audio="/x", recording="r"),
                Utterance(id="b", speaker="s", audio="/y", recording="r"),
            ],
            "recording 'r' has two audio files",
        ),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path: Path, utterances: list[Utterance], said: str) -> None:
    with pytest.raises(DataError, match=said):
        write_data_dir(tmp_path / "d", utterances)
    assert not (tmp_path / "d").exists()


def test_a_fingerprint_changes_with_the_content_of_each_file_and_with_nothing_else(tmp_path: Path) -> None:
    segments = "ann-1 ann-1 0 1\nann-2 ann-2 0 1\nbob-1 bob-1 0 1\n"
    first = data_fingerprint(make(tmp_path / "a", segments=segments))
    assert data_fingerprint(make(tmp_path / "b", segments=segments)) == first
    (tmp_path / "b" / "run.json").write_text("{}")
    assert data_fingerprint(tmp_path / "b") == first
    for name in ("wav.scp", "text", "utt2spk", "segments"):
        changed = make(tmp_path / f"changed-{name}", segments=segments)
        (changed / name).write_text((changed / name).read_text().replace("ann-2", "ann-3"))
        assert data_fingerprint(changed) != first
    with pytest.raises(DataError, match=r"wav\.scp: missing file"):
        data_fingerprint(tmp_path)


def test_the_fingerprint_changes_with_audio_that_a_command_made_beside_the_data(tmp_path: Path) -> None:
    data = tmp_path / "corpus" / "train"
    data.mkdir(parents=True)
    (data / "wav.scp").write_text("a a.wav\n")
    alone = data_fingerprint(data)
    found = {alone}
    for audio in ("0123", "4567"):
        (tmp_path / "corpus" / "run.json").write_text(json.dumps({"checksums": {"audio/a.wav": audio}}))
        found.add(data_fingerprint(data))
    assert len(found) == 3
