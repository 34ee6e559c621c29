"""The systems of one protocol: runs of one name are one system over seeds, several experiments are folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.decoded import SYSTEM_FILE, Decoded, SystemInfo, pool, read_decoded

BASELINE, ENSEMBLE, DISTILLED = "baseline", "ensemble", "distilled"
_ORDER = (BASELINE, ENSEMBLE, DISTILLED)
VARIANT = "+"


def split_variant(name: str) -> tuple[str, str]:
    """A system and what was done to its output: ``distilled+4-gram`` is ``distilled``, ``+4-gram``."""
    system, plus, variant = name.partition(VARIANT)
    return system, plus + variant


@dataclass(frozen=True, kw_only=True)
class System:
    """Runs of one name that differ in their seed, each over the whole (pooled) test set."""

    name: str
    runs: tuple[Decoded, ...]

    @property
    def info(self) -> SystemInfo:
        """The first run's description; members, parameters and pdfs are the same in all."""
        return self.runs[0].info

    @property
    def slots_L(self) -> npt.NDArray[np.float64]:
        """Word errors by slot, the mean over the runs."""
        return np.asarray(np.mean([run.slots_L for run in self.runs], axis=0))

    @property
    def errors_U(self) -> npt.NDArray[np.int64]:
        """Word errors by utterance, summed over the runs."""
        return np.sum([run.words.errors for run in self.runs], axis=0)

    @property
    def ref_words_U(self) -> npt.NDArray[np.int64]:
        """Reference words by utterance, summed over the runs."""
        return np.sum([run.words.ref_words for run in self.runs], axis=0)

    @property
    def num_correct_U(self) -> npt.NDArray[np.int64]:
        """Frames classified as their label by utterance, summed over the runs."""
        return np.sum([run.frames.num_correct for run in self.runs], axis=0)

    @property
    def num_frames_U(self) -> npt.NDArray[np.int64]:
        """Labelled frames by utterance, summed over the runs."""
        return np.sum([run.frames.num_frames for run in self.runs], axis=0)


def decode_directories(experiment: Path) -> list[Path]:
    """The decode directories of one experiment, sorted.

    Raises:
        DataError: there is none.
    """
    found = sorted(path.parent for path in (experiment / "decode").glob(f"*/{SYSTEM_FILE}"))
    found = [directory for directory in found if not directory.name.endswith(".partial")]
    if not found:
        raise DataError(f"{experiment / 'decode'}: no decoded systems in it; run asr-kd decode first")
    return found


def load_systems(experiments: Sequence[Path]) -> list[System]:
    """Read every decode directory of one or more experiments, pooled over them.

    Returns:
        baseline, ensemble and distilled first, then the others by name, then in the same order those whose words were
        rescored (``distilled+4-gram``); runs by seed.

    Raises:
        DataError: a directory is unreadable; folds hold different runs or the same utterances.
        MismatchError: systems were tested on different utterances, references or labels.
    """
    folds = [_read_runs(experiment) for experiment in experiments]
    for experiment, fold in zip(experiments, folds, strict=True):
        for name, seed in sorted(set(fold) ^ set(folds[0])):
            holder, lacking = (experiment, experiments[0]) if (name, seed) in fold else (experiments[0], experiment)
            raise DataError(
                f"{lacking}: no decoded '{name}' of seed {seed}, which {holder} has; decode it, or score without"
            )
        _require_one_test_set(list(fold.values()))
        _require_one_ensemble(experiment, list(fold.values()))
    pooled = {key: _pool_info([fold[key] for fold in folds]) for key in sorted(folds[0])}
    names = sorted({name for name, _ in pooled}, key=_rank)
    return [_system(name, [run for key, run in pooled.items() if key[0] == name]) for name in names]


