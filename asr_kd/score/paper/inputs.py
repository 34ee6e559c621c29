"""Tell which experiment a ``results.json`` is of, by what it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_kd.errors import DataError
from asr_kd.score.report import read_results

IMAGES, IMAGE_SWEEP = "images", "image sweep"
SPEECH, SPEECH_SWEEP = "speech", "speech sweep"
SPECIALISTS, REGULARIZER, LEDGER, TRANSFER = "specialists", "regularizer", "ledger", "transfer"


@dataclass(frozen=True, kw_only=True)
class Own:
    """One experiment's figures."""

    path: Path
    kind: str
    results: Mapping[str, Any]

    @property
    def recipe(self) -> str:
        """The recipe's name; what the figures are of where the writer was not told it."""
        return str(self.results.get("recipe") or ("images" if self.kind == IMAGE_SWEEP else "no recipe"))

    @property
    def title(self) -> str:
        """The recipe, its protocol, and of images what was tried."""
        tried = self.results.get("title") if self.kind == IMAGES else ""
        return ", ".join(filter(None, (self.recipe, self.results.get("protocol"), tried)))


# The keys that only this kind has.
_HOLDS: dict[str, tuple[str, ...]] = {
    "frames": ("teacher_gain", "systems"),
    "sweep": ("cells", "dimensions"),
    SPEECH: ("ensemble_gain", "systems"),
    SPECIALISTS: ("chosen_on_dev", "coverage"),
    REGULARIZER: ("full", "hard", "systems"),
    LEDGER: ("mean_member", "headroom"),
}


def read_own(path: Path) -> Own:
    """Read a ``results.json``.

    Raises:
        DataError: it is unreadable, or of no experiment that the page has a place for.
    """
    results = told(path, read_results, path)
    holds = [kind for kind, keys in _HOLDS.items() if all(key in results for key in keys)]
    if len(holds) != 1:
        raise DataError(
            f"{path}: not a results.json of asr-kd score, score-frames, sweep, ensemble-report, specialist-report or "
            "regularizer-report; leave it out"
        )
    kind = told(path, _finer, holds[0], results)
    if kind is None:
        raise DataError(
            f"{path}: frames of neither MNIST's nets ('small' as baseline, 'big' as teacher) nor transfer sets "
            "(a system 'extra'); leave it out"
        )
    return Own(path=path, kind=kind, results=results)


def told(path: Path, tell: Callable[..., Any], *arguments: Any) -> Any:
    """What ``tell`` makes of a file's figures.

    Raises:
        DataError: the file lacks figures, or has others than numbers in their place.
    """
    try:
        return tell(*arguments)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: damaged, or of another version ({what}); make it anew") from error


def _finer(kind: str, results: Mapping[str, Any]) -> str | None:
    """The kind, with images told from speech, and transfer sets from other comparisons of frames."""
    if kind == "sweep":
        # An image is an utterance of one frame.
        return IMAGE_SWEEP if results["frames"]["test"] == results["utterances"]["test"] else SPEECH_SWEEP
    if kind != "frames":
        return kind
    if (results["baseline"], results["teacher"]) == ("small", "big"):
        return IMAGES
    return TRANSFER if any(row["name"] == "extra" for row in results["systems"]) else None
