"""Rescore the n-best lists of a decode with a larger language model, its weight tuned on dev.

DECODED was made by `decode --num-best N`. OUT is a decode directory too: score, compare and report take it as a system.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from asr_kd.decode.confidence import word_confidences
from asr_kd.decode.nbest import Sentence
from asr_kd.decode.nbest_file import FOLDER, nbest_path, read_nbest
from asr_kd.decode.rescoring import Candidates, RescoreOptions, Weights
from asr_kd.errors import DataError, MismatchError
from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.units import is_piece_vocabulary, to_words
from asr_kd.options import group, option
from asr_kd.score.ctm import CONFIDENCE_FILE, write_confidences
from asr_kd.score.decoded import LOOP, SYSTEM_FILE, read_info, read_text
from asr_kd.score.edit_distance import edit_distances, least_risk, oracle_error_rate
from asr_kd.score.wer import align_words, count_words
from asr_kd.stage import Stage, file_sha256, fingerprint, write_json, write_text

log = logging.getLogger(__name__)

_COPIED = ("ref.txt", "frames.tsv", "utt2spk")

Joined = Callable[[Sequence[str]], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Options:
    decoded: Path = option("decode directory with n-best lists", positional=True)
    lm: Path = option("language model to rescore with: ARPA, gzipped or not", positional=True)
    out: Path = option("decode directory to make", positional=True)
    old_lm: Path | None = option(
        "the ARPA file of the decoding graph, whose probabilities are taken out; none for a loop of words",
        default=None,
        affects_result=False,
    )
    name: str = option("the system's name in the report; empty: as decoded, with +3-gram or what it is", default="")
    minimum_risk: bool = option(
        "of each list take the hypothesis with the fewest errors to be expected, not the likeliest", default=False
    )
    tuning: RescoreOptions = group(RescoreOptions)


def run(options: Options) -> None:
    inputs = {"decoded": fingerprint(options.decoded), "language model": file_sha256(options.lm)[:16]}
    if options.old_lm is not None:
        inputs["old language model"] = file_sha256(options.old_lm)[:16]
    stage = Stage(options.out, command="rescore", options=options, inputs=inputs)
    if stage.finished():
        return
    system = _system(options.decoded)
    dev, test = (read_nbest(nbest_path(options.decoded, name)) for name in ("dev", "test"))
    dev_reference = read_text(options.decoded / FOLDER / "dev_ref.txt")
    test_reference = read_text(options.decoded / "ref.txt")
    in_pieces = is_piece_vocabulary(chain.from_iterable(s.words for found in dev.values() for s in found))
    joined: Joined = to_words if in_pieces else tuple
    new = _model(options.lm, in_pieces)
    old = None if options.old_lm is None else _model(options.old_lm, in_pieces)
    _check_old_model(system, inputs.get("old language model"), options)
    with stage.writing() as partial:
        errors = _errors(dev_reference, dev, joined)
        candidates = Candidates(dev, new, old)
        flat = np.concatenate([errors[utterance] for utterance in candidates.utterances])
        weights = candidates.tune(flat, float(system["acoustic_scale"]), options.tuning)
        lists = _Lists(candidates.lists(weights), joined)
        dev_wer = _wer(dev_reference, lists.chosen(dev_reference, minimum_risk=options.minimum_risk))
        oracles = {
            "dev_oracle_wer": oracle_error_rate(dev_reference, errors),
            "oracle_wer": oracle_error_rate(test_reference, _errors(test_reference, test, joined)),
        }
        lists = _Lists(Candidates(test, new, old).lists(weights), joined)
        words = lists.chosen(test_reference, minimum_risk=options.minimum_risk)
        write_text(partial / "hyp.txt", "".join(f"{' '.join((u, *spoken))}\n" for u, spoken in words.items()))
        write_confidences(partial / CONFIDENCE_FILE, lists.confidences(words))
        for name in _COPIED:
            shutil.copyfile(options.decoded / name, partial / name)
        described = {"name": options.name or f"{system['name']}+{new.order}-gram", "dev_wer": dev_wer}
        described |= {"rtf": system.get("nbest_rtf"), "minimum_risk": options.minimum_risk}
        write_json(partial / SYSTEM_FILE, system | asdict(weights) | described | oracles)
    _report(dev_wer, system, weights, oracles)


def _check_old_model(system: Mapping[str, Any], given: str | None, options: Options) -> None:
    """Check that what is taken out of the costs is what the decoding graph put into them, where that is known."""
    grammar = system.get("grammar", given or LOOP)
    if grammar == (given or LOOP):
        return
    if grammar == LOOP:
        hint = "the graph is a loop of words; leave out --old-lm"
    elif given is None:
        hint = "its graph has an n-gram model, whose probabilities must be taken out: give its ARPA file as --old-lm"
    else:
        hint = f"--old-lm {options.old_lm} is not the very file, gzipped or not, that make-graph got"
    raise MismatchError(f"{options.decoded}: {hint}")


def _system(decoded: Path) -> dict[str, Any]:
    """The decode's ``system.json``, which must say at what acoustic scale its lists were made."""
    if read_info(decoded / SYSTEM_FILE).acoustic_scale is None:
        raise DataError(f"{decoded / SYSTEM_FILE}: no acoustic_scale in it; expected the output of asr-kd decode")
    return dict(json.loads((decoded / SYSTEM_FILE).read_text(encoding="utf-8")))


