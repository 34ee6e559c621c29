"""run.sh from nothing to its table and its bundle, on shrunk forms of the recipes."""

import importlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asr_kd.cli.main import main
from asr_kd.options import parse

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "lang.conf": {},
    "fbank.conf": {},
    "flat_start.conf": {"hidden-dim": 128, "num-rounds": 7},
    "train.conf": {"hidden-dim": 128, "num-layers": 3, "num-epochs": 5},
    "distilled.conf": {"hidden-dim": 128, "num-layers": 3, "num-epochs": 5},
    "distilled_small.conf": {"hidden-dim": 48, "num-layers": 3, "num-epochs": 5},
}


def shrunk_conf(recipe: str, corpus: dict[str, int | float], out: Path) -> Path:
    """The recipe's settings with some of them smaller."""
    shutil.copytree(ROOT / "recipes" / recipe / "conf", out)
    for name, changes in {**SMALL, "corpus.conf": corpus}.items():
        text = (out / name).read_text()
        for option, value in changes.items():
            text, count = re.subn(rf"--{option}[= ]\S+", f"--{option}={value}", text)
            assert count == 1, f"{name} has no --{option}"
        (out / name).write_text(text)
    return out


def run_sh(recipe: str, conf: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [str(ROOT / "run.sh"), "--recipe", recipe, "--conf-dir", str(conf), "--nj", "1", *options]
    command += ["--data-dir", str(folder / "data"), "--exp-dir", str(folder / "exp")]
    command += ["--member-seeds", "1 2 3", "--student-seeds", "1"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def check_systems(folder: Path, *, least_accuracy: float, greatest_wer: float) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "exp" / "results.json").read_text())
    systems = {system["name"]: system for system in results["systems"]}
    assert set(systems) == {"baseline", "ensemble", "distilled", "distilled_small"}
    for system in systems.values():
        low, high = system["frame_accuracy_ci"]
        assert low <= system["frame_accuracy"] <= high
        assert system["frame_accuracy"] >= least_accuracy
        assert system["wer"] <= greatest_wer
    assert systems["baseline"]["seeds"] == 3
    assert systems["ensemble"]["members"] == 3
    assert systems["distilled_small"]["params"] * 2 < systems["baseline"]["params"]
    assert systems["ensemble"]["frame_accuracy"] > systems["baseline"]["frame_accuracy"]
    return results


