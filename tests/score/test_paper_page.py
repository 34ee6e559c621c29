"""`asr-kd compare-paper`: a page of any mix of results, and one line for what is not one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.cli.main import main
from asr_kd.errors import DataError
from asr_kd.frames.store import FrameStore
from asr_kd.score.paper import figures
from asr_kd.score.paper.inputs import read_own
from asr_kd.score.paper.page import render_paper

from .made_results import ERRORS, images, regularizer, specialists, sweep
from .test_ledger_results import results as ledger_results
from .test_ledger_results import sums
from .test_paper_claims import NARROW
from .test_results import score

KINDS = ["images", "image sweep", "speech", "speech sweep", "specialists", "regularizer", "ledger", "transfer"]


@pytest.fixture(scope="module")
def made(make_store: Callable[..., FrameStore], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results of every kind but speech."""
    transfer = {"baseline": 3000, "ensemble": 2500, "train": 2600, "extra": 2550, "both": 2520}
    return {
        "images": images(tmp_path_factory.mktemp("images"), ERRORS),
        "image sweep": sweep(NARROW | {(300, t): 0.02 + abs(t - 8) / 1000 for _, t in NARROW}),
        "speech sweep": sweep({(80, t): 0.2 + t / 100 for t in (1.0, 2.0, 5.0, 10.0)}, frames=5),
        "specialists": specialists(make_store),
        "regularizer": regularizer(tmp_path_factory.mktemp("regularizer")),
        "ledger": ledger_results(sums()),
        "transfer": images(tmp_path_factory.mktemp("transfer"), transfer, teacher="ensemble") | {"recipe": "tones"},
    }


@pytest.fixture
def files(made: dict[str, dict[str, Any]], make_experiment: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """A file of each kind."""
    found = {}
    for kind, results in {**made, "speech": score(make_experiment("exp"), samples=100)}.items():
        found[kind] = tmp_path / f"{kind.replace(' ', '_')}.json"
        found[kind].write_text(json.dumps(results))
    return found


def test_every_kind_is_told_by_what_its_writer_writes(files: dict[str, Path]) -> None:
    assert {kind: read_own(path).kind for kind, path in files.items()} == {kind: kind for kind in KINDS}


def test_the_page_holds_every_statement_and_figure_of_the_paper(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "paper.md"
    assert main(["compare-paper", *map(str, files.values()), str(out)]) == 0
    page = out.read_text()
    assert "Not run" not in page
    for statement in (value for value in vars(figures).values() if isinstance(value, figures.Statement)):
        (said,) = re.findall(
            rf"^- \*\*(.+)\*\*: {re.escape(statement.text)}(?: \((.+?)\))?\. Paper: (.+?)\. Here: ", page, re.M
        )
        (row,) = re.findall(rf"^\| {re.escape(statement.text)} \| {statement.where} \| (.+) \|$", page, re.M)
        tried, paper, here, verdict = row.split(" | ")
        assert (verdict, paper) == (f"**{said[0]}**", said[2]) and tried.endswith(said[1])
        assert f"Here: {here}" in page
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE))
    for what, paper in {
        "big net on jittered images, wrong": "67",
        "small net on labels alone, wrong": "146",
        "small net distilled at T = 20, wrong": "74",
        "gap closed, %": "91",
        "no 3s in the transfer set, wrong": "206",
        "the same, bias of 3 corrected, wrong": "109",
        "3s right, %": "98.6",
        "7s and 8s alone, wrong": "4730",
        "the same, biases of 7 and 8 corrected, wrong": "1320",
        "baseline (1,000,000 parameters), frame accuracy, %": "58.9",
        "ensemble (1,000,000 parameters), frame accuracy, %": "61.1",
        "distilled (1,000,000 parameters), frame accuracy, %": "60.8",
        "baseline (1,000,000 parameters), WER, %": "10.9",
        "ensemble (1,000,000 parameters), WER, %": "10.7",
        "distilled (1,000,000 parameters), WER, %": "10.7",
        "distilled: kept of the gain in frame accuracy, %": "86",
        "distilled: kept of the gain in WER, %": "100",
        "bias of 3 raised by": "3.5",
        "biases of 7 and 8 lowered by": "7.6",
        "with 2 specialists, %": "26.1",
        "relative gain, %": "+4.4",
        "1 specialist (4 states, 400 frames)": "+3.4",
        "2 specialists (1 states, 100 frames)": "+7.4",
        "6 specialists": "+11.3",
        "9 specialists": "+16.6",
        "10 or more specialists": "+14.1",
        "hard, 100 % of the data, train, %": "63.4",
        "hard, 100 % of the data, test, %": "58.9",
        "hard, early stopping, 3 % of the data, train, %": "67.3",
        "hard, early stopping, 3 % of the data, test, %": "44.5",
        "soft, ensemble, 3 % of the data, train, %": "65.4",
        "soft, ensemble, 3 % of the data, test, %": "57",
    }.items():
        assert rows[what] == paper, what


