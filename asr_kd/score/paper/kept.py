"""Parts of a page that was written before: those of runs whose figures are not at hand stay."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asr_kd.score.paper import figures
from asr_kd.score.paper.figures import Statement

_STATEMENTS = {value.text: value for value in vars(figures).values() if isinstance(value, Statement)}
# A line of `Claim.line`, or one of pages from before the figures stood apart.
_CLAIM = re.compile(
    r"^- \*\*(?P<verdict>.+?)\*\*: (?P<statement>.+?)(?: \((?P<about>[^)]*)\))?\. "
    r"(?:Paper: (?P<paper>.+?)\. Here: (?P<here>[^;\n]+?)(?:;.*)?\.|Here .*)$",
    re.MULTILINE,
)
# How the rows are called in which a part has the members' mean frame accuracy in per cent, and where that stands.
_MEAN_MEMBER = {
    r"baseline \([^|]*\), frame accuracy, %": "table 1",
    r"mean member, %": "ledger",
    r"hard, 100 % of the data, test, %": "table 5",
    r"baseline, %": "transfer sets",
}

Parts = dict[str, str]


@dataclass(frozen=True)
class Said:
    """What a page says of one of the paper's statements; the figures are dashes where it does not give them apart."""

    statement: Statement
    about: str
    paper: str
    here: str
    verdict: str


def read_parts(page: str) -> dict[str, Parts]:
    """By the title of their section, the parts of a page: text by title, both without the title's ``#``."""
    found: dict[str, Parts] = {}
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        parts = (part.partition("\n") for part in text.split("\n### ")[1:])
        found[title] = {name: body.strip("\n") for name, _, body in parts}
    return found


def verdicts(text: str) -> Iterator[Said]:
    """The paper's statements that a part speaks of, and what became of each."""
    for found in _CLAIM.finditer(text):
        if found["statement"] in _STATEMENTS:
            verdict = found["verdict"] if found["here"] else f"{found['verdict']} (earlier rules)"
            about, paper, here = found["about"] or "", found["paper"] or "-", found["here"] or "-"
            yield Said(_STATEMENTS[found["statement"]], about, paper, here, verdict)


def mean_member(text: str) -> tuple[str, float] | None:
    """Where a part has the mean frame accuracy of the members, and the figure in per cent; None where it has not."""
    for row, where in _MEAN_MEMBER.items():
        if found := re.search(rf"^\| {row} \| [^|]+ \| ([\d.]+) \|", text, re.MULTILINE):
            return where, float(found[1])
    return None