def state(folder: Path) -> dict[str, int]:
    """When each file was written; the jobs' logs say that there was nothing to do."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "log")
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_the_digits_recipe_goes_from_nothing_to_its_table_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the optional extra 'synthesis' is not installed")
    corpus = {"train-hours": 0.2, "extra-hours": 0.2, "dev-utterances": 60, "test-utterances": 150}
    conf = shrunk_conf("digits", corpus, tmp_path / "conf")
    first = run_sh("digits", conf, tmp_path)
    assert first.returncode == 0, first.stderr
    check_systems(tmp_path, least_accuracy=0.4, greatest_wer=0.5)
    assert "distilled_small" in first.stdout
    assert (tmp_path / "exp" / "RESULTS.md").read_text().startswith("# Results: digits")
    before = state(tmp_path / "exp")
    second = run_sh("digits", conf, tmp_path)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert state(tmp_path / "exp") == before
    ledger = run_sh("digits", conf, tmp_path, "--experiment", "ledger")
    assert ledger.returncode == 0, ledger.stderr
    assert "== stage 9" not in ledger.stderr
    report = json.loads((tmp_path / "exp/ledger/report/results.json").read_text())
    assert len(report["members"]) == 3


def test_the_fsdd_recipe_learns_from_people_and_its_bundle_recognises_their_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpora = Path(os.environ.get("ASR_KD_CORPORA", "nowhere"))
    if not (corpora / "fsdd").is_dir():
        pytest.skip("ASR_KD_CORPORA names no folder with fsdd/")
    corpus = {
        "train-strings": 450,
        "augmented-strings": 60,
        "synthetic-strings": 0,
        "extra-strings": 60,
        "dev-strings": 60,
        "test-strings": 60,
    }
    conf = shrunk_conf("fsdd", corpus, tmp_path / "conf")
    done = run_sh("fsdd", conf, tmp_path)
    assert done.returncode == 0, done.stderr
    check_systems(tmp_path, least_accuracy=0.55, greatest_wer=0.15)
    digits = {"ZERO": 0, "TWO": 2, "FIVE": 5, "SEVEN": 7, "NINE": 9}
    files = [
        str(corpora / "fsdd" / "audio" / f"{digit}_{speaker}_1.flac")
        for digit, speaker in zip(digits.values(), ("george", "jackson", "lucas", "nicolas", "theo"), strict=True)
    ]
    capsys.readouterr()
    assert main(["recognize", str(tmp_path / "exp" / "bundle"), *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [Path(file).stem for file in files]
    right = sum(line.split()[1:] == [word] for line, word in zip(lines, digits, strict=True))
    assert right >= 4, lines


def test_an_unknown_option_of_run_sh_is_named_with_those_that_exist() -> None:
    done = subprocess.run([str(ROOT / "run.sh"), "--stge", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--stge" in done.stderr and "--stage" in done.stderr


def test_an_unknown_experiment_is_named_with_those_that_exist() -> None:
    words = [str(ROOT / "run.sh"), "--experiment", "leger"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'leger'" in done.stderr and "ledger" in done.stderr


def test_a_stage_that_is_no_number_is_refused() -> None:
    done = subprocess.run([str(ROOT / "run.sh"), "--stage", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: --stage must be the number of a stage, 0 to 12, not 'x'\n"


def test_an_unknown_recipe_is_named_with_those_that_exist() -> None:
    done = subprocess.run([str(ROOT / "run.sh"), "--recipe", "digit"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'digit'" in done.stderr and "digits" in done.stderr


def test_help_tells_the_options_of_the_recipe_asked_for() -> None:
    command = [str(ROOT / "run.sh"), "--recipe", "librispeech", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--stop-stage" in done.stdout and "--parts mini" in done.stdout and "shellcheck" not in done.stdout


def calls_of_stages(
    tmp_path: Path, first: int, last: int, *words: str, recipe: str = "librispeech", body: str = ""
) -> list[str]:
    """What some stages of a recipe ask of a program in asr-kd's place, which may run shell commands of its own."""
    program = tmp_path / "bin/asr-kd"
    program.parent.mkdir()
    record = f'words=$(printf \'%q \' "$@")\necho "${{words% }}" >>{tmp_path}/calls'
    program.write_text(f"#!/usr/bin/env bash\n{record}\n{body}")
    program.chmod(0o755)
    path = f"{program.parent}:{sys.prefix}/bin:{os.environ['PATH']}"
    # An environment of another name than the project's own, which run.sh would put before the program above.
    environment = os.environ | {"VIRTUAL_ENV": str(tmp_path), "PATH": path}
    command = [str(ROOT / "run.sh"), "--recipe", recipe, "--data-dir", "data", "--exp-dir", "exp"]
    command += ["--stage", str(first), "--stop-stage", str(last), *words]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60)
    return (tmp_path / "calls").read_text().splitlines()


def test_while_a_student_trains_others_recognise_and_it_does_once_it_is_trained(tmp_path: Path) -> None:
    decoded = f"{tmp_path}/exp/decode"
    # The student ends once the whole ensemble has recognised; the graph takes a moment.
    body = f"""
case $* in
  *make-graph*) sleep 0.5; echo graph made >>{tmp_path}/calls ;;
  *students/distilled-11) until grep -q "{decoded}/ensemble$" {tmp_path}/calls; do sleep 0.1; done
    echo student made >>{tmp_path}/calls ;;
esac
"""
    calls = calls_of_stages(tmp_path, 8, 10, "--parts", "47", "--nj", "2", body=body)
    order = [calls.index(line) for line in ("graph made", "student made")]
    begun = {call.split()[-1].rsplit("/")[-1]: place for place, call in enumerate(calls) if call.startswith("decode ")}
    assert order[0] < begun["ensemble"] < order[1] < begun["distilled-11"]


@pytest.mark.parametrize(("device", "side_by_side", "threads"), [("cpu", 4, 2), ("cuda", 2, 4)])
def test_two_students_at_a_time_train_on_a_gpu(tmp_path: Path, device: str, side_by_side: int, threads: int) -> None:
    body = f"[[ $1 != distill ]] || {{ echo begun >>{tmp_path}/calls; sleep 1; echo ended >>{tmp_path}/calls; }}"
    calls = calls_of_stages(tmp_path, 8, 8, "--nj", "8", "--device", device, recipe="fsdd", body=body)
    steps = [1 if call == "begun" else -1 for call in calls if call in ("begun", "ended")]
    assert len(steps) == 8 and max(itertools.accumulate(steps)) == side_by_side
    assert all(f"--num-threads {threads} " in call for call in calls if call.startswith("distill "))


