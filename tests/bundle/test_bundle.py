"""A bundle recognises as its model was decoded, and a file that was altered is found out."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_pipeline import RATE, Pipeline

from asr_kd.bundle.contents import BUNDLE_FILE, OWN_CHECKSUM, RecognitionSettings, read_bundle
from asr_kd.bundle.packing import write_bundle
from asr_kd.bundle.recognizer import Recognizer
from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.errors import DataError, MismatchError
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.stage import digest

SETTINGS = RecognitionSettings(acoustic_scale=0.3, insertion_penalty=0.0, beam=13.0, max_active=7000)


@pytest.fixture
def bundle(pipeline: Pipeline, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(pipeline.exp / "bundle", tmp_path / "bundle"))


def hypotheses(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    rows = [line.split() for line in (pipeline.exp / "decode/distilled-1/hyp.txt").read_text().splitlines()]
    return {row[0]: tuple(row[1:]) for row in rows}


@pytest.mark.parametrize("nj", [1, 2])
def test_recognize_prints_the_words_that_decode_found(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], nj: int
) -> None:
    files = [utterance.audio for utterance in load_data_dir(pipeline.tones / "data/test")]
    capsys.readouterr()
    assert main(["recognize", "--nj", str(nj), str(pipeline.exp / "bundle"), *files]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in printed] == [Path(file).stem for file in files]
    assert {line[0]: tuple(line[1:]) for line in printed} == hypotheses(pipeline)


def test_the_library_call_is_two_lines(pipeline: Pipeline) -> None:
    utterance = load_data_dir(pipeline.tones / "data/test")[0]
    found = Recognizer(pipeline.exp / "bundle").recognize(utterance.audio)
    assert (found.utt, found.words) == (utterance.id, hypotheses(pipeline)[utterance.id])
    assert found.reached_final


def test_a_bundle_stands_alone(pipeline: Pipeline, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was made from may go; nothing in it is a path."""
    monkeypatch.chdir(bundle.parent)
    utterance = load_data_dir(pipeline.tones / "data/test")[1]
    shutil.copy(utterance.audio, bundle.parent / "call.wav")
    assert Recognizer("bundle").recognize("call.wav").words == hypotheses(pipeline)[utterance.id]
    assert str(pipeline.exp) not in (bundle / BUNDLE_FILE).read_text()


def test_audio_of_another_rate_and_container_says_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    utterance = load_data_dir(pipeline.tones / "data/test")[2]
    samples, _ = soundfile.read(utterance.audio, dtype="float32")
    soundfile.write(tmp_path / "same.flac", samples, RATE)
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), RATE)
    recognizer = Recognizer(pipeline.exp / "bundle")
    expected = hypotheses(pipeline)[utterance.id]
    assert recognizer.recognize(tmp_path / "same.flac").words == expected
    assert recognizer.recognize(tmp_path / "stereo.wav", channel="mix").words == expected
    with pytest.raises(DataError, match="2 channels"):
        recognizer.recognize(tmp_path / "stereo.wav")


def test_it_says_what_is_in_it_and_holds_the_model_unchanged(pipeline: Pipeline) -> None:
    about = read_bundle(pipeline.exp / "bundle")
    student = AcousticModel.load(pipeline.exp / "students/distilled-1")
    tuned = json.loads((pipeline.exp / "decode/distilled-1/system.json").read_text())
    assert about["parameters"] == student.num_parameters
    assert about["recognition"]["acoustic_scale"] == tuned["acoustic_scale"]
    assert about["recognition"]["insertion_penalty"] == tuned["insertion_penalty"]
    assert about["features"] == student.card.features
    assert AcousticModel.load(pipeline.exp / "bundle").fingerprint == student.fingerprint
    assert set(about["checksums"]) == {
        "model.safetensors",
        "HCLG.fst",
        "words.txt",
        "graph.json",
    }


FILES = ("model.safetensors", "HCLG.fst", "words.txt", "graph.json")


