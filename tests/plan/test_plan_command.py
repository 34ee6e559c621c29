"""`asr-kd plan` from beginning to end: by hours, by conf files of the recipes, from frame stores and models."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_kd.cli.main import main
from asr_kd.frames.store import FEATS_FILE, FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.plan import calibration
from asr_kd.plan.table import seconds_text, size_text

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
BY_HAND = ("--hours", "0.5", "--num-pdfs", "50", "--num-layers", "1", "--hidden-dim", "8", "--batch-size", "64")
MakeStore, MakeModel = Callable[..., FrameStore], Callable[..., AcousticModel]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BUDGET_SECONDS", 0.02)
    monkeypatch.setattr(calibration, "AVERAGED_LOGITS", 100_000)


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Runs the command; what it prints and what it writes as JSON."""

    def run(*words: object) -> tuple[str, dict[str, Any]]:
        file = tmp_path / "plan.json"
        assert main(["plan", *map(str, words), "--json", str(file)]) == 0
        return capsys.readouterr().out, json.loads(file.read_text())

    return run


def test_by_hours_all_parts_are_told(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    shown, figures = plan(*BY_HAND, "--extra-hours", "1", "--members", "3", "--nj", "2")
    for title in ("What is planned", "Disk", "Memory", "Time (2 processes side by side"):
        assert title in shown
    assert "Fidelity" not in shown
    runs = {"one run: members", "one run: student"}
    assert set(figures["seconds"]) == runs | {"members", "soft_targets", "students"}
    assert all(seconds > 0 for seconds in figures["seconds"].values())
    assert figures["work"]["labelled"]["num_frames"] == 180_000
    assert figures["work"]["transfer"]["num_frames"] == 540_000
    assert "dense, T = 2" in shown
    assert figures["disk_bytes"]["soft_targets"] == 540_000 * 2 * 50 + 128


def test_the_confs_of_a_recipe_serve(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    conf = RECIPES / "digits/conf"
    students = [conf / "distilled.conf", conf / "distilled_small.conf"]
    shown, figures = plan(
        *("--config", conf / "train.conf", "--student-conf", *students, "--students", 2),
        *("--hours", 0.75, "--extra-hours", 3, "--num-pdfs", 83, "--members", 5, "--dense", "--gpu", "L4"),
    )
    assert "PREDICTED" in shown and "5 x (4 x 384)" in shown
    small = figures["work"]["students"][1]
    assert (small["name"], small["net"]["hidden_dim"], small["copies"]) == ("distilled_small", 128, 2)
    assert small["train"]["num_epochs"] == 2
    assert figures["gpu"]["name"] == "L4"


@pytest.mark.parametrize("conf", ["fsdd/conf/transfer_weighted.conf", "mnist/conf/matched_logits.conf"])
def test_what_costs_nothing_may_stand_in_a_students_conf(
    plan: Callable[..., tuple[str, dict[str, Any]]], conf: str
) -> None:
    _, figures = plan(*BY_HAND, "--gpu", "H100", "--student-conf", RECIPES / conf)
    assert figures["work"]["students"][0]["name"] == Path(conf).stem


def test_of_fewer_states_than_are_kept_all_are(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    _, figures = plan("--hours", 1, "--num-pdfs", 5, "--gpu", "H100")
    assert figures["disk_bytes"]["soft_targets"] > 0


def test_a_shape_of_the_student_by_hand(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    _, figures = plan(*BY_HAND, "--gpu", "H100", "--student-num-layers", 3, "--student-hidden-dim", 5)
    student = figures["work"]["students"][0]
    assert (student["net"]["num_layers"], student["net"]["hidden_dim"]) == (3, 5)
    assert figures["work"]["members"]["net"]["hidden_dim"] == 8


@pytest.fixture
def made(tmp_path: Path, make_store: MakeStore, make_model: MakeModel) -> tuple[FrameStore, FrameStore, list[Path]]:
    """Two frame stores and two models on disk."""
    store, extra = make_store([300, 250]), make_store([200], seed=1)
    paths = [tmp_path / f"member-{seed}" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        path.mkdir()
        make_model(store, num_pdfs=40, seed=seed).save(path)
    return store, extra, paths


def test_from_stores_and_models_with_the_fidelity_of_their_soft_targets(
    plan: Callable[..., tuple[str, dict[str, Any]]], made: tuple[FrameStore, FrameStore, list[Path]]
) -> None:
    store, extra, models = made
    shown, figures = plan(store.path, "--extra-frames", extra.path, "--models", *models, "--temperature", "3")
    assert "at T = 3" in shown and f"recommended: {figures['recommendation']}" in shown
    assert figures["work"]["members"]["copies"] == 2
    assert figures["work"]["members"]["net"]["hidden_dim"] == 16
    assert [one["top"] for one in figures["fidelity"]] == [1, 2, 4, 8, 16, 32, 40]
    on_disk = sum((one.path / FEATS_FILE).stat().st_size for one in (store, extra))
    assert figures["disk_bytes"]["features"] == on_disk - 128


def test_models_tell_the_shape_where_hours_are_given(
    plan: Callable[..., tuple[str, dict[str, Any]]], made: tuple[FrameStore, FrameStore, list[Path]]
) -> None:
    _, figures = plan("--hours", "2", "--models", *made[2], "--gpu", "A100")
    assert figures["work"]["members"]["shape"] == {"input_dim": 12, "num_layers": 1, "hidden_dim": 16, "num_pdfs": 40}
    assert "fidelity" not in figures


def test_the_models_input_is_what_is_stored_and_read_where_hours_are_given(
    plan: Callable[..., tuple[str, dict[str, Any]]], made: tuple[FrameStore, FrameStore, list[Path]]
) -> None:
    store, _, models = made
    _, figures = plan("--hours", "2", "--extra-hours", "1", "--models", *models, "--gpu", "A100")
    for part in ("labelled", "transfer"):
        told = figures["work"][part]
        assert (told["dim"], told["left"], told["right"]) == (store.dim, store.left, store.right)


@pytest.mark.parametrize(
    "flags", [("--num-layers", "4"), ("--hidden-dim", "8"), ("--dropout", "0.1"), ("--input-dropout", "0.2")]
)
def test_a_shape_other_than_the_models_is_refused(
    made: tuple[FrameStore, FrameStore, list[Path]], complaint: Callable[[], str], flags: tuple[str, str]
) -> None:
    assert main(["plan", "--hours", "2", "--gpu", "A100", "--models", *map(str, made[2]), *flags]) == 1
    assert complaint().endswith(f"leave {flags[0]} out")


def test_the_models_own_shape_may_be_given_beside_them(
    plan: Callable[..., tuple[str, dict[str, Any]]], made: tuple[FrameStore, FrameStore, list[Path]]
) -> None:
    shape = ("--num-layers", 1, "--hidden-dim", 16, "--dropout", 0, "--num-pdfs", 40)
    _, figures = plan("--hours", "2", "--gpu", "A100", "--models", *made[2], *shape)
    assert figures["work"]["members"]["net"]["hidden_dim"] == 16


WRONG = {
    "nothing said": ([], "--hours"),
    "no states": (["--hours", "1"], "--num-pdfs"),
    "negative hours": (["--hours", "-1", "--num-pdfs", "9"], "--hours must be above 0"),
    "no member": ([*BY_HAND, "--members", "0"], "--members must be above 0"),
    "no epoch": ([*BY_HAND, "--num-epochs", "0"], "--num-epochs"),
    "unknown card": ([*BY_HAND, "--gpu", "H2000"], "--gpu"),
    "frames beside hours": ([*BY_HAND, "--extra-frames", "here"], "here"),
    "conf and shape": (
        [*BY_HAND, "--student-num-layers", "3", "--student-conf", str(RECIPES / "digits/conf/distilled.conf")],
        "--student-conf",
    ),
    "a conf of something else": (
        [*BY_HAND, "--student-conf", str(RECIPES / "digits/conf/fbank.conf")],
        "fbank.conf: unknown option",
    ),
    "one name twice": (
        [*BY_HAND, "--student-conf", *(str(RECIPES / f"{name}/conf/distilled.conf") for name in ("digits", "fsdd"))],
        "one name",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_go_together_is_one_line(wrong: str, complaint: Callable[[], str]) -> None:
    words, expected = WRONG[wrong]
    assert main(["plan", *words]) in (1, 2)
    assert expected in complaint()


def test_stores_and_models_that_do_not_belong_together_are_refused(
    tmp_path: Path,
    made: tuple[FrameStore, FrameStore, list[Path]],
    make_store: MakeStore,
    make_model: MakeModel,
    complaint: Callable[[], str],
) -> None:
    store, _, models = made
    words = ["plan", str(store.path), "--models", *map(str, models)]
    assert main([*words, "--hours", "1"]) == 2
    assert "not both" in complaint()
    assert main([*words, "--num-pdfs", "41"]) == 1
    assert "--num-pdfs 41" in complaint()
    assert main(["plan", str(make_store([30], left=4).path), *words[2:]]) == 1
    assert "was trained on features" in complaint()
    other = tmp_path / "other"
    other.mkdir()
    make_model(store, num_pdfs=40, states="others").save(other)
    assert main([*words, str(other)]) == 1
    assert "share one state inventory" in complaint()
    assert main(["plan", "--hours", "1", *words[2:], str(other)]) == 1
    assert "share one state inventory" in complaint()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (47_520_000_000, "48 GB"), (2.016e13, "20 TB"), (9.96e15, "10 PB")],
)
def test_sizes_are_decimal(value: float, expected: str) -> None:
    assert size_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.04, "0.04 s"), (32, "32 s"), (348, "5.8 min"), (11_520, "3.2 h"), (48 * 3600, "2.0 days"), (1e6, "12 days")],
)
def test_durations_are_in_the_unit_that_suits_them(value: float, expected: str) -> None:
    assert seconds_text(value) == expected


def test_every_line_is_short_enough_to_read(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    shown, _ = plan(*BY_HAND, "--gpu", "H200", "--hours", "2000", "--num-pdfs", "14000")
    assert max(map(len, shown.splitlines())) <= 120
    assert not re.search(r"nan|inf", shown)


def test_small_members_on_a_gpu_are_planned_in_one_step(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    shown, figures = plan(*BY_HAND, "--gpu", "H200", "--members", 7)
    assert figures["seconds"]["members"] == figures["seconds"]["one run: members"]
    assert shown.count("7 members together") == 2, "not a row of the GPU's memory and one of time"
    assert "members: 7 together" in shown
    _, alone = plan(*BY_HAND, "--gpu", "H200", "--members", 7, "--shuffle-frames", 1000)
    assert alone["seconds"]["members"] == pytest.approx(7 * alone["seconds"]["one run: members"])


def test_logits_take_what_probabilities_do(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    _, logits = plan(*BY_HAND, "--logits")
    _, dense = plan(*BY_HAND, "--dense")
    assert logits["disk_bytes"] == dense["disk_bytes"]


def test_muons_updates_take_time_on_a_gpu_too(plan: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    large = ("--hours", 100, "--num-pdfs", 14000, "--num-layers", 8, "--hidden-dim", 2560, "--gpu", "H100")
    taken = {name: plan(*large, "--optimizer", name)[1]["seconds"]["members"] for name in ("adam", "muon")}
    # 8 matrices of about 2560 x 2560: 18 n^3 operations each at 1,024 frames of 6 n^2 a layer.
    assert 2 < taken["muon"] / taken["adam"] < 8
