"""Make HMM states depend on the neighbouring phones, and tie those that sound alike.

OUT is a lang directory of the tied states, and holds the training labels in them.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import Language, write_aligned
from asr_kd.hmm.context_statistics import collect_statistics
from asr_kd.hmm.graph_pieces import num_disambiguation
from asr_kd.hmm.labels import Labels, match_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.hmm.tying import TyingOptions, tie_states
from asr_kd.lang.lexicon import save_lang_lexicon
from asr_kd.lang.symbols import phone_symbols, save_symbols, word_symbols
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.stage import Stage, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    lang: Path = option("lexicon and states without context, from asr-kd make-lang", positional=True)
    frames: Path = option("frame store to learn from", positional=True)
    labels: Path = option("its labels, from asr-kd align", positional=True)
    model: Path = option("alignment model, from asr-kd flat-start", positional=True)
    out: Path = option("directory to make", positional=True)
    tying: TyingOptions = group(TyingOptions)
    device: DeviceOptions = group(DeviceOptions)


def run(options: Options) -> None:
    inputs = {name: fingerprint(getattr(options, name)) for name in ("lang", "frames", "labels", "model")}
    stage = Stage(options.out, command="tie-states", options=options, inputs=inputs)
    if stage.finished():
        return
    language = Language.load(options.lang)
    device = prepare(options.device)
    store = FrameStore(options.frames)
    model = load_models([options.model], store, device)[options.model]
    (labels,) = match_labels([store], [Labels.load(options.labels)])
    assert labels is not None
    _check_states(options, language, labels, model.card.states_fingerprint)
    with stage.writing() as partial:
        statistics = collect_statistics(model, store, labels.pdfs, language.states, device=device)
        states, pdf_of_context = tie_states(statistics, language.states, options.tying)
        save_lang_lexicon(language.lexicon, partial)
        save_symbols(word_symbols(language.lexicon), partial / "words.txt")
        phones = phone_symbols(tuple(states.phones), num_disambiguation(language.lexicon))
        save_symbols(phones, partial / "phones.txt")
        states.save(partial)
        pdfs = labels.pdfs.copy()
        labelled = statistics.of_frame >= 0
        pdfs[labelled] = pdf_of_context[statistics.of_frame[labelled]]
        write_aligned(partial, store, pdfs, [], states)
    log.info("%s: %d states in context tied to %d", options.out, len(statistics.seen), states.num_pdfs)


def _check_states(options: Options, language: Language, labels: Labels, predicted: str) -> None:
    own = language.states.fingerprint
    if language.states.context_dependent:
        raise MismatchError(f"{options.lang}: its states are tied already; give the directory of asr-kd make-lang")
    for path, states in ((options.labels, labels.states_fingerprint), (options.model, predicted)):
        if states != own:
            raise MismatchError(
                f"{path} has the states {states}, {options.lang} the states {own}: they must be the same"
            )
