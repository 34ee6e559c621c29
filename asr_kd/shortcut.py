"""Tell in a fraction of a second that a command has nothing to do, before its heavy imports.

A stage records the words of its command line, those of the conf file they name, and the state of every file
and directory among them. Where the very same words are given again and neither those nor the program have
changed, the stage is done; in any other case the command itself decides.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
KEY = "shortcut"
_PIECE = 1 << 20


def record(words: Sequence[str]) -> dict[str, Any]:
    """What `is_done` compares: the words, the state of all they name but the output (the last), the program."""
    named = [*words[:-1], *_conf_words(words)]
    states = {word: _state(path) for word in named if not word.endswith("=") and _exists(path := _path(word))}
    return {"words": list(words), "named": states, "program": _program()}


def is_done(words: Sequence[str]) -> bool:
    """Whether the output named last was made by the same words from unchanged files and directories."""
    try:
        run = json.loads((Path(words[-1]) / RUN_FILE).read_text(encoding="utf-8"))
        return bool(run[KEY] == record(words))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long to be a file's name
        return False


def _conf_words(words: Sequence[str]) -> list[str]:
    """The words of the conf file: it may name files too."""
    pairs = zip(["", *words], words, strict=False)
    confs = [_path(word) for before, word in pairs if before == "--config" or word.startswith("--config=")]
    return [word for conf in confs if conf.is_file() for word in conf.read_text(encoding="utf-8").split()]


def _path(word: str) -> Path:
    """The path in a word such as ``data/train`` or ``--config=fbank.conf``."""
    return Path(word.split("=", 1)[1] if word.startswith("--") and "=" in word else word)


def _state(path: Path) -> str:
    """A hash of a file, of a finished stage's record, or of the files of any other directory.

    A data directory stands in a folder that a command may have made: that command's record counts too.
    """
    files = [path]
    if path.is_dir():
        made = path / RUN_FILE
        files = [made] if made.exists() else [*sorted(path.iterdir()), path.parent / RUN_FILE]
    state = hashlib.sha256()
    for file in filter(Path.is_file, files):
        state.update(file.name.encode())
        with file.open("rb") as content:
            while piece := content.read(_PIECE):
                state.update(piece)
    return state.hexdigest()[:16]


def _program() -> str:
    """Changes with the program's own files."""
    stats = [(str(path), path.stat()) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    return hashlib.sha256(repr([(p, s.st_size, s.st_mtime_ns) for p, s in stats]).encode()).hexdigest()[:16]
