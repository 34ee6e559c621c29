"""Tell in a fraction of a second that a command has nothing to do, before its heavy imports.

A stage records the words of its command line and the state of every file and directory they name. Where
the very same words are given again and none of those has changed, the stage is done; in any other case the
command itself decides.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
KEY = "shortcut"


def record(words: Sequence[str]) -> dict[str, Any]:
    """What `is_done` compares: the words, and the state of what they name, the output (the last) left out."""
    return {
        "words": list(words),
        "named": {word: _state(path) for word in words[:-1] if (path := _path(word)).exists()},
    }


def is_done(words: Sequence[str]) -> bool:
    """Whether the output named last was made by the same words from unchanged files and directories."""
    try:
        run = json.loads((Path(words[-1]) / RUN_FILE).read_text(encoding="utf-8"))
        return bool(run[KEY] == record(words))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False


def _path(word: str) -> Path:
    """The path in a word such as ``data/train`` or ``--config=fbank.conf``."""
    return Path(word.split("=", 1)[1] if word.startswith("--") and "=" in word else word)


def _state(path: Path) -> str:
    """A hash of a file, of a finished stage's record, or of the files of any other directory."""
    if path.is_dir() and (path / RUN_FILE).exists():
        path = path / RUN_FILE
    if path.is_dir():
        content = b"".join(file.name.encode() + file.read_bytes() for file in sorted(path.iterdir()) if file.is_file())
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]
