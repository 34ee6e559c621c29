"""Pack a model with its graph and settings into a bundle."""

import logging
import shutil
from pathlib import Path

from asr_kd.bundle.contents import TORCH_FILE, RecognitionSettings, write_description
from asr_kd.decode.graph import ABOUT_FILE, GRAPH_FILE, WORDS_FILE, DecodingGraph
from asr_kd.errors import MismatchError
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel, check_states

log = logging.getLogger(__name__)


def write_bundle(out: Path, *, model: Path, graph: Path, settings: RecognitionSettings) -> None:
    """Fill an existing directory with a bundle.

    Args:
        model: from ``asr-kd train`` or ``asr-kd distill``.
        graph: from ``asr-kd make-graph`` or ``asr-kd import-kaldi-graph``.

    Raises:
        MismatchError: model and graph are of different states, or the model hears no audio.
    """
    acoustic = AcousticModel.load(model)
    if "fbank" not in acoustic.card.features:
        raise MismatchError(f"{model} was not trained on filter banks that asr_kd made: a bundle could not hear audio")
    if acoustic.card.features["cmvn"]["cmvn"] == "speaker":
        log.warning(
            "%s was trained on features normalised for each speaker, but a bundle hears each recording as a speaker of "
            "its own: train on those of make-fbank --cmvn utterance --cmvn-prior-frames 100",
            model,
        )
    check_states(acoustic, DecodingGraph.load(graph).states_fingerprint, model_path=model, other_path=graph)
    shutil.copyfile(model / MODEL_FILE, out / TORCH_FILE)
    for name in (GRAPH_FILE, WORDS_FILE, ABOUT_FILE):
        shutil.copyfile(graph / name, out / name)
    write_description(out, parameters=acoustic.num_parameters, features=acoustic.card.features, settings=settings)