def test_kinds_of_soft_targets_are_told_apart_at_a_glance(made: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    results = made["regularizer"]
    (soft,) = (row for row in results["systems"] if row["name"].startswith("soft"))
    results = results | {"systems": [*results["systems"], soft | {"name": "soft, single model"}]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    page = render_paper([read_own(path)])
    for name in ("soft, ensemble", "soft, single model"):
        row = f"| {figures.PART.text} | table 5 | tones, noisy, {name}, 3 % of the data | 96.8 % | "
        assert page.count(f"{row}{100 * soft['share_of_full']:.1f} %") == 1


def test_parts_whose_members_differ_are_of_different_runs_and_told(files: dict[str, Path], tmp_path: Path) -> None:
    speech, ledger, transfer = (json.loads(files[kind].read_text()) for kind in ("speech", "ledger", "transfer"))
    mean = speech["systems"][0]["frame_accuracy"]
    ledger["mean_member"]["frame_accuracy"] = mean + 0.0004
    transfer["systems"][1] |= {"name": "baseline", "frame_accuracy": mean - 0.02}
    for results in (ledger, transfer):
        results |= {"recipe": "digits", "protocol": ""}
    for kind, results in (("ledger", ledger), ("transfer", transfer)):
        files[kind].write_text(json.dumps(results))
    alike = render_paper([read_own(files["speech"]), read_own(files["ledger"])])
    assert "are of different runs" not in alike
    line = (
        f"\n\ndigits: these parts are of different runs: mean member {100 * mean:.2f} % (table 1), "
        f"{100 * mean + 0.04:.2f} % (ledger), {100 * mean - 2:.2f} % (transfer sets).\n\n"
    )
    assert line in render_paper([read_own(files[kind]) for kind in ("speech", "ledger", "transfer")])
    # Those that stay from the page before count, too.
    assert line in render_paper([read_own(files["transfer"])], alike)


def test_a_student_far_below_the_baseline_has_no_share(files: dict[str, Path]) -> None:
    results = json.loads(files["transfer"].read_text())
    row = next(row for row in results["systems"] if row["name"] == "extra")
    row |= {"kept": -57.1, "kept_ci": [-60.0, -54.0]}
    files["transfer"].write_text(json.dumps(results))
    page = render_paper([read_own(files["transfer"])])
    assert "| extra: gain kept, % (worse than the baseline by more than the gain) | - | - |" in page
    assert "-5710" not in page


def test_every_figure_of_ours_is_beside_the_papers(files: dict[str, Path], tmp_path: Path) -> None:
    page = render_paper([read_own(path) for path in files.values()])
    results = {kind: json.loads(path.read_text()) for kind, path in files.items()}
    for row in results["images"]["systems"]:
        low, high = (4000 * (1 - end) for end in row["frame_accuracy_ci"][::-1])
        assert f"| {row['errors']:.1f} | ± {row['errors_std']:.1f} | [{low:.1f}, {high:.1f}] | 2 |" in page
    for row in results["speech"]["systems"]:
        for metric in ("frame_accuracy", "wer"):
            low, high = row[f"{metric}_ci"]
            assert f"| {100 * row[metric]:.2f} | " in page and f"[{100 * low:.2f}, {100 * high:.2f}]" in page
    for row in results["specialists"]["coverage"]:
        assert f"| {100 * row['relative_change']:+.2f} |" in page
    for cell in results["image sweep"]["cells"]:
        assert f"{cell['test']['errors']:.1f}" in page


def test_several_runs_of_one_kind_each_have_a_part(files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(files["speech"].read_text()) | {"protocol": "held-out", "command": ""}))
    page = render_paper([read_own(files["speech"]), read_own(other)])
    assert "\n### digits\n\nRemake with `./run.sh`. " in page
    of_other = page[page.index("\n### digits, held-out\n\n") :]
    assert "Remake with" not in of_other[: of_other.index("\n## ")]
    assert "of the recipes digits, whose parts" in page


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_other_runs_stay_on_a_page_that_is_there(files: dict[str, Path], kind: str) -> None:
    whole = render_paper([read_own(path) for path in files.values()])
    others = render_paper([read_own(path) for own, path in files.items() if own != kind])
    assert others != whole
    assert render_paper([read_own(files[kind])], others) == whole
    assert render_paper([read_own(files[kind])], whole) == whole


def test_two_runs_of_one_experiment_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(files["speech"].read_text())
    with pytest.raises(DataError, match=r"other\.json: of the same experiment as "):
        render_paper([read_own(files["speech"]), read_own(other)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_run_is_said_with_its_command(files: dict[str, Path], kind: str) -> None:
    page = render_paper([read_own(path) for own, path in files.items() if own != kind])
    missing = re.findall(r"Not run: `(.*)` makes it", page)
    commands = {"images": "mnist", "image sweep": "mnist", "speech": "fsdd"}
    words = commands.get(kind, f"fsdd --experiment {kind.removeprefix('speech ')}")
    assert missing == [f"./run.sh --recipe {words}"] * (2 if kind == "specialists" else 1)


def test_a_page_written_again_is_the_same_and_left_alone(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "paper.md"
    command = ["compare-paper", str(files["ledger"]), str(out)]
    assert main(command) == 0
    written = out.stat().st_mtime_ns
    assert main(command) == 0
    assert out.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "not a results.json of asr-kd score"),
        ('{"systems": []}', "not a results.json of asr-kd score"),
        ("[1, 2]", "damaged"),
        ("{", "not valid JSON"),
        ('{"teacher_gain": 1, "baseline": "a", "teacher": "b", "systems": []}', "frames of neither"),
        ('{"ensemble_gain": 1, "systems": [{}]}', "damaged, or of another version (no 'members')"),
    ],
)
def test_an_unknown_or_damaged_file_is_one_line(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "results.json", tmp_path / "paper.md"
    path.write_text(text)
    assert main(["compare-paper", str(path), str(out)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{path}: " in said and complaint in said
    assert not out.exists()


def test_results_are_not_taken_for_the_page_to_write(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = files["ledger"].read_text()
    assert main(["compare-paper", str(files["speech"]), str(files["ledger"])]) == 2
    assert "ends in .md" in capsys.readouterr().err
    assert files["ledger"].read_text() == before


@settings(max_examples=150)
@given(data=st.data())
def test_a_file_that_lacks_a_figure_is_refused_or_not_missed(
    made: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    results = json.loads(json.dumps(made[data.draw(st.sampled_from(sorted(made)))]))
    _damage(results, data)
    path = tmp_path_factory.mktemp("damaged") / "results.json"
    path.write_text(json.dumps(results))
    try:
        page = render_paper([read_own(path)])
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert page.startswith("# The paper's tables")


def _damage(value: Any, data: st.DataObject) -> None:
    """Take a figure away, or put a word in its place, anywhere within."""
    while True:
        places = sorted(value) if isinstance(value, dict) else list(range(len(value)))
        place = data.draw(st.sampled_from(places))
        inner = value[place]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        value = inner
    if data.draw(st.booleans()):
        del value[place]
    else:
        value[place] = data.draw(st.sampled_from([None, "word", [], {}]))
