"""One output directory, made whole or not at all.

A stage writes in ``OUT.partial`` and renames it to ``OUT`` when everything is there, so a directory
under its final name is always complete. Its ``run.json`` says which command, options and inputs made it
and carries checksums of what it holds; the same command with the same options and inputs is then a
no-op, with others it is an error, never a silent reuse.
"""

import fcntl
import hashlib
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from asr_kd import __version__, shortcut
from asr_kd.errors import DataError, StaleError, UsageError
from asr_kd.options import deciding, defaults, to_dict
from asr_kd.shortcut import RUN_FILE

log = logging.getLogger("asr_kd")

CONFIG_FILE = "config.json"
LOG_FILE = "log"
IDENTITY_FILE = "identity.json"
NOT_CONTENT = {RUN_FILE, CONFIG_FILE, LOG_FILE, IDENTITY_FILE, "metrics.jsonl"}


class Stage:
    """The making of one output directory by one command.

    Args:
        out: the directory to make.
        command: the command's name, as in ``asr-kd COMMAND``.
        options: the command's options, a dataclass.
        inputs: what the result is made from: a name for each and its fingerprint.
        replace: make anew what the same command made otherwise, instead of an error; for what is quickly made from
            the rest.
    """

    def __init__(
        self, out: Path, *, command: str, options: Any, inputs: Mapping[str, str], replace: bool = False
    ) -> None:
        if not out.name:
            raise UsageError(f"'{out}': not a directory to make; give it a name")
        self._replace, self._replacing = replace, False
        self.out = out
        self.partial = out.with_name(out.name + ".partial")
        self._options = options
        self._identity = {"command": command, "options": deciding(options), "inputs": dict(inputs)}
        self._shortcut = shortcut.record(sys.argv[1:])

    def finished(self) -> bool:
        """Whether the directory is there and was made just so.

        Raises:
            StaleError: it is there, but made by other options, inputs or another command.
        """
        if not self.out.exists():
            return False
        run = read_run(self.out)
        differences = self._differences(run.get("identity", {}))
        of_this_command = run.get("identity", {}).get("command") == self._identity["command"]
        if differences and self._replace and of_this_command:
            log.info("%s: made with %s, made anew", self.out, "; ".join(differences))
            self._replacing = True  # it stays until there is another
            return False
        if differences:
            raise StaleError(
                f"{self.out}: made with {'; '.join(differences)}. Remove it to make it anew, or name another directory"
            )
        log.info("%s: done already", self.out)
        return True

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A fresh directory to write in; it gets its final name at the end, or vanishes on an error.

        Raises:
            StaleError: another process is making the same directory, or has made it since `finished` was asked.
        """
        with self._alone():
            self._check_nothing_is_lost()
            _remove(self.partial)
            try:
                with self._working() as partial:
                    yield partial
            except BaseException:
                shutil.rmtree(self.partial, ignore_errors=True)
                raise

    @contextmanager
    def resuming(self) -> Iterator[Path]:
        """As `writing`, but what an interrupted run of the same stage left is kept to carry on from.

        Raises:
            StaleError: as `writing`, or hours of training with other options or inputs would be thrown away.
        """
        with self._alone():
            earlier = self._sessions_left()
            if self.partial.exists() and not earlier:
                self._check_nothing_is_lost()
                _remove(self.partial)
            with self._working(earlier) as partial:
                begun = [*earlier, (time.time(), None)]
                write_json(partial / IDENTITY_FILE, {"identity": self._identity, "sessions": begun})
                yield partial
            # Only now: a run killed while it sums up large files must still find what it was doing.
            (self.out / IDENTITY_FILE).unlink()

    @property
    def begun(self) -> bool:
        """Whether an interrupted run of the same stage left something to carry on from."""
        return bool(self._sessions_left())

    def _check_nothing_is_lost(self) -> None:
        try:
            left = json.loads((self.partial / IDENTITY_FILE).read_text(encoding="utf-8"))["identity"]
        except (OSError, ValueError, TypeError, KeyError):
            return  # no run could carry on from it
        if any(self.partial.rglob("*.safetensors")):
            raise StaleError(
                f"{self.partial}: an interrupted run with {'; '.join(self._differences(left))}. Carry it on with its "
                "own options and inputs, or remove it to start anew"
            )

    def _sessions_left(self) -> list[tuple[float, float]]:
        """When earlier runs of the same stage began and wrote their last file; none if what is left is not theirs."""
        try:
            left = json.loads((self.partial / IDENTITY_FILE).read_text(encoding="utf-8"))
            if self._differences(left["identity"]):
                return []
            *ended, (started, _) = left["sessions"]
        except (OSError, ValueError, TypeError, KeyError):
            return []
        last_write = max(path.stat().st_mtime for path in self.partial.rglob("*"))
        return [*map(tuple, ended), (started, max(started, last_write))]

    def _differences(self, made: Mapping[str, Any]) -> list[str]:
        """What is other than when the directory was made. An option that there was none of then had its default."""
        return list(_differences(made, self._identity, defaults(type(self._options))))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep a second process from making the same directory at the same time."""
        path = self.out.with_name(self.out.name + ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StaleError(f"{self.out}: another process is making it now; wait for it, or stop it") from error
            try:
                if self.out.exists() and not self._replacing:  # `finished` found nothing there
                    raise StaleError(f"{self.out}: another process has made it meanwhile; run the command again")
                yield
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _working(self, earlier: Sequence[tuple[float, float]] = ()) -> Iterator[Path]:
        self.partial.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.partial / LOG_FILE, delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger("asr_kd").addHandler(handler)
        started = time.time()
        try:
            yield self.partial
            handler.close()
            self._finish([*earlier, (started, time.time())])
        finally:
            logging.getLogger("asr_kd").removeHandler(handler)
            handler.close()

    def _finish(self, sessions: Sequence[tuple[float, float]]) -> None:
        write_json(self.partial / CONFIG_FILE, to_dict(self._options))
        seed = deciding(self._options).get("seed")
        run = {
            "identity": self._identity,
            "command_line": shlex.join(["asr-kd", *sys.argv[1:]]),
            "revision": revision(),
            "versions": _versions(),
            "seed": seed,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(sessions[0][0])),
            "seconds": round(sum(end - start for start, end in sessions), 2),
            "sessions": [[round(start, 2), round(end, 2)] for start, end in sessions],
            "checksums": checksums(self.partial),
            shortcut.KEY: self._shortcut,
        }
        write_json(self.partial / RUN_FILE, run)
        if not self._replacing:
            self.partial.rename(self.out)
            return
        before = self.out.with_name(self.out.name + ".replaced")
        _remove(before)
        self.out.rename(before)
        self.partial.rename(self.out)
        shutil.rmtree(before, ignore_errors=True)


