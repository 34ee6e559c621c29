"""An output directory is there whole or not at all, and says what made it."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from asr_kd import stage as stage_module
from asr_kd.errors import DataError, StaleError, UsageError
from asr_kd.options import option
from asr_kd.stage import Stage, checksums, digest, file_sha256, fingerprint, read_run, replacing, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Options:
    out: Path = option("where to", positional=True)
    num_states: int = option("states", default=3)
    seed: int = option("seed", default=1)
    nj: int = option("jobs", default=1, affects_result=False)


def made(out: Path, *, command: str = "try", data: str = "abc", **options: int) -> Stage:
    return Stage(out, command=command, options=Options(out=out, **options), inputs={"data": data})


def finish(out: Path, content: str = "content") -> None:
    with made(out).writing() as partial:
        (partial / "file").write_text(content)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out"


def test_a_finished_directory_holds_its_files_options_and_what_made_it(out: Path) -> None:
    stage = made(out, seed=7)
    assert not stage.finished()
    with stage.writing() as partial:
        assert not out.exists()
        (partial / "file").write_text("content")
    assert (out / "file").read_text() == "content"
    assert json.loads((out / "config.json").read_text()) == {"out": str(out), "num_states": 3, "seed": 7, "nj": 1}
    run = read_run(out)
    assert run["identity"] == {"command": "try", "options": {"num_states": 3, "seed": 7}, "inputs": {"data": "abc"}}
    assert run["checksums"] == {"file": file_sha256(out / "file")}
    assert run["seed"] == 7
    assert {"command_line", "revision", "versions", "started", "seconds"} <= run.keys()
    assert not stage.partial.exists()


def test_the_same_stage_is_finished_whatever_changes_only_how_the_work_is_done(out: Path) -> None:
    finish(out)
    assert made(out).finished()
    assert made(out, nj=8).finished()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_states": 5}, "--num-states 3 (now 5)"),
        ({"num_states": 5, "seed": 2}, "--num-states 3 (now 5); --seed 1 (now 2)"),
        ({"data": "xyz"}, "another data abc (now xyz)"),
        ({"command": "other"}, "command try (now other)"),
    ],
)
def test_another_stage_of_the_same_name_is_stale_and_says_what_differs(
    out: Path, changes: dict[str, int], said: str
) -> None:
    finish(out)
    with pytest.raises(StaleError) as error:
        made(out, **changes).finished()  # type: ignore[arg-type]
    assert str(out) in str(error.value)
    assert said in str(error.value)
    assert (out / "file").read_text() == "content"


def test_an_option_that_does_not_count_any_more_makes_no_difference(out: Path) -> None:
    finish(out)
    record = json.loads((out / "run.json").read_text())
    record["identity"]["options"]["nj"] = 7
    (out / "run.json").write_text(json.dumps(record))
    assert made(out).finished()


def test_an_option_that_there_was_none_of_had_its_default(out: Path) -> None:
    finish(out)
    run = read_run(out)
    del run["identity"]["options"]["num_states"]
    write_json(out / "run.json", run)
    assert made(out).finished()
    with pytest.raises(StaleError, match=r"--num-states 3 \(now 5\)"):
        made(out, num_states=5).finished()


def test_a_directory_that_no_stage_made_is_an_error_and_left_alone(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "mine").touch()
    with pytest.raises(DataError, match=r"no run\.json in it"):
        made(out).finished()
    assert (out / "mine").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_while_writing_leaves_nothing(out: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), made(out).writing() as partial:
        (partial / "file").write_text("half")
        raise error
    assert list(out.parent.iterdir()) == []


def test_a_full_disk_while_writing_leaves_nothing(out: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(OSError) as error, made(out).writing() as partial:
        (partial / "small").write_text("fits")
        with Path("/dev/full").open("w") as file:
            file.write("does not fit")
    assert error.value.errno == errno.ENOSPC
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("file", ["config.json", "run.json"])
def test_a_disk_that_fills_up_at_the_very_end_leaves_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    plain = stage_module.write_json

    def full(path: Path, value: object) -> None:
        if path.name == file:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        plain(path, value)

    monkeypatch.setattr(stage_module, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        finish(out)
    assert list(out.parent.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from asr_kd.stage import Stage
sys.path.insert(0, {folder!r})
from test_stage import Options, made
with made(Path({out!r})).{way}() as partial:
    (partial / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_in_the_middle(out: Path, way: str) -> None:
    script = KILLED.format(folder=str(Path(__file__).parent), out=str(out), way=way)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_kill_in_the_middle_leaves_nothing_under_the_final_name_and_the_next_run_starts_clean(out: Path) -> None:
    kill_in_the_middle(out, "writing")
    assert not out.exists()
    assert not made(out).finished()
    with pytest.raises(DataError, match="interrupted: run it again"):
        read_run(out)
    with made(out).writing() as partial:
        assert not (partial / "file").exists()
        (partial / "other").touch()
    assert read_run(out)["checksums"].keys() == {"other"}


def test_resuming_after_a_kill_finds_what_was_done(out: Path) -> None:
    kill_in_the_middle(out, "resuming")
    assert not out.exists()
    with made(out, nj=8).resuming() as partial:
        assert (partial / "file").read_text() == "half"
    assert read_run(out)["checksums"].keys() == {"file"}
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "file", "run.json"]


def test_the_time_of_a_killed_run_counts_and_the_pause_after_it_does_not(out: Path) -> None:
    kill_in_the_middle(out, "resuming")
    partial = out.with_name("out.partial")
    left = json.loads((partial / "identity.json").read_text())
    # As if it had begun two hours ago and written its last file one hour ago.
    now = time.time()
    left["sessions"] = [[now - 7200, None]]
    (partial / "identity.json").write_text(json.dumps(left))
    for path in partial.rglob("*"):
        os.utime(path, (now - 3600, now - 3600))
    with made(out).resuming():
        pass
    run = read_run(out)
    assert run["seconds"] == pytest.approx(3600, abs=60)
    assert [round(end - start, -2) for start, end in run["sessions"]] == [3600, 0]


def test_resuming_keeps_what_was_done_before_an_error(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt), made(out).resuming() as partial:
        (partial / "file").write_text("half")
        raise KeyboardInterrupt
    with made(out).resuming() as partial:
        assert (partial / "file").read_text() == "half"


def test_resuming_keeps_what_was_done_when_the_end_itself_is_interrupted(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(directory: Path) -> dict[str, str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "checksums", killed)
        with pytest.raises(KeyboardInterrupt), made(out).resuming() as partial:
            (partial / "file").write_text("whole")
    assert not out.exists()
    with made(out).resuming() as partial:
        assert (partial / "file").read_text() == "whole"


@pytest.mark.parametrize("way", ["resuming", "writing"])
def test_what_other_options_left_is_never_resumed(out: Path, way: str) -> None:
    kill_in_the_middle(out, way)
    with made(out, num_states=5).resuming() as partial:
        assert not (partial / "file").exists()


def test_training_that_was_interrupted_is_not_thrown_away_for_other_options(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt), made(out).resuming() as partial:
        (partial / "checkpoint.safetensors").write_text("hours")
        raise KeyboardInterrupt
    said = r"interrupted run with --num-states 3 \(now 5\)\. Carry it on"
    with pytest.raises(StaleError, match=said), made(out, num_states=5).resuming():
        pass
    with made(out).resuming() as partial:
        assert (partial / "checkpoint.safetensors").read_text() == "hours"


def test_a_page_that_cannot_be_made_anew_stays_as_it_was(out: Path) -> None:
    finish(out)
    stage = Stage(out, command="try", options=Options(out=out, num_states=5), inputs={"data": "abc"}, replace=True)
    assert not stage.finished()
    with pytest.raises(DataError), stage.writing():
        raise DataError("runs in another order")
    assert (out / "file").read_text() == "content"
    with stage.writing() as partial:
        (partial / "file").write_text("other")
    assert (out / "file").read_text() == "other"
    assert made(out, num_states=5).finished()
    assert not out.with_name("out.replaced").exists()


def test_what_lies_beside_a_directory_is_not_touched(out: Path) -> None:
    finish(out)
    backup = out.with_name("out.old")
    out.rename(backup)
    finish(out)
    stage = Stage(out, command="try", options=Options(out=out, num_states=5), inputs={"data": "abc"}, replace=True)
    assert not stage.finished()
    with stage.writing() as partial:
        (partial / "file").write_text("other")
    assert (backup / "file").read_text() == "content"


def test_a_page_that_cannot_be_removed_gives_way_to_the_new_one(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network drive a file that another process has open stays."""
    finish(out)
    rmtree = shutil.rmtree

    def failing(path: Path, ignore_errors: bool = False) -> None:
        if (Path(path) / "file").exists() and "partial" not in Path(path).name:
            (Path(path) / "file").unlink()
            if not ignore_errors:
                raise OSError("Directory not empty")
            return
        rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", failing)
    stage = Stage(out, command="try", options=Options(out=out, num_states=5), inputs={"data": "abc"}, replace=True)
    assert not stage.finished()
    with stage.writing() as partial:
        (partial / "file").write_text("other")
    assert (out / "file").read_text() == "other"
    assert made(out, num_states=5).finished()


