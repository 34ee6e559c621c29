"""Train an alignment model from nothing: uniform segmentation, then train and realign until labels settle."""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.data_dir import data_fingerprint, load_data_dir
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import Language, Transcripts
from asr_kd.lang.lexicon import check_words
from asr_kd.options import group, option
from asr_kd.stage import Stage, fingerprint
from asr_kd.train.flat_start import FlatStartOptions, flat_start


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory with the transcripts", positional=True)
    lang: Path = option("lexicon and states, from asr-kd make-lang", positional=True)
    frames: Path = option("frame store of the same data", positional=True)
    out: Path = option("alignment model to make", positional=True)
    flat_start: FlatStartOptions = group(FlatStartOptions)
    nj: int = option("processes that align", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "data": data_fingerprint(options.data),
        "lang": fingerprint(options.lang),
        "frames": fingerprint(options.frames),
    }
    stage = Stage(options.out, command="flat-start", options=options, inputs=inputs)
    if stage.finished():
        return
    language = Language.load(options.lang)
    transcripts = load_transcripts(options.data, language)
    store = FrameStore(options.frames)
    with stage.resuming() as partial:
        flat_start(partial, store, transcripts, language, options.flat_start, nj=options.nj)


def load_transcripts(data: Path, language: Language) -> Transcripts:
    """The words of each utterance that has a transcript, all of them in the lexicon or replaced by one that is."""
    utterances = load_data_dir(data, need_text=False, allow_commands=True)
    transcripts = {u.id: u.words for u in utterances if u.words is not None}
    check_words(language.lexicon, transcripts.items())
    return {utterance: language.lexicon.spoken(words) for utterance, words in transcripts.items()}
