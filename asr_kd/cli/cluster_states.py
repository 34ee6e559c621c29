"""Find the states a generalist confuses: on-line K-means over the columns of its predictions' covariance."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import models_fingerprint
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.specialists.clusters import ClusterOptions, Clusters, find_clusters, write_clusters
from asr_kd.specialists.covariance import prediction_covariance
from asr_kd.stage import Stage, digest, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    generalist: tuple[Path, ...] = option(
        "the generalist: a model, or several of which the mean counts", positional=True
    )
    frames: Path = option("frame store to predict, labelled or not", positional=True)
    out: Path = option("directory of clusters to make", positional=True)
    clusters: ClusterOptions = group(ClusterOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "generalist": digest(sorted(fingerprint(path) for path in options.generalist)),
        "frames": fingerprint(options.frames),
    }
    stage = Stage(options.out, command="cluster-states", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    models = load_models(options.generalist, store, device, options.device.dtype)
    card = next(iter(models.values())).card
    with stage.writing() as partial:
        covariance_PP = prediction_covariance(
            list(models.values()), store, temperature=options.clusters.temperature, device=device, nj=options.nj
        )
        clusters, distortion = find_clusters(covariance_PP, options.clusters)
        made_from = {
            "frames": str(store.path),
            "generalist": {str(path): model.fingerprint for path, model in models.items()},
            "generalist_fingerprint": models_fingerprint(models),
            "states_fingerprint": card.states_fingerprint,
            "distortion": distortion,
        }
        write_clusters(partial, clusters, num_pdfs=card.num_pdfs, made_from=made_from)
    found = Clusters.load(options.out)
    without = found.meta["clusters_of_each_pdf"].count(0)
    sizes = " ".join(str(len(subset)) for subset in found.subsets)
    log.info("%s: clusters of %s states; %d of %d states are in none", options.out, sizes, without, card.num_pdfs)
