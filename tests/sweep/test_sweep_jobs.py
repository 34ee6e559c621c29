"""Jobs side by side: order, logs, failures that take nothing else down, and an end that leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from asr_kd.sweep.jobs import Ended, Job, run_jobs

WAIT_SECONDS = 30


def act(words: Sequence[str]) -> int:
    """What the commands of these tests do."""
    what, place = words[0], Path(words[1])
    if what == "append":
        with place.open("a") as file:
            file.write(f"{words[2]}\n")
    if what == "complain":
        print("something is wrong", file=sys.stderr)
        return 1
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "count":
        mine = place / words[2]
        mine.touch()
        (place / f"{words[2]}.count").write_text(str(len([p for p in place.iterdir() if not p.suffix])))
        time.sleep(0.1)
        mine.unlink()
    if what == "wait":
        return _wait(place)
    return 0


def _wait(place: Path) -> int:
    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        (place / "begun").write_text(str(os.getpid()))
        time.sleep(10 * WAIT_SECONDS)
    except KeyboardInterrupt:
        (place / "saved").touch()
    return 130


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def make(name: str, *commands: tuple[object, ...]) -> Job:
        words = tuple(tuple(map(str, command)) for command in commands)
        return Job(name=name, commands=words, log=tmp_path / "log" / f"{name}.log")

    return make


def ended(jobs: Sequence[Job], nj: int = 2) -> dict[str, Ended]:
    return {one.job.name: one for one in run_jobs(jobs, run_command=act, nj=nj)}


def appear(path: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


def test_the_commands_of_a_job_run_in_order_and_its_log_says_which(tmp_path: Path, job: Callable[..., Job]) -> None:
    one = job("one", *(("append", tmp_path / "file", number) for number in range(3)))
    assert ended([one])["one"].exit_code == 0
    assert (tmp_path / "file").read_text() == "0\n1\n2\n"
    assert one.log.read_text().count("asr-kd append") == 3


def test_a_command_that_fails_ends_its_job_and_no_other(tmp_path: Path, job: Callable[..., Job]) -> None:
    jobs = [job("bad", ("complain", tmp_path), ("append", tmp_path / "bad", 1))]
    jobs += [job(f"good-{number}", ("append", tmp_path / f"good-{number}", 1)) for number in range(3)]
    found = ended(jobs)
    assert {name: one.exit_code for name, one in found.items()} == {"bad": 1, "good-0": 0, "good-1": 0, "good-2": 0}
    assert found["bad"].last_words == "something is wrong"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good-0", "good-1", "good-2", "log"]


def test_a_process_that_is_killed_is_a_job_that_failed(tmp_path: Path, job: Callable[..., Job]) -> None:
    found = ended([job("dies", ("die", tmp_path)), job("lives", ("append", tmp_path / "file", 1))])
    assert found["dies"].exit_code == -signal.SIGKILL
    assert "SIGKILL" in found["dies"].last_words
    assert found["lives"].exit_code == 0


def test_no_more_run_side_by_side_than_asked_for(tmp_path: Path, job: Callable[..., Job]) -> None:
    place = tmp_path / "running"
    place.mkdir()
    ended([job(f"j{number}", ("count", place, number)) for number in range(7)], nj=3)
    counts = [int(path.read_text()) for path in place.glob("*.count")]
    assert len(counts) == 7
    assert max(counts) <= 3


def test_whoever_stops_listening_stops_the_jobs_and_they_may_save(tmp_path: Path, job: Callable[..., Job]) -> None:
    jobs = [job("long", ("wait", tmp_path)), job("quick", ("append", tmp_path / "file", 1))]
    jobs.append(job("never", ("append", tmp_path / "never", 1)))
    running = run_jobs(jobs, run_command=act, nj=2)
    assert next(running).job.name == "quick"
    appear(tmp_path / "begun")
    running.close()
    assert (tmp_path / "saved").exists()
    assert not _alive(int((tmp_path / "begun").read_text()))


def test_the_jobs_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from asr_kd.sweep.jobs import Job, run_jobs\n"
        "from test_sweep_jobs import act\n"
        "here = Path(sys.argv[1])\n"
        "job = Job(name='long', commands=(('wait', str(here)),), log=here / 'log' / 'long')\n"
        "if __name__ == '__main__': list(run_jobs([job], run_command=act, nj=1))\n"
    )
    (tmp_path / "parent.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path)], env=environment) as parent:
        appear(tmp_path / "begun")
        parent.kill()
    appear(tmp_path / "saved")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
