"""Label every frame of a frame store with its HMM state by forced alignment."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.cli.flat_start import load_transcripts
from asr_kd.corpus.data_dir import data_fingerprint
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import AlignOptions, Language, align_store, check_dropped, write_aligned
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import check_states
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.stage import Stage, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory with the transcripts", positional=True)
    lang: Path = option("lexicon and states, from asr-kd make-lang", positional=True)
    frames: Path = option("frame store of the same data", positional=True)
    model: Path = option("alignment model, from asr-kd flat-start or asr-kd train", positional=True)
    out: Path = option("labels to make", positional=True)
    align: AlignOptions = group(AlignOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("processes that align", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "data": data_fingerprint(options.data),
        "lang": fingerprint(options.lang),
        "frames": fingerprint(options.frames),
        "model": fingerprint(options.model),
    }
    stage = Stage(options.out, command="align", options=options, inputs=inputs)
    if stage.finished():
        return
    language = Language.load(options.lang)
    transcripts = load_transcripts(options.data, language)
    device = prepare(options.device)
    store = FrameStore(options.frames)
    model = load_models([options.model], store, device, options.device.dtype)[options.model]
    check_states(model, language.states.fingerprint, model_path=options.model, other_path=options.lang)
    with stage.writing() as partial:
        pdfs, dropped = align_store(model, store, transcripts, language, options.align, device=device, nj=options.nj)
        check_dropped(dropped, store)
        write_aligned(partial, store, pdfs, dropped, language.states)
    log.info("%s: %d utterances aligned, %d dropped", options.out, len(store.index.utterances), len(dropped))