@pytest.mark.parametrize(("nj", "threads"), [(1, "11111"), (2, "11112"), (3, "11111"), (4, "11114"), (8, "11111")])
def test_members_share_the_cores_and_the_last_has_those_that_are_left(tmp_path: Path, nj: int, threads: str) -> None:
    calls = calls_of_stages(tmp_path, 6, 6, "--nj", str(nj), recipe="digits")
    found = {shlex.split(call)[-1][-1]: call.split("--num-threads ")[1][0] for call in calls}
    assert "".join(found[member] for member in "12345") == threads


ALONE = {f"baseline-{number}" for number in range(1, 5)}


def decoded_alone(call: str) -> set[str]:
    """The systems that a call of decode makes on the way."""
    _, *given = call.split("--alone ")
    return {Path(word).name for words in given for word in itertools.takewhile(lambda w: w != "--", words.split())}


@pytest.mark.parametrize("units", ["phones", "sentencepiece", "char"])
def test_lists_are_made_of_the_systems_that_a_larger_model_reads(tmp_path: Path, units: str) -> None:
    """What is asked of asr-kd in stage 10."""
    calls = calls_of_stages(tmp_path, 10, 10, "--parts", "47", "--units", units, "--nj", "1")
    decoded = {call.split()[-1].rsplit("/")[-1]: call for call in calls if call.startswith("decode ")}
    listed = {name for name, call in decoded.items() if "--num-best 0 " not in call}
    rescored = [call for call in calls if call.startswith("rescore ")]
    # The recipe names ensemble and distilled; the name distilled_small only begins like one of them.
    assert set(decoded) == {"ensemble", "distilled-11", "distilled_small-11"}
    assert decoded_alone(decoded["ensemble"]) == ALONE and "--alone-lists" not in decoded["ensemble"]
    assert listed == ({"ensemble", "distilled-11"} if units == "phones" else set())
    assert len(rescored) == len(listed)
    assert all(f"--old-lm {tmp_path}/exp/lm/lm.arpa.gz" in call for call in rescored)


def test_where_all_systems_are_rescored_the_members_are_too(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes/digits/conf", tmp_path / "conf")
    for name in ("lm.conf", "lm_large.conf"):
        (tmp_path / "conf" / name).touch()
    calls = calls_of_stages(tmp_path, 10, 10, "--conf-dir", "conf", "--member-seeds", "1 2 3 4", recipe="digits")
    (members,) = [call for call in calls if call.startswith("decode ") and call.endswith("/ensemble")]
    assert decoded_alone(members) == ALONE
    assert "--alone-name baseline --alone-lists " in members and "--num-best" not in members
    rescored = {call.split()[-1].rsplit("/")[-1] for call in calls if call.startswith("rescore ")}
    assert {name for name in rescored if "distilled" not in name} == {
        f"{name}-rescored" for name in (*ALONE, "ensemble")
    }


def jobs(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the functions of local/jobs.sh."""
    source = f"set -euo pipefail\nnj=2 device=cpu\nsource {ROOT}/local/jobs.sh\n"
    return subprocess.run(
        ["bash", "-c", source + script], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_of_a_log_what_the_last_jobs_said_is_shown(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("of an earlier run\n")
    script = (
        "job a echo -e 'one\\ntwo'; job b echo three; show_jobs a b; job b bash -c 'echo four; exit 3'; finish_jobs"
    )
    done = jobs(tmp_path, script)
    assert done.returncode == 3
    assert done.stderr == "one\ntwo\nthree\nerror: failed, see b:\nfour\n"


EXPERIMENTS = sorted(path.stem for path in (ROOT / "local/experiments").glob("*.sh"))


@pytest.mark.parametrize(
    ("recipe", "experiment", "flags"),
    [*(("digits", name, ()) for name in EXPERIMENTS), ("mnist", "specialists", ("--protocol", "held-out"))],
)
def test_an_experiment_asks_for_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, experiment: str, flags: tuple[str, ...]
) -> None:
    """Commands and options of all that it calls are those that asr-kd has."""
    body = """
mkdir -p "${@: -1}"
case $1 in
  make-fbank) echo '  "num_frames": 100' >"${@: -1}/meta.json" ;;
  cluster-states) echo '{"clusters": [[1], [2]]}' >"${@: -1}/clusters.json" ;;
