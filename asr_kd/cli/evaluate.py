"""Frame accuracy and cross-entropy of one model, or of the mean of several, on labelled frames.

OUT gets frames.tsv (counts of each utterance), classes.tsv (counts of each class), utt2spk and system.json.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.frame_scores import score_frames
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.score.evaluated import read_evaluated, write_evaluated
from asr_kd.stage import Stage, digest, fingerprint, read_run

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    models: tuple[Path, ...] = option("one model, or several whose posteriors are averaged", positional=True)
    out: Path = option("directory of results to make", positional=True)
    name: str = option("the system's name in the report: baseline, ensemble, distilled, ...")
    conf: str = option("the conf file the system was trained with, for the report", default="", affects_result=False)
    frames: Path = option("frame store", affects_result=False)
    labels: Path = option("its labels", affects_result=False)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "models": digest(sorted(fingerprint(path) for path in options.models)),
        "frames": fingerprint(options.frames),
        "labels": fingerprint(options.labels),
    }
    stage = Stage(options.out, command="evaluate", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    models = load_models(options.models, store, device, options.device.dtype)
    (labels,) = match_labels([store], [Labels.load(options.labels)])
    assert labels is not None
    states = next(iter(models.values())).card.states_fingerprint
    check_labelled(labels, options.models[0], states)
    decisions_N, label_logp_N = score_frames(list(models.values()), store, labels.pdfs, device=device, nj=options.nj)
    with stage.writing() as folder:
        write_evaluated(
            folder,
            utterances=store.index.utterances,
            speakers=store.index.speakers,
            counts_U=store.index.counts,
            labels_N=labels.pdfs,
            decisions_N=decisions_N,
            label_logp_N=label_logp_N,
            system=describe_system(options.name, options.conf, models) | {"labels": labels.fingerprint},
        )
        counts = read_evaluated(folder).frames
    log.info(
        "%s: frame accuracy %.2f %%, cross-entropy %.4f", options.out, 100 * counts.accuracy, counts.mean_cross_entropy
    )


def describe_system(name: str, conf: str, models: dict[Path, AcousticModel]) -> dict[str, Any]:
    """What ``system.json`` says of a model or an ensemble, whatever it is tested on."""
    first_path, first = next(iter(models.items()))
    return {
        "name": name,
        "seed": read_run(first_path).get("seed") or 0,
        "members": len(models),
        "models": sorted(model.fingerprint for model in models.values()),
        "params": sum(model.num_parameters for model in models.values()),
        "num_pdfs": first.card.num_pdfs,
        "conf": conf,
    }