def read_run(directory: Path) -> dict[str, Any]:
    """A finished stage's ``run.json``.

    Raises:
        DataError: the directory or its ``run.json`` is missing or unreadable.
    """
    path = directory / RUN_FILE
    if not path.exists():
        partial = directory.with_name(directory.name + ".partial")
        hint = " (its stage was interrupted: run it again)" if partial.exists() else ""
        why = "no run.json in it" if directory.exists() else "no such directory"
        raise DataError(f"{directory}: {why}; expected the output of an asr-kd command{hint}")
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); remove {directory} and make it anew") from error


def fingerprint(directory: Path) -> str:
    """What a finished stage's directory holds, in 16 hex digits: the hash of its files' checksums."""
    return digest(read_run(directory)["checksums"])


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def checksums(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory that is content, not record."""
    files = sorted(p.relative_to(directory) for p in directory.rglob("*") if p.is_file())
    kept = [p for p in files if p.name not in NOT_CONTENT and "tensorboard" not in p.parts]
    return {str(p): file_sha256(directory / p) for p in kept}


def file_sha256(path: Path) -> str:
    """SHA-256 of one file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is there whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place at the end."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sha256(file: Any) -> str:
    state = hashlib.sha256()
    while chunk := file.read(1 << 20):
        state.update(chunk)
    return state.hexdigest()


def _differences(made: Mapping[str, Any], asked: Mapping[str, Any], defaults_then: Mapping[str, Any]) -> Iterator[str]:
    if made.get("command") != asked["command"]:
        yield f"command {made.get('command')} (now {asked['command']})"
        return
    for part in ("options", "inputs"):
        before, now = made.get(part, {}), asked[part]
        if part == "options":
            # One that the command no longer has, or that does not count any more, makes no difference.
            before = {name: value for name, value in ({**defaults_then} | before).items() if name in now}
        for name in sorted(set(before) | set(now)):
            if before.get(name) != now.get(name):
                label = f"--{name.replace('_', '-')}" if part == "options" else f"another {name}"
                yield f"{label} {before.get(name)} (now {now.get(name)})"


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


def revision() -> str:
    """The toolkit's version, and the commit it runs from where it runs from a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return __version__
    found = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return f"{__version__}+{found.stdout.strip()}" if found.returncode == 0 else __version__


def _versions() -> dict[str, str]:
    versions = {"python": sys.version.split()[0]}
    for name in ("torch", "torchaudio", "numpy", "kaldifst", "kaldi-decoder"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
