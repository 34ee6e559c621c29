"""Write one page from the results of one or several protocols of a recipe."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_kd.errors import DataError, UsageError
from asr_kd.options import option
from asr_kd.score.report import read_results, render
from asr_kd.stage import write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    results: tuple[Path, ...] = option("results.json files, from asr-kd score", positional=True)
    out: Path = option("page to write, such as RESULTS.md", positional=True)

    def __post_init__(self) -> None:
        if self.out.suffix == ".json":
            raise UsageError(f"{self.out}: the page to write comes last and is no .json file; name it, as RESULTS.md")


def run(options: Options) -> None:
    page = render([_scored(path) for path in options.results])
    if options.out.exists() and options.out.read_text(encoding="utf-8") == page:
        return
    write_text(options.out, page)
    log.info("%s: written", options.out)


def _scored(path: Path) -> dict[str, Any]:
    results = read_results(path)
    if not {"systems", "ensemble_gain", "gain_kept"} <= results.keys():
        raise DataError(f"{path}: not a results.json of asr-kd score; leave it out")
    return results