@pytest.mark.parametrize("file", FILES)
def test_an_altered_file_is_an_error_that_names_it(bundle: Path, file: str) -> None:
    content = bytearray((bundle / file).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / file).write_bytes(content)
    with pytest.raises(DataError, match=f"{bundle / file}: does not match its checksum"):
        Recognizer(bundle)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_an_error_that_names_it(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    with pytest.raises(DataError, match=f"{bundle / file}: missing"):
        Recognizer(bundle)


def about(bundle: Path, **changes: object) -> None:
    content = json.loads((bundle / BUNDLE_FILE).read_text())
    del content[OWN_CHECKSUM]
    changed = {key: value for key, value in (content | changes).items() if value is not None}
    (bundle / BUNDLE_FILE).write_text(json.dumps(changed | {OWN_CHECKSUM: digest(changed)}))


def altered_settings(bundle: Path) -> None:
    text = (bundle / BUNDLE_FILE).read_text()
    (bundle / BUNDLE_FILE).write_text(text.replace('"max_active": 7', '"max_active": 8'))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no bundle": shutil.rmtree,
    "no description": lambda bundle: (bundle / BUNDLE_FILE).unlink(),
    "a description cut off": lambda bundle: (bundle / BUNDLE_FILE).write_text('{"format": 2,'),
    "an older format": lambda bundle: about(bundle, format=1),
    "a newer format": lambda bundle: about(bundle, format=3),
    "no checksums": lambda bundle: about(bundle, checksums=None),
    "a file without a checksum": lambda bundle: about(bundle, checksums={}),
    "no features": lambda bundle: about(bundle, features=None),
    "unknown features": lambda bundle: about(bundle, features={"fbank": {"num_mfcc": 13}}),
    "altered settings": altered_settings,
    "no settings": lambda bundle: about(bundle, recognition=None),
    "unknown settings": lambda bundle: about(bundle, recognition={"lattice_beam": 8}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_whole_bundle_is_one_line(
    pipeline: Pipeline, bundle: Path, complaint: Callable[[], str], damage: str
) -> None:
    DAMAGES[damage](bundle)
    utterance = load_data_dir(pipeline.tones / "data/test")[0]
    assert main(["recognize", str(bundle), utterance.audio]) == 1
    assert str(bundle) in complaint()


def test_audio_that_cannot_be_recognised_is_named(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    bundle = str(pipeline.exp / "bundle")
    assert main(["recognize", bundle, str(tmp_path / "absent.wav")]) == 1
    assert "absent.wav: no such audio file" in complaint()
    soundfile.write(tmp_path / "click.wav", np.zeros(100, np.float32), RATE)
    assert main(["recognize", bundle, str(tmp_path / "click.wav")]) == 1
    assert "click.wav: shorter than one frame" in complaint()


def test_a_graph_of_other_states_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    data, lexicon = pipeline.tones / "data/test", pipeline.tones / "lexicon.txt"
    assert main(["make-lang", "--num-states", "2", str(data), str(lexicon), str(tmp_path / "lang")]) == 0
    assert main(["make-graph", str(tmp_path / "lang"), str(tmp_path / "graph")]) == 0
    student = pipeline.exp / "students/distilled-1"
    with pytest.raises(MismatchError) as error:
        write_bundle(tmp_path, model=student, graph=tmp_path / "graph", settings=SETTINGS)
    for part in (str(student), str(tmp_path / "graph"), AcousticModel.load(student).card.states_fingerprint):
        assert part in str(error.value)


def test_another_models_results_are_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    """Scale and penalty tuned for one model are not those of another."""
    exp = pipeline.exp
    words = ["--decoded", exp / "decode/ensemble", exp / "students/distilled-1", exp / "graph"]
    assert main(["make-bundle", *map(str, words), str(tmp_path / "bundle")]) == 1
    assert str(exp / "decode/ensemble") in complaint()


def test_another_graphs_results_are_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    exp, graph = pipeline.exp, tmp_path / "graph"
    assert main(["make-graph", "--silence-probability", "0.1", str(exp / "lang"), str(graph)]) == 0
    words = ["--decoded", exp / "decode/distilled-1", exp / "students/distilled-1", graph]
    assert main(["make-bundle", *map(str, words), str(tmp_path / "bundle")]) == 1
    assert f"not decoded with {graph}" in complaint()


def test_the_search_is_as_wide_as_it_was_when_scale_and_penalty_were_tuned(pipeline: Pipeline, tmp_path: Path) -> None:
    exp, decoded = pipeline.exp, tmp_path / "decoded"
    shutil.copytree(exp / "decode/distilled-1", decoded)
    system = json.loads((decoded / "system.json").read_text())
    (decoded / "system.json").write_text(json.dumps(system | {"beam": 11.0, "max_active": 300}))
    words = ["--decoded", decoded, exp / "students/distilled-1", exp / "graph"]
    for flags, expected in (([], (11.0, 300)), (["--beam", "9"], (9.0, 300)), (["--max-active", "50"], (11.0, 50))):
        out = tmp_path / "-".join(["bundle", *flags])
        assert main(["make-bundle", *flags, *map(str, words), str(out)]) == 0
        found = read_bundle(out)["recognition"]
        assert (found["beam"], found["max_active"]) == expected
        assert found["acoustic_scale"] == system["acoustic_scale"]


@pytest.mark.parametrize(("flags", "expected"), [([], 1.5), (["--insertion-penalty", "0"], 0.0)])
def test_a_penalty_that_is_given_counts_before_the_one_it_was_decoded_with(
    pipeline: Pipeline, tmp_path: Path, flags: list[str], expected: float
) -> None:
    exp, decoded = pipeline.exp, tmp_path / "decoded"
    shutil.copytree(exp / "decode/distilled-1", decoded)
    system = json.loads((decoded / "system.json").read_text())
    (decoded / "system.json").write_text(json.dumps(system | {"insertion_penalty": 1.5}))
    words = ["--decoded", decoded, exp / "students/distilled-1", exp / "graph", tmp_path / "bundle"]
    assert main(["make-bundle", *flags, *map(str, words)]) == 0
    assert read_bundle(tmp_path / "bundle")["recognition"]["insertion_penalty"] == expected


def test_without_results_the_penalty_is_0_and_the_search_as_wide_as_that_of_decode(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    words = [pipeline.exp / "students/distilled-1", pipeline.exp / "graph", tmp_path / "bundle"]
    assert main(["make-bundle", "--acoustic-scale", "0.3", *map(str, words)]) == 0
    assert read_bundle(tmp_path / "bundle")["recognition"] == asdict(SETTINGS)


@pytest.mark.parametrize("cmvn", ["speaker", "utterance"])
def test_a_model_that_heard_whole_speakers_is_packed_with_a_warning(
    pipeline: Pipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture, cmvn: str
) -> None:
    student = AcousticModel.load(pipeline.exp / "students/distilled-1")
    student.card.features["cmvn"]["cmvn"] = cmvn
    student.save(tmp_path)
    (tmp_path / "bundle").mkdir()
    write_bundle(tmp_path / "bundle", model=tmp_path, graph=pipeline.exp / "graph", settings=SETTINGS)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == (cmvn == "speaker")
    assert all("each recording as a speaker of its own" in line for line in warned)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--acoustic-scale", "-1"), "--acoustic-scale must be above 0"),
        (("--acoustic-scale", "0.3", "--beam", "0"), "--beam must be above 0"),
        (("--acoustic-scale", "nan"), "--acoustic-scale: must be a number, got nan"),
        (("--acoustic-scale", "0.3", "--max-active", "0"), "--max-active must be at least 2"),
    ],
)
def test_a_search_that_finds_nothing_makes_no_bundle(
    tmp_path: Path, complaint: Callable[[], str], flags: tuple[str, ...], said: str
) -> None:
    assert main(["make-bundle", *flags, "model", "graph", str(tmp_path / "bundle")]) == 2
    assert said in complaint()


@pytest.mark.parametrize("flags", [[], ["--decoded", "d", "--acoustic-scale", "0.3"]])
def test_scale_and_penalty_come_from_one_place(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], flags: list[str]
) -> None:
    exp = pipeline.exp
    words = [exp / "students/distilled-1", exp / "graph", tmp_path / "bundle"]
    assert main(["make-bundle", *flags, *map(str, words)]) == 2
    assert "--decoded DIR or --acoustic-scale" in complaint()
