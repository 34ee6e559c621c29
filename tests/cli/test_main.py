"""The dispatcher: exit codes, one line an error, and a traceback only where asked for."""

import configparser
import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd import __version__
from asr_kd.cli import main as main_module
from asr_kd.cli.main import COMMANDS, RESUMING, main
from asr_kd.errors import AsrKdError, DataError, StaleError, UsageError, missing_package
from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("where from", positional=True)
    num_states: int = option("states", default=3)


@pytest.fixture(autouse=True)
def _restored_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a made-up command that raises, or does, what it is given."""

    def run_it(does: BaseException | Callable[[Options], None], *words: str) -> int:
        def run(options: Options) -> None:
            if isinstance(does, BaseException):
                raise does
            does(options)

        module = types.ModuleType("asr_kd.cli.try_it", "Tries it.")
        module.Options, module.run = Options, run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "asr_kd.cli.try_it", module)
        monkeypatch.setitem(COMMANDS, "try-it", "tries it")
        return main(["try-it", *(words or ("d",))])

    return run_it


def test_a_command_that_ends_well_exits_with_0(command: Callable[..., int]) -> None:
    seen: list[Options] = []
    assert command(seen.append, "d", "--num-states", "5") == 0
    assert seen == [Options(data=Path("d"), num_states=5)]


@pytest.mark.parametrize("error", [AsrKdError, DataError, StaleError])
def test_a_users_mistake_is_one_line_and_exit_1(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], error: type[AsrKdError]
) -> None:
    assert command(error("a/text:3: 'x' has no transcript")) == 1
    assert capsys.readouterr().err == "asr-kd try-it: a/text:3: 'x' has no transcript\n"


def test_debug_shows_the_traceback(command: Callable[..., int]) -> None:
    with pytest.raises(DataError, match="broken"):
        command(DataError("broken"), "d", "--debug")


def test_a_bug_of_the_program_is_not_hidden(command: Callable[..., int]) -> None:
    with pytest.raises(KeyError):
        command(KeyError("bug"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["d", "--num-stats", "5"], "unknown option '--num-stats', did you mean '--num-states'?"),
        (["--num-states", "5"], "required: DATA"),
        (["d", "--num-states", "x"], "invalid int value: 'x'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert command(AssertionError("must not run"), *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("asr-kd try-it: ")
    assert said in line


def test_wrong_usage_found_by_the_command_itself_is_exit_2(command: Callable[..., int]) -> None:
    assert command(UsageError("--parts: wrong")) == 2


@pytest.mark.parametrize(("resuming", "then"), [((), "begins anew"), (("try-it",), "carries on from here")])
def test_ctrl_c_exits_with_130_and_says_whether_the_work_can_go_on(
    command: Callable[..., int],
    complaint: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    resuming: tuple[str, ...],
    then: str,
) -> None:
    monkeypatch.setattr(main_module, "RESUMING", resuming)
    assert command(KeyboardInterrupt()) == 130
    assert complaint() == f"asr-kd try-it: interrupted; the same command {then}"


def test_those_commands_carry_on_whose_stage_does_and_the_sweep_of_them() -> None:
    modules = Path(main_module.__file__).parent.glob("*.py")
    resuming = {path.stem.replace("_", "-") for path in modules if ".resuming(" in path.read_text()}
    assert resuming | {"sweep"} == set(RESUMING)


def test_a_terminated_command_cleans_up_as_after_ctrl_c(command: Callable[..., int]) -> None:
    def terminated(options: Options) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert command(terminated) == 130


def _numpy_on_a_full_disk(options: Options) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        np.zeros(100_000).tofile(file)


@pytest.mark.parametrize(
    "does",
    [
        OSError(errno.ENOSPC, "No space left on device", "exp/feats.npy"),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        pytest.param(
            _numpy_on_a_full_disk,
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here"),
        ),
    ],
)
def test_a_full_disk_is_one_line_with_a_remedy_whichever_library_meets_it(
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    does: BaseException | Callable[[Options], None],
) -> None:
    assert command(does) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no space left on the device" in line
    assert "run the same command again" in line


def test_a_missing_file_is_one_line_with_its_name(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(lambda options: options.data.read_text() and None, "no-such-file") == 1
    assert capsys.readouterr().err == "asr-kd try-it: no-such-file: No such file or directory\n"


@pytest.mark.parametrize(
    "full",
    [
        MemoryError("8 GiB asked for"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB.\nmore lines"),
        torch.AcceleratorError("CUDA error: out of memory\nmore lines"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        lambda options: torch.empty(1 << 50) and None,
    ],
    ids=["python", "gpu", "driver", "cublas", "torch"],
)
def test_too_little_memory_is_one_line_with_a_remedy(
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    full: BaseException | Callable[[Options], None],
) -> None:
    assert command(full) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "try a smaller batch" in line


def test_an_unknown_command_is_exit_2_with_the_nearest_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate-dat"]) == 2
    assert "unknown command 'validate-dat', did you mean 'validate-data'?" in capsys.readouterr().err


def test_help_lists_every_command_and_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert main([]) == 2


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asr-kd {__version__}\n"


def test_the_program_prints_no_traceback_and_imports_only_its_command(tmp_path: Path) -> None:
    code = (
        "import sys; from asr_kd.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'kaldifst', 'asr_kd.cli.train'} & set(sys.modules); print(heavy); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "validate-data", str(tmp_path / "nothing")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"asr-kd validate-data: {tmp_path / 'nothing'}: no such data directory\n"
    assert done.stdout == "set()\n"


PROGRAM = """
import atexit, sys, threading, time
from asr_kd.cli import main
atexit.register(print, "at the exit", file=sys.stderr)
threading.Thread(target=lambda: (time.sleep(2), print("Python's own end waits for me", file=sys.stderr))).start()
main.main = lambda: print("x" * 1_000_000) or int(sys.argv[1])
main.program()
"""


@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_program_ends_quickly_with_all_said_and_the_commands_code(code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "x" * 1_000_000 + "\n", "at the exit\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("set -o pipefail; {{ sleep 0.5; {}; }} | true", ""),
        ("{} >&- 2>&-; exit $(($? + 1))", None),
        ("{} >/dev/full", "asr-kd: no space left on the device; free some and run the same command again\n"),
    ],
)
def test_what_nobody_can_read_is_no_traceback(line: str, said: str | None) -> None:
    program = shlex.join([sys.executable, "-c", PROGRAM.replace("1_000_000", "1_000"), "0"])
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", line.format(program)], capture_output=True, text=True, check=False, env=buffered
    )
    assert (done.returncode, done.stderr) == (1, "" if said is None else f"at the exit\n{said}")


def test_help_ends_like_any_command() -> None:
    help_of_train = "from asr_kd.cli.main import program; program()"
    done = subprocess.run([sys.executable, "-c", help_of_train, "train", "--help"], capture_output=True, check=False)
    assert done.returncode == 0 and b"usage: asr-kd train" in done.stdout and not done.stderr


def test_a_fault_of_the_program_is_a_traceback_and_exit_1() -> None:
    fault = PROGRAM.replace("int(sys.argv[1])", "1 / 0").replace("1_000_000", "1")
    done = subprocess.run([sys.executable, "-c", fault], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and done.stderr.endswith("by zero\nat the exit\n")


def test_other_errors_of_a_gpu_are_not_taken_for_full_memory(command: Callable[..., int]) -> None:
    with pytest.raises(RuntimeError, match="illegal"):
        command(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))


def test_errors_of_the_disk_are_told_from_other_errors() -> None:
    assert not main_module._disk_is_full(OSError(errno.EACCES, "Permission denied"))
    assert not main_module._disk_is_full(RuntimeError("space"))


def test_a_package_that_is_not_installed_is_one_line_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, complaint: Callable[[], str]
) -> None:
    for module in ("asr_kd.cli.export_onnx", "asr_kd.bundle.exporting", "asr_kd.bundle.onnx_export"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export-onnx", "bundle", "out"]) == 1
    said = f"the package onnx is not installed; run: {sys.executable} -m pip install onnx onnxruntime"
    assert complaint() == f"asr-kd export-onnx: {said}"
    with pytest.raises(ModuleNotFoundError):
        main(["export-onnx", "bundle", "out", "--debug"])


def test_a_module_of_asr_kd_itself_that_is_missing_is_a_fault_of_the_program(command: Callable[..., int]) -> None:
    with pytest.raises(ModuleNotFoundError):
        command(ModuleNotFoundError("no such module", name="asr_kd.nothing"))


def test_what_installs_a_package_is_all_of_an_extra() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    extras = {
        re.sub("[>=].*", "", line).replace("-", "_"): re.findall(r"^([\w-]+)[>=]", text, re.MULTILINE)
        for text in (setup["options.extras_require"][name] for name in ("synthesis", "onnx", "units"))
        for line in text.split()
    }
    assert set(extras) == {"espeakng_loader", "onnx", "onnxruntime", "sentencepiece"}
    for module, packages in extras.items():
        assert missing_package(module).replace("_", "-").endswith(f"-m pip install {' '.join(packages)}")