def _model(path: Path, in_pieces: bool) -> BackoffModel:
    """A language model, which must be of what the lists hold."""
    model = BackoffModel.load(path)
    if is_piece_vocabulary(model.words) != in_pieces:
        kinds = ("words", "pieces of words")
        raise MismatchError(
            f"{path}: a model of {kinds[not in_pieces]}, but the lists are of {kinds[in_pieces]}; give one of these"
        )
    return model


def _errors(
    reference: Mapping[str, Sequence[str]], lists: Mapping[str, Sequence[Sentence]], joined: Joined
) -> dict[str, np.ndarray]:
    return {u: edit_distances(reference[u], [joined(s.words) for s in sentences]) for u, sentences in lists.items()}


class _Lists:
    """Each utterance's hypotheses, as words, with their costs."""

    def __init__(self, lists: Mapping[str, tuple[list[tuple[str, ...]], np.ndarray]], joined: Joined) -> None:
        self._lists = {u: ([joined(one) for one in found], costs) for u, (found, costs) in lists.items()}

    def chosen(self, utterances: Iterable[str], *, minimum_risk: bool) -> dict[str, tuple[str, ...]]:
        """The words of each utterance; none where there was no hypothesis."""
        words = dict.fromkeys(utterances, cast(tuple[str, ...], ()))
        for utterance, (found, costs) in self._lists.items():
            place = least_risk(found, costs) if minimum_risk else int(costs.argmin())
            words[utterance] = found[place]
        return words

    def confidences(self, words: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[float]]:
        """How sure the list is of each of these words."""
        return {u: word_confidences(said, *self._lists[u]) if u in self._lists else [] for u, said in words.items()}


def _wer(reference: Mapping[str, Sequence[str]], words: Mapping[str, Sequence[str]]) -> float:
    return count_words(tuple(align_words(reference, words, where="dev").values())).wer


def _report(dev_wer: float, system: Mapping[str, Any], weights: Weights, oracles: Mapping[str, float]) -> None:
    log.info(
        "dev WER %.2f %% (was %.2f %%, oracle %.2f %%) at acoustic scale %g, LM scale %g, %g of the new model, "
        "insertion penalty %g",
        *(100 * dev_wer, 100 * system["dev_wer"], 100 * oracles["dev_oracle_wer"]),
        *(weights.acoustic_scale, weights.lm_scale, weights.new_share, weights.insertion_penalty),
    )