def test_a_broken_record_of_what_was_begun_is_never_resumed(out: Path) -> None:
    kill_in_the_middle(out, "resuming")
    (out.with_name("out.partial") / "identity.json").write_text('{"command": ')
    with made(out).resuming() as partial:
        assert not (partial / "file").exists()


def test_a_fingerprint_changes_with_the_content_and_not_with_the_record(tmp_path: Path) -> None:
    finish(tmp_path / "a")
    finish(tmp_path / "b")
    finish(tmp_path / "c", "CONTENT")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "c")
    with made(tmp_path / "d").writing() as partial:
        (partial / "renamed").write_text("content")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "d")


def test_checksums_leave_out_logs_wherever_the_directory_lies(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard" / "out"
    (folder / "tensorboard").mkdir(parents=True)
    for name in ("file", "log", "metrics.jsonl", "run.json", "tensorboard/events"):
        (folder / name).write_text(name)
    assert checksums(folder).keys() == {"file"}


def test_the_log_of_a_stage_is_kept_beside_what_it_made(out: Path) -> None:
    log = logging.getLogger("asr_kd")
    before = list(log.handlers)
    with made(out).writing():
        log.warning("noted")
    assert "WARNING noted" in (out / "log").read_text()
    assert log.handlers == before


def test_a_run_file_that_is_no_json_is_an_error_with_a_remedy(out: Path) -> None:
    finish(out)
    (out / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"not valid JSON.*make it anew"):
        read_run(out)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before é")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert path.read_text(encoding="utf-8") == "before é"
    write_json(path, {"after": 1})
    assert json.loads(path.read_text()) == {"after": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest("x")) == 16


@pytest.mark.parametrize("way", ["writing", "resuming"])
def test_what_another_process_has_made_meanwhile_is_not_made_again(out: Path, way: str) -> None:
    first, second = made(out), made(out)
    assert not first.finished() and not second.finished()
    with first.writing() as partial:
        (partial / "file").write_text("first")
    with pytest.raises(StaleError, match="made it meanwhile"), getattr(second, way)():
        raise AssertionError("must not be made again")
    assert second.finished()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_second_process_is_told_that_the_directory_is_being_made(out: Path) -> None:
    first, second = made(out), made(out)
    with first.writing() as partial:
        (partial / "file").write_text("first")
        with pytest.raises(StaleError, match="another process is making it"), second.writing():
            pass
    assert first.finished()
    assert (out / "file").read_text() == "first"
    assert not out.with_name("out.lock").exists()


def test_what_another_command_made_is_never_replaced(out: Path) -> None:
    """An OUT that was forgotten on the command line makes the last input the output."""
    finish(out)
    stage = Stage(out, command="report", options=Options(out=out), inputs={"data": "abc"}, replace=True)
    with pytest.raises(StaleError, match=r"made with command try \(now report\)"):
        stage.finished()
    assert (out / "file").read_text() == "content"


def test_another_command_does_not_throw_interrupted_training_away(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt), made(out).resuming() as partial:
        (partial / "checkpoint.safetensors").write_text("hours")
        raise KeyboardInterrupt
    with pytest.raises(StaleError, match=r"interrupted run with command try"), made(out, command="other").writing():
        pass
    assert (out.with_name("out.partial") / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("name", [".", "/", ""])
def test_a_place_that_has_no_name_cannot_be_made(name: str) -> None:
    with pytest.raises(UsageError, match="give it a name"):
        made(Path(name))