esac
"""
    # Stage 0 of MNIST fetches files.
    first = 6 if recipe == "mnist" else 0
    calls = calls_of_stages(tmp_path, first, 12, "--experiment", experiment, *flags, recipe=recipe, body=body)
    monkeypatch.chdir(ROOT)
    for command, *words in map(shlex.split, calls):
        module = importlib.import_module(f"asr_kd.cli.{command.replace('-', '_')}")
        parse(module.Options, words, command=command, description="")
    own = [call for call in calls if f"/{experiment}" in call]
    assert own[-1].split()[0] == REPORT_OF.get(experiment, experiment)


REPORT_OF = {
    "ledger": "ensemble-report",
    "regularizer": "regularizer-report",
    "specialists": "specialist-report",
    "transfer": "score-frames",
}


def test_folders_are_meant_from_where_the_caller_stands(tmp_path: Path) -> None:
    (call,) = calls_of_stages(tmp_path, 1, 1, "--exp-dir", "recipes/digits/other", recipe="digits")
    assert shlex.split(call)[-1] == f"{tmp_path}/recipes/digits/other/lang"


def test_an_experiment_is_not_begun_before_the_stages_it_stands_on(tmp_path: Path) -> None:
    calls = calls_of_stages(tmp_path, 1, 1, "--experiment", "ledger", recipe="digits")
    assert [call.split()[0] for call in calls] == ["make-lang"]


@pytest.mark.parametrize(
    ("recipe", "experiment", "message"),
    [
        ("librispeech", "specialists", "recipes/librispeech/conf/clusters.conf"),
        ("mnist", "sweep", "mnist has --experiment ledger and specialists"),
        ("digits", "regularizer --train-fractions 0.03\\ 1", "shares of the data between 0 and 1, not '1'"),
    ],
)
def test_an_experiment_that_a_recipe_cannot_make_is_refused_at_once(
    tmp_path: Path, recipe: str, experiment: str, message: str
) -> None:
    refused_at_once(tmp_path, message, "--recipe", recipe, "--experiment", *shlex.split(experiment))


def test_transfer_sets_need_other_speech_than_that_of_train(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/feats.scp").touch()
    asked = ("--recipe", "custom", "--train", str(tmp_path / "train"), "--units", "char", "--experiment", "transfer")
    refused_at_once(tmp_path, "the recipe custom has no other speech than its training set", *asked)


def test_the_page_is_told_the_command_without_stages_and_processes(tmp_path: Path) -> None:
    words = ("--experiment", "ledger", "--student-seeds", "11 12", "--nj=1")
    (report,) = (call for call in calls_of_stages(tmp_path, 8, 8, *words, recipe="digits") if "ensemble-report" in call)
    command = shlex.split(report)[shlex.split(report).index("--command") + 1]
    assert command.startswith("./run.sh --recipe digits ")
    assert command.endswith("--experiment ledger --student-seeds 11\\ 12")
    assert "stage" not in command and "--nj" not in command


def test_an_experiment_needs_the_conf_that_its_students_have(tmp_path: Path) -> None:
    conf = shutil.copytree(ROOT / "recipes/mnist/conf", tmp_path / "conf")
    (conf / "fused_student.conf").unlink()
    asked = ("--recipe", "mnist", "--protocol", "held-out", "--experiment", "specialists", "--conf-dir", str(conf))
    refused_at_once(tmp_path, "conf/fused_student.conf", *asked)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--experiment", "specialists"), "add --protocol held-out"),
        (("--experiment", "ledger", "--quick"), "--quick has the recipe's own stages"),
        (("--member-seeds", "1 2", "--experiment", "ledger"), "--student-seeds '11 12 13'"),
        (("--member-seeds", "1 2"), "--student-seeds '11 12 13': the i-th student learns from the i-th big net"),
    ],
)
def test_what_mnist_cannot_do_it_says_at_once(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    refused_at_once(tmp_path, message, "--recipe", "mnist", *flags)


def refused_at_once(tmp_path: Path, message: str, *words: str) -> None:
    command = [str(ROOT / "run.sh"), "--exp-dir", str(tmp_path / "exp"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "exp").exists()
