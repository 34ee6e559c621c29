"""The MNIST recipe in its quick form, from the files of the corpus to its tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUM_THREES = 1010


def run_sh(*options: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [str(ROOT / "run.sh"), "--recipe", "mnist", *map(str, options)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_quick_form_shows_what_the_paper_saw(tmp_path: Path) -> None:
    if not (Path(os.environ.get("ASR_KD_CORPORA", "")) / "mnist").is_dir():
        pytest.skip("ASR_KD_CORPORA names no folder with mnist")
    run = run_sh("--quick", "--exp-dir", tmp_path / "exp", "--nj", 2)
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "exp/quick/score/results.json").read_text())
    found = {row["name"]: row for row in results["systems"]}
    assert found["big"]["errors"] < 400
    assert found["small"]["errors"] > found["big"]["errors"] + 60
    assert found["distilled"]["kept"] > 0.5
    assert found["distilled_mixed"]["kept"] > 0.4
    assert found["no_3s"]["frame_accuracy"] > 0.94
    assert found["no_3s_corrected"]["errors_of_class"][3] < 0.12 * NUM_THREES
    assert found["no_3s_corrected"]["errors_of_class"][3] < found["no_3s"]["errors_of_class"][3]
    assert found["only_7s_8s_corrected"]["errors"] * 1.4 < found["only_7s_8s"]["errors"]
    sweep = json.loads((tmp_path / "exp/quick/sweep/report/results.json").read_text())
    widths = {cell["hidden_dim"]: cell["test_errors"] for cell in sweep["cells"] if cell["temperature"] == 4}
    assert widths[100] < widths[30]
    again = run_sh("--quick", "--exp-dir", tmp_path / "exp", "--nj", 2, "--stage", 8, "--stop-stage", 10)
    assert again.returncode == 0
    assert "epoch 1:" not in again.stderr


def test_an_unknown_protocol_is_one_line() -> None:
    run = run_sh("--protocol", "papre")
    assert run.returncode == 2
    assert run.stderr.splitlines() == ["error: no protocol 'papre'; there are: paper dev held-out"]