def as_system(runs: Sequence[Decoded]) -> System:
    """Runs of one name over the same test set, which differ in their seed.

    Raises:
        DataError: they are of more than one system.
        MismatchError: they were tested on other data, or are unlike networks.
    """
    names = sorted({run.info.name for run in runs})
    if len(names) > 1:
        raise DataError(f"{runs[0].directory} and others: runs of {' and '.join(names)}; name those of one system only")
    _require_one_test_set(runs)
    return _system(names[0], runs)


def require_same_test_set(a: Decoded, b: Decoded) -> None:
    """Check that two runs were tested on the same utterances, words and frame labels, of the same states.

    Raises:
        MismatchError: they were not.
    """
    if a.utterances != b.utterances:
        what = "other utterances"
    elif a.references() != b.references():
        what = "other reference words"
    elif not np.array_equal(a.frames.num_frames, b.frames.num_frames):
        what = "another number of labelled frames"
    elif a.info.num_pdfs != b.info.num_pdfs:
        what = f"frame labels of other states ({b.info.num_pdfs} pdfs, not {a.info.num_pdfs})"
    elif a.info.of_other_labels(b.info):
        what = f"other frame labels ({b.info.labels}, not {a.info.labels})"
    else:
        return
    raise MismatchError(f"{b.directory}: tested on {what} than {a.directory}; decode both on one aligned test set")


def _read_runs(experiment: Path) -> dict[tuple[str, int], Decoded]:
    runs: dict[tuple[str, int], Decoded] = {}
    for directory in decode_directories(experiment):
        run = read_decoded(directory)
        key = run.info.name, run.info.seed
        if key in runs:
            raise DataError(f"{directory}: '{key[0]}' of seed {key[1]} is in {runs[key].directory} already; remove one")
        runs[key] = run
    return runs


def _require_one_ensemble(experiment: Path, runs: Sequence[Decoded]) -> None:
    """Check that the baselines are the members of the ensemble, where both say which models they are."""
    for run in runs:
        system, variant = split_variant(run.info.name)
        baselines = [other for other in runs if other.info.name == BASELINE + variant]
        members = sorted(model for other in baselines for model in other.info.models)
        if system == ENSEMBLE and members and run.info.models and sorted(run.info.models) != members:
            raise MismatchError(
                f"{experiment / 'decode'}: the {len(members)} baselines are not the {run.info.members} models of "
                f"{run.directory}; remove what does not belong there"
            )


def _require_one_test_set(runs: Sequence[Decoded]) -> None:
    for run in runs[1:]:
        require_same_test_set(runs[0], run)


def _pool_info(folds: Sequence[Decoded]) -> Decoded:
    """Pool the folds; figures tuned or measured on each are averaged, the tuned scales only where they agree."""
    infos = [fold.info for fold in folds]
    info = replace(
        infos[0],
        dev_wer=mean_known([info.dev_wer for info in infos]),
        rtf=mean_known([info.rtf for info in infos]),
        oracle_wer=mean_known([info.oracle_wer for info in infos]),
        acoustic_scale=_agreed([info.acoustic_scale for info in infos]),
        insertion_penalty=_agreed([info.insertion_penalty for info in infos]),
        lm_scale=_agreed([info.lm_scale for info in infos]),
        beam=_agreed([info.beam for info in infos]),
    )
    return replace(pool(folds), info=info)


def _agreed(values: Sequence[float | None]) -> float | None:
    return values[0] if len(set(values)) == 1 else None


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean, or None where a value is missing."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _system(name: str, runs: Sequence[Decoded]) -> System:
    for run in runs[1:]:
        for field in ("members", "params"):
            first, other = getattr(runs[0].info, field), getattr(run.info, field)
            if first != other:
                raise MismatchError(
                    f"{run.directory}: {field} {other}, but {first} in {runs[0].directory}; seeds of one system "
                    f"'{name}' must be alike, name one of them otherwise"
                )
    return System(name=name, runs=tuple(runs))


def _rank(name: str) -> tuple[str, int, str]:
    system, variant = split_variant(name)
    return variant, _ORDER.index(system) if system in _ORDER else len(_ORDER), system
