"""Write each table of the paper beside the figures of own runs.

Reads any mix of results.json files, of asr-kd score, score-frames, sweep, ensemble-report, specialist-report and
regularizer-report, and says what each of the paper's statements became. Of a page that is there already, the parts of
other runs stay.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import UsageError
from asr_kd.options import option
from asr_kd.score.paper.inputs import read_own
from asr_kd.score.paper.page import render_paper
from asr_kd.stage import write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    results: tuple[Path, ...] = option("results.json files", positional=True)
    out: Path = option("page to write, such as docs/paper.md", positional=True)

    def __post_init__(self) -> None:
        if self.out.suffix != ".md":
            raise UsageError(f"asr-kd compare-paper: the page to write comes last and ends in .md, found '{self.out}'")


def run(options: Options) -> None:
    before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    page = render_paper([read_own(path) for path in options.results], before)
    if page == before:
        return
    write_text(options.out, page)
    log.info("%s: written", options.out)
