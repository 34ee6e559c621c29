"""``docs/paper.md``: each table of the paper beside the figures of own runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_kd.errors import DataError
from asr_kd.score.markdown import table
from asr_kd.score.origin import remade_by
from asr_kd.score.paper import inputs
from asr_kd.score.paper.beyond import ledger_part, transfer_part
from asr_kd.score.paper.images import images_part
from asr_kd.score.paper.inputs import Own, told
from asr_kd.score.paper.kept import mean_member, read_parts, verdicts
from asr_kd.score.paper.part_of_data import part_of_data_part
from asr_kd.score.paper.recognition import recognition_part
from asr_kd.score.paper.special import distilled_back_part, specialists_part
from asr_kd.score.paper.table import Part
from asr_kd.score.paper.temperatures import image_sweep_part, speech_sweep_part


@dataclass(frozen=True)
class _Section:
    """A table of the paper, or a question beyond it.

    Attributes:
        paper: what the paper did.
        kind: of the ``results.json`` that belong here.
        part: makes its tables and claims of one of them.
        command: what makes one.
    """

    title: str
    paper: str
    kind: str
    part: Callable[[Mapping[str, Any]], Part]
    command: str


_SECTIONS = (
    _Section(
        "Section 3: MNIST",
        "The paper: two layers of 1,200 units with dropout, a weight constraint and jittered images teach two layers "
        "of 800 units at T = 20, without jitter. Then students whose transfer set lacks the 3s, or has 7s and 8s "
        "alone, before and after the biases of these classes are corrected: that of 3 raised by 3.5, those of 7 and 8 "
        "lowered by 7.6. Ours are shifted by what is best on dev. The paper has no table of logit matching: section "
        "2.1 derives it as the limit of high temperatures. Wrong ones are of 10,000 images.",
        inputs.IMAGES,
        images_part,
        "./run.sh --recipe mnist",
    ),
    _Section(
        "Section 3: temperature against width",
        "The paper, in words: with 300 or more units a layer all temperatures above 8 gave fairly similar results; "
        "with 30 units, 2.5 to 4 worked significantly better than higher or lower ones.",
        inputs.IMAGE_SWEEP,
        image_sweep_part,
        "./run.sh --recipe mnist",
    ),
    _Section(
        "Section 4, table 1: speech",
        "The paper: about 2,000 hours of English, 8 layers of 2,560 units, 14,000 states, 10 nets that differ in "
        "their random start, one distilled from all of them. Its frame accuracies are those of its development set. "
        "Other data and far larger nets: the pattern is to be compared, not the figures.",
        inputs.SPEECH,
        recognition_part,
        "./run.sh --recipe fsdd",
    ),
    _Section(
        "Section 4: the temperature for speech",
        "The paper: temperatures 1, 2, 5 and 10 with a weight of 0.5 for the labels; 2 was best. It gives no figures "
        "of the others.",
        inputs.SPEECH_SWEEP,
        speech_sweep_part,
        "./run.sh --recipe fsdd --experiment sweep",
    ),
    _Section(
        "Section 5, tables 3 and 4: specialists",
        "The paper: 100 million images of 15,000 classes, a generalist and 61 specialists, each of 300 classes that "
        "the generalist confuses and a dustbin for the others. Here the classes are HMM states or digits, far fewer.",
        inputs.SPECIALISTS,
        specialists_part,
        "./run.sh --recipe fsdd --experiment specialists",
    ),
    _Section(
        "Section 6, table 5: soft targets as regularisers",
        "The paper: the speech nets of table 1 on 3 % of their data, with hard targets and early stopping, and with "
        "soft targets of a net that was trained on all of it.",
        inputs.REGULARIZER,
        part_of_data_part,
        "./run.sh --recipe fsdd --experiment regularizer",
    ),
    _Section(
        "Beyond the paper: the ensemble ledger",
        "The paper gives the gain of 10 members alone.",
        inputs.LEDGER,
        ledger_part,
        "./run.sh --recipe fsdd --experiment ledger",
    ),
    _Section(
        "Beyond the paper: generalist and specialists in one model",
        "The paper leaves open whether generalist and specialists can be distilled back into one net.",
        inputs.SPECIALISTS,
        distilled_back_part,
        "./run.sh --recipe fsdd --experiment specialists",
    ),
    _Section(
        "Beyond the paper: transfer sets",
        "The paper says that unlabelled data may serve (section 2), and transfers on the training set.",
        inputs.TRANSFER,
        transfer_part,
        "./run.sh --recipe fsdd --experiment transfer",
    ),
)

SAME_RUN = 0.05  # points by which parts of one run may differ in the members' mean frame accuracy
_GLANCE = ("the paper's statement", "where", "tried on", "the paper", "here", "verdict")

_READING = """\
- `[ , ]` are 95 % intervals: a bootstrap over test speakers or utterances, as the run's own page says (for MNIST over
  images), the same resampled ones for all systems of a run. They hold the chance in which these were drawn, not that of
  training: that is `±`, the standard deviation over seeds. Intervals of the sweeps' differences hold both, those of
  table 5 where the part says so. That of a share of 3s is Wilson's.
