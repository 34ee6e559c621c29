"""The environment that run.sh makes: what it installs for which recipe, and what it says where a package is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A Python that makes environments of itself, logs what pip would install, and finds the package in the checkout.
PYTHON = """#!/usr/bin/env bash
root=${0%/.venv/bin/python}
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install "*)
    echo "${@: -1}" >>"$root/pip.log"
    cp "$0" "$root/.venv/bin/asr-kd"
    ;;
  *asr_kd*) echo "$root" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the shell of this project, and a Python beside it."""
    folder = tmp_path.resolve() / "checkout"
    for name in ("local", "recipes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("data", "exp", "download"))
    shutil.copy(ROOT / "run.sh", folder)
    (folder / "setup.cfg").touch()
    (folder / "train").mkdir()
    (folder / "train/wav.scp").touch()
    python = folder / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def run_sh(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Everything of run.sh but its stages."""
    environment = os.environ | {"PYTHON": str(checkout / "python"), "VIRTUAL_ENV": ""}
    command = [str(checkout / "run.sh"), *options, "--stage", "13"]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def installed(checkout: Path) -> list[str]:
    log = checkout / "pip.log"
    return [line.removeprefix(str(checkout)) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize(
    ("options", "extras"),
    [
        ("", "[synthesis]"),
        ("--recipe fsdd", "[synthesis]"),
        ("--recipe mnist", ""),
        ("--recipe librispeech --parts 47", "[g2p]"),
        ("--recipe librispeech --parts 47 --units char", ""),
        ("--recipe librispeech --parts mini", "[corpora]"),
        ("--recipe librispeech --parts 100 --units sentencepiece", "[corpora,units]"),
        ("--recipe custom --train train --units char", ""),
        ("--recipe custom --train train", "[units]"),
        ("--recipe custom --train train --lexicon train --lm-text train --extend-lexicon", "[g2p]"),
    ],
)
def test_a_fresh_environment_gets_the_extras_that_the_recipe_needs(checkout: Path, options: str, extras: str) -> None:
    done = run_sh(checkout, *options.split())
    assert done.returncode == 0, done.stderr
    assert installed(checkout) == [extras]


@pytest.mark.parametrize(("corpus", "extras"), [("librispeech47", "[g2p]"), ("other", "[corpora]")])
def test_librispeech_is_downloaded_where_the_corpus_is_not_at_hand(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, corpus: str, extras: str
) -> None:
    (checkout / "corpora" / corpus).mkdir(parents=True)
    monkeypatch.setenv("ASR_KD_CORPORA", str(checkout / "corpora"))
    assert run_sh(checkout, "--recipe", "librispeech").returncode == 0
    assert installed(checkout) == [extras]


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    broken = checkout / ".venv/bin/python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert run_sh(checkout).returncode == 0
    assert installed(checkout) == ["[synthesis]"]


def test_an_environment_is_given_only_what_it_lacks(checkout: Path) -> None:
    run_sh(checkout)
    run_sh(checkout)
    run_sh(checkout, "--recipe=mnist")
    assert installed(checkout) == ["[synthesis]"]
    run_sh(checkout, "--recipe=custom", "--train=train")
    run_sh(checkout, "--recipe=custom", "--train=train")
    run_sh(checkout)
    assert installed(checkout) == ["[synthesis]", "[units]"]


def test_changed_requirements_are_installed(checkout: Path) -> None:
    run_sh(checkout)
    later = (checkout / ".venv/installed-synthesis").stat().st_mtime + 10
    os.utime(checkout / "setup.cfg", (later, later))
    run_sh(checkout)
    assert installed(checkout) == ["[synthesis]", "[synthesis]"]
