"""Every command is a module with options, and says what they are."""

import dataclasses
import importlib
import re

import pytest
from project import PACKAGE, flags_of

from asr_kd.cli.main import COMMANDS, main


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {path.stem.replace("_", "-") for path in PACKAGE.glob("cli/*.py")} - {"--init--", "main"}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_options_a_run_and_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"asr_kd.cli.{command.replace('-', '_')}")
    assert dataclasses.is_dataclass(module.Options) and callable(module.run)
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert module.__doc__.splitlines()[0] in shown
    assert flags_of(command) - {"--help"} <= set(re.findall(r"--[a-z0-9-]+", shown))