- A verdict follows from the figures by rules. **holds**: the interval reaches the paper's figure, and all of it is
  above three quarters of that; of *more than 80 %*, all of it is above 80, of *97 % of the full data's accuracy* above
  95 % of that, since hard targets reach three quarters. **same direction, weaker**: all of it is
  above 0 and short of the paper's figure. **open**: noise does not tell, since it holds 0 or is too wide, or there is
  nothing above noise to share out. **differs**: all of it is below 0; of a **share** (of a gap, of a gain, of a loss)
  also where it is short of the paper's and may be 0. The WER gain is not kept (differs) where the student is worse than
  the ensemble beyond noise. *(earlier rules)*: a part from before these rules, of a run whose figures are not at hand.
- A share below -100 % is none: the student is worse than the baseline by more than the whole gain, and its row says so.
- An interval of a difference between figures whose files give no paired one, or of a ratio, is taken from the ends of
  both, which makes it too wide rather than too narrow.
- *98.6 % of the 3s*: weaker only where more are right than before the correction, beyond noise.
- *The limit*: holds where T = 1000 and matched logits differ by no more than their seeds' standard deviation, weaker
  where by less than T = 1 does. *Flat*: holds where all T from 8 on lie within two standard deviations of the seeds,
  weaker where within half of what the lowest T costs. Of one seed both are open at best. *Best between 2.5 and 4*,
  *2 is best*: chosen on dev; hold where all others are behind beyond noise on test, differ where another is best on
  dev and ahead on test, too, beyond noise.
- *Specialists*: a gain is theirs where it is above that of the generalist trained on for as long, beyond noise; else
  the verdict says that this gains as much. *In one model*: told apart where the interval is on one side of 0 and the
  difference is above two standard errors over seeds.
- *97 % from 3 %*: a verdict on the share, where soft targets beat hard ones. *No early stopping*: holds where accuracy
  on dev falls by at most 1 point with soft targets, and by more, and more than twice that, with hard ones; weaker where
  it falls less with soft ones, or where cross-entropy alone rises with hard ones, by 0.05 nats or more and more than
  twice as far; open where neither over-fits.
"""


def render_paper(found: Sequence[Own], before: str = "") -> str:
    """One page of Markdown from any mix of results.

    Args:
        before: the page as it was; its parts of other runs stay.

    Raises:
        DataError: one of them lacks figures, or two are of one experiment.
    """
    _check_different(found)
    kept = read_parts(before)
    sections, glance, recipes = [], [], []
    members: dict[str, list[tuple[str, float]]] = {}
    for section in _SECTIONS:
        sections += [f"## {section.title}", section.paper]
        own = [one for one in found if one.kind == section.kind]
        parts = kept.get(section.title, {}) | {one.title: _part(one, section) for one in own}
        for title, text in parts.items():
            sections += [f"### {title}", text]
            for said in verdicts(text):
                tried = ", ".join(filter(None, (title, said.about)))
                row = said.statement.text, said.statement.where, tried, said.paper, said.here, f"**{said.verdict}**"
                glance.append(row)
            if found_mean := mean_member(text):
                members.setdefault(title, []).append(found_mean)
            recipes.append(title.partition(",")[0])
        if not parts:
            sections.append(f"Not run: `{section.command}` makes it.")
    blocks = [
        "# The paper's tables, beside ours",
        f'Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531). Written by '
        f"`asr-kd compare-paper` from the `results.json` of the recipes {', '.join(dict.fromkeys(recipes))}, "
        "whose parts may be of different runs.",
        *(("## At a glance", table(_GLANCE, glance)) if glance else ()),
        *_of_different_runs(members),
        *sections,
        "## How to read the figures and verdicts",
        _READING,
    ]
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _of_different_runs(members: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """A line for each recipe and protocol whose parts have members of different mean accuracy."""
    lines = []
    for title, means in members.items():
        values = [value for _, value in means]
        if round(max(values) - min(values), 2) > SAME_RUN:
            listed = ", ".join(f"{value:.2f} % ({where})" for where, value in means)
            lines.append(f"{title}: these parts are of different runs: mean member {listed}.")
    return lines


def _check_different(found: Sequence[Own]) -> None:
    paths: dict[tuple[str, str], Path] = {}
    for one in found:
        first = paths.setdefault((one.kind, one.title), one.path)
        if first != one.path:
            raise DataError(f"{one.path}: of the same experiment as {first} ({one.title}); leave one of them out")


def _part(own: Own, section: _Section) -> str:
    part: Part = told(own.path, section.part, own.results)
    claims = [claim.line() for claim in part.claims]
    facts = " ".join(filter(None, (remade_by(own.results), part.facts)))
    return "\n\n".join(block.strip("\n") for block in (facts, *part.blocks, "\n".join(claims)) if block)
