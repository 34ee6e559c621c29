"""What the systems of table 1 learnt from, and how: not all of a student's gain is distillation's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_kd.options import read_conf

_SETTINGS = {
    "optimizer": "{}",
    "batch-size": "batches of {}",
    "num-epochs": "epochs: {}",
    "soft-weight": "soft weight {}",
    "hard-weight": "hard weight {}",
}
_NOT_STUDENTS = ("baseline", "ensemble")


def training_note(results: Mapping[str, Any]) -> str:
    """Speech, targets and settings of baseline and students, from a ``results.json`` of `asr-kd score`.

    The file knows how long each set is and which conf files were used, not what these say: they are read, where they
    are at hand.
    """
    hours = {key.removesuffix("_hours"): value for key, value in results["corpus"].items() if key.endswith("_hours")}
    spoken = {name: f"{name} ({hours[name]:.2f} h)" for name in hours if name not in ("dev", "test")}
    untranscribed = spoken.pop("extra", "")
    transcribed = " and ".join(spoken.values()) or "the transcribed speech"
    lines = [
        f"Baseline and the ensemble's members learnt the labels of {transcribed}, students the ensemble's soft targets "
        "and, where their hard weight is not 0, the labels of the same."
    ]
    if untranscribed:
        lines.append(
            f"The students also heard {untranscribed} without transcripts, which baseline and members did not."
        )
    settings = {
        system["name"]: _settings(system["conf"])
        for system in results["systems"]
        if system["name"] != "ensemble" and "+" not in system["name"]
    }
    told = [f"{name} {said}" for name, said in settings.items() if said]
    if told:
        lines.append(f"By the conf files as they are now: {'; '.join(told)}.")
    sources = "soft targets, of more speech" if untranscribed else "soft targets"
    lines.append(f"So a student's gain is that of {sources} and of settings, where they differ, not of one alone.")
    return " ".join(lines)


def _settings(conf: str) -> str:
    """How a conf file trains; empty where it is not there."""
    if not conf or not Path(conf).is_file():
        return ""
    given = dict(word.removeprefix("--").partition("=")[::2] for word in read_conf(Path(conf)))
    return ", ".join(form.format(given[name]) for name, form in _SETTINGS.items() if name in given)
