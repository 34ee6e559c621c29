"""Pack a model with its graph, lexicon and settings into a bundle."""

import shutil
from pathlib import Path

from asr_kd.bundle.contents import LEXICON_FILE, TORCH_FILE, RecognitionSettings, write_description
from asr_kd.decode.graph import ABOUT_FILE, GRAPH_FILE, WORDS_FILE, DecodingGraph
from asr_kd.errors import MismatchError
from asr_kd.hmm.states import STATES_FILE, StateInventory
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel


def write_bundle(out: Path, *, model: Path, lang: Path, graph: Path, settings: RecognitionSettings) -> None:
    """Fill an existing directory with a bundle.

    Args:
        model: from ``asr-kd train`` or ``asr-kd distill``.
        lang: from ``asr-kd make-lang``.
        graph: from ``asr-kd make-graph``.

    Raises:
        MismatchError: model, graph and lexicon are of different states, or the model hears no audio.
    """
    acoustic = AcousticModel.load(model)
    if "fbank" not in acoustic.card.features:
        raise MismatchError(f"{model} was not trained on filter banks that asr_kd made: a bundle could not hear audio")
    predicted = acoustic.card.states_fingerprint
    made_for = {graph: DecodingGraph.load(graph).states_fingerprint, lang: StateInventory.load(lang).fingerprint}
    for path, states in made_for.items():
        if predicted != states:
            raise MismatchError(f"{model} predicts the states {predicted}, {path} was made for the states {states}")
    shutil.copyfile(model / MODEL_FILE, out / TORCH_FILE)
    for source in (lang / LEXICON_FILE, lang / STATES_FILE, *(graph / n for n in (GRAPH_FILE, WORDS_FILE, ABOUT_FILE))):
        shutil.copyfile(source, out / source.name)
    write_description(out, parameters=acoustic.num_parameters, features=acoustic.card.features, settings=settings)
