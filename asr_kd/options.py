"""Options: one frozen dataclass field is a flag, a line of a conf file and a key of config.json.

A command declares its options once::

    @dataclass(frozen=True, kw_only=True)
    class Options:
        data: Path = option("Kaldi data directory", positional=True)
        num_mel_bins: int = option("mel filters", default=40)
        fbank: FbankOptions = group(FbankOptions)      # its fields become flags of this command too

A conf file given with ``--config FILE`` holds the same flags, one a line, with ``#`` comments, as in
Kaldi: ``--num-mel-bins=40  # the paper's 40``. A flag on the command line wins over the conf file.
"""

import argparse
import dataclasses
import difflib
import json
import math
import shlex
import types
import typing
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from asr_kd.errors import UsageError

T = TypeVar("T")


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    positional: bool = False,
    choices: Sequence[Any] = (),
    affects_result: bool = True,
) -> Any:
    """One option of a command.

    Args:
        help: one line for ``--help``, with the unit.
        default: required when absent.
        positional: given by place, not by flag. A ``tuple`` type takes one or more.
        choices: the values allowed.
        affects_result: False for what changes only how the work is done (number of jobs, device), so
            that a finished output directory stays valid when it changes.
    """
    metadata = {"help": help, "positional": positional, "choices": tuple(choices), "affects_result": affects_result}
    return dataclasses.field(default=default, metadata=metadata)


def group(cls: type[T]) -> T:
    """A nested dataclass of options whose flags are flat."""
    return dataclasses.field(default_factory=cls, metadata={"group": True})


def parse(cls: type[T], argv: Sequence[str], *, command: str, description: str) -> T:
    """Build ``cls`` from a command line.

    Raises:
        UsageError: an unknown option (with the nearest known one), a missing or malformed value.
    """
    prog = f"asr-kd {command}"
    conf, _ = _config_only(prog).parse_known_args(argv)
    values = _conf_values(cls, conf.config) if conf.config else {}
    parser = _parser(cls, prog, given=values, description=description)
    parser.add_argument("--config", type=Path, metavar="FILE", help="conf file: one flag a line, '#' for comments")
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    try:
        return _build(cls, values | _words_to_values(parser, argv))
    except ValueError as error:
        raise UsageError(f"{prog}: {error}") from error


def read_conf(path: Path) -> list[str]:
    """The flags of a conf file, as command-line words."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot read the conf file ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: the conf file is not UTF-8 text") from error
    words: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            found = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from error
        if found and not found[0].startswith("--"):
            raise UsageError(f"{path}:{number}: a line must start with '--', found '{found[0]}'")
        words += found
    return words


def to_dict(options: Any) -> dict[str, Any]:
    """A dataclass of options as plain JSON values; paths become strings."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(options), default=str)))


def deciding(options: Any) -> dict[str, Any]:
    """The options that can change a result, as plain JSON values, flat."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.metadata.get("group"):
            flat |= deciding(value)
        elif field.metadata.get("affects_result", True) and not field.metadata.get("positional"):
            flat[field.name] = json.loads(json.dumps(value, default=str))
    return flat


def defaults(cls: Any) -> dict[str, Any]:
    """The options of `deciding` that have a default, with it."""
    flat: dict[str, Any] = {}
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.metadata.get("group"):
            flat |= defaults(hints[field.name])
        elif field.default is not dataclasses.MISSING and field.metadata.get("affects_result", True):
            flat[field.name] = json.loads(json.dumps(field.default, default=str))
    return flat


_ABSENT: Any = object()
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} (see --help)")


def _config_only(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=prog, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    return parser


def _conf_values(cls: Any, path: Path) -> dict[str, Any]:
    """What a conf file sets. It is parsed apart, so that its last flag cannot swallow the command line's words."""
    parser = _Parser(prog=str(path), add_help=False, allow_abbrev=False)
    _add_fields(parser, cls, flags_only=True)
    return _words_to_values(parser, read_conf(path))


def _parser(cls: Any, prog: str, *, given: Container[str], description: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_fields(parser, cls, given=given)
    return parser


def _words_to_values(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    known, unknown = parser.parse_known_intermixed_args(_explicit(parser, words))
    if unknown:
        raise UsageError(f"{parser.prog}: unexpected '{unknown[0]}' (see --help)")
    return {name: value for name, value in vars(known).items() if value is not _ABSENT}


def _explicit(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words with unknown flags refused and each truth value spelled out.

    Argparse alone reports a misspelled required flag as missing, and reads the word after a bare ``--flag`` as its
    value even where that word is a directory.
    """
    flags = {flag: action for action in parser._actions for flag in action.option_strings}
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return found + list(words[place:])
        flag = word.split("=")[0]
        if word.startswith("--") and flag not in flags:
            raise UsageError(f"{parser.prog}: unknown option '{flag}'{nearest(flag, flags)} (see --help)")
        following = words[place + 1].lower() if place + 1 < len(words) else ""
        bare_truth = word in flags and flags[word].type is _bool and following not in (*_TRUE, *_FALSE)
        found.append(f"{word}=true" if bare_truth else word)
    return found


def _add_fields(
    parser: argparse.ArgumentParser, cls: Any, *, given: Container[str] = (), flags_only: bool = False
) -> None:
    """Add the flags of a dataclass; those ``given`` already by a conf file are no longer required."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.metadata.get("group"):
            _add_fields(parser, hints[field.name], given=given, flags_only=flags_only)
            continue
        positional = field.metadata.get("positional")
        if positional and flags_only:
            continue
        parse_one, many, is_bool = _reader(hints[field.name])
        if field.name in ("seed", "seeds"):  # of every command
            parse_one = seed
        required = field.default is dataclasses.MISSING
        text = field.metadata.get("help", "").replace("%", "%%")
        if not required and field.default not in (None, ()):
            text += f" (default: {_show(field.default)})"
        kwargs: dict[str, Any] = {"type": parse_one, "help": text}
        if field.metadata.get("choices"):
            kwargs["choices"] = field.metadata["choices"]
        if many:
            kwargs["nargs"] = "+" if required else "*"
        if is_bool:
            kwargs |= {"nargs": "?", "const": True, "metavar": "true|false"}
        if positional:
            if not required and not many:
                kwargs["nargs"] = "?"
            parser.add_argument(field.name, default=_ABSENT, **({"metavar": field.name.upper()} | kwargs))
        else:
            flag = "--" + field.name.replace("_", "-")
            needed = required and not flags_only and field.name not in given
            parser.add_argument(flag, dest=field.name, default=_ABSENT, required=needed, **kwargs)


def _reader(hint: Any) -> tuple[Any, bool, bool]:
    """How to read one word of a type; whether it takes several words; whether it is a truth value."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _reader(typing.get_args(hint)[0])[0], True, False
    if hint is bool:
        return _bool, False, True
    return (_finite if hint is float else hint), False, False


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, got {word}")
    return value


_finite.__name__ = "float"  # what argparse calls a malformed one


def _bool(word: str) -> bool:
    if word.lower() in _TRUE:
        return True
    if word.lower() in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"'{word}' is neither true nor false")


def seed(word: str) -> int:
    """The seed of a random generator; numpy takes none below 0. Its name is what argparse calls a malformed one."""
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def _build(cls: type[T], values: dict[str, Any]) -> T:
    hints = typing.get_type_hints(cls)
    kwargs: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.metadata.get("group"):
            kwargs[field.name] = _build(hints[field.name], values)
        elif field.name in values:
            value = values[field.name]
            kwargs[field.name] = tuple(value) if isinstance(value, list) else value
    return cls(**kwargs)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint ", did you mean 'x'?" or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""
