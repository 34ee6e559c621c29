"""Write one page from the results of one or several protocols of a recipe."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import option
from asr_kd.score.report import read_results, render
from asr_kd.stage import write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    results: tuple[Path, ...] = option("results.json files, from asr-kd score", positional=True)
    out: Path = option("page to write, such as RESULTS.md", positional=True)


def run(options: Options) -> None:
    page = render([read_results(path) for path in options.results])
    if options.out.exists() and options.out.read_text(encoding="utf-8") == page:
        return
    write_text(options.out, page)
    log.info("%s: written", options.out)
