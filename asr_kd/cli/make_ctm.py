"""Write when each recognised word was spoken, as a CTM file for sclite and subtitles.

Aligns the words of DECODED/hyp.txt, from decode or rescore, with the frames they were recognised in. Where DECODED has
confidences (rescore writes them), the CTM has them too.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from asr_kd.decode.word_times import word_spans
from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import AlignOptions, Language, Transcripts, align_store
from asr_kd.hmm.posteriors import load_models
from asr_kd.lang.units import Spelling
from asr_kd.nets.acoustic_model import check_states
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.score.ctm import CONFIDENCE_FILE, CTM_FILE, ctm_line, read_confidences
from asr_kd.score.decoded import read_text
from asr_kd.stage import Stage, fingerprint, write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    decoded: Path = option("decode directory, from asr-kd decode or rescore", positional=True)
    lang: Path = option("lexicon and states of the model", positional=True)
    frames: Path = option("frame store of the test set", positional=True)
    model: Path = option("model to align with: that which recognised, or another of the same states", positional=True)
    out: Path = option("directory to make", positional=True)
    align: AlignOptions = group(AlignOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("processes that align", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {name: fingerprint(getattr(options, name)) for name in ("decoded", "lang", "frames", "model")}
    stage = Stage(options.out, command="make-ctm", options=options, inputs=inputs)
    if stage.finished():
        return
    words = {utterance: tuple(spoken) for utterance, spoken in read_text(options.decoded / "hyp.txt").items() if spoken}
    language = _with_spelled(Language.load(options.lang), words)
    device = prepare(options.device)
    store = FrameStore(options.frames)
    missing = words.keys() - set(store.index.utterances)
    if missing:
        raise MismatchError(
            f"{options.frames}: lacks {len(missing)} utterances of {options.decoded}/hyp.txt (as {min(missing)}); "
            "give the frames that were decoded"
        )
    model = load_models([options.model], store, device, options.device.dtype)[options.model]
    check_states(model, language.states.fingerprint, model_path=options.model, other_path=options.lang)
    confidences = options.decoded / CONFIDENCE_FILE
    sure = read_confidences(confidences) if confidences.exists() else {}
    with stage.writing() as partial:
        pdfs, dropped = align_store(model, store, words, language, options.align, device=device, nj=options.nj)
        reasons = dict(dropped)
        lines, shift_s = [], store.meta["frame_shift_ms"] / 1000
        for utterance, frames in tqdm(store.index.slices(), "word times", unit="utt", disable=None, leave=False):
            if utterance not in words:
                continue
            spoken = language.lexicon.spoken(words[utterance])
            aligned = utterance not in reasons
            spans = word_spans(spoken, pdfs[frames], language.lexicon, language.states) if aligned else None
            if spans is None:
                reason = reasons.get(utterance, "its words do not fit in its frames")
                log.warning("%s: left out, %s", utterance, reason)
                continue
            for place, (word, span) in enumerate(zip(words[utterance], spans, strict=True)):
                times = span.first * shift_s, span.length * shift_s
                lines.append(ctm_line(utterance, *times, word, sure[utterance][place] if utterance in sure else None))
        write_text(partial / CTM_FILE, "".join(lines))
    log.info("%s: %d words", options.out / CTM_FILE, len(lines))


def _with_spelled(language: Language, words: Transcripts) -> Language:
    """Where the lexicon spells its words, also those it lacks: pieces make words that no transcript has."""
    lexicon = language.lexicon
    spelling = Spelling.of_lexicon(lexicon.entries)
    if spelling is None:
        return language
    lacked = sorted({word for spoken in words.values() for word in spoken if word not in lexicon})
    spelled = tuple((word, spelling.of_word(word)) for word in lacked if spelling.covers(word))
    return replace(language, lexicon=replace(lexicon, entries=(*lexicon.entries, *spelled)))
