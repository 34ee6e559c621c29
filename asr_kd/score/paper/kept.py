"""Parts of a page that was written before: those of runs whose figures are not at hand stay."""

import re
from collections.abc import Iterator

from asr_kd.score.paper import figures
from asr_kd.score.paper.figures import Statement

_STATEMENTS = {value.text: value for value in vars(figures).values() if isinstance(value, Statement)}
_VERDICT = re.compile(r"^- \*\*([a-z ]+)\*\*: (.*?)\. Here ", re.MULTILINE)

Parts = dict[str, str]


def read_parts(page: str) -> dict[str, Parts]:
    """By the title of their section, the parts of a page: text by title, both without the title's ``#``."""
    found: dict[str, Parts] = {}
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        parts = (part.partition("\n") for part in text.split("\n### ")[1:])
        found[title] = {name: body.strip("\n") for name, _, body in parts}
    return found


def verdicts(text: str) -> Iterator[tuple[Statement, str]]:
    """The paper's statements that a part speaks of, and what became of each."""
    for verdict, statement in _VERDICT.findall(text):
        if statement in _STATEMENTS:
            yield _STATEMENTS[statement], verdict
