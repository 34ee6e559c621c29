"""Make words, phones and HMM states from a lexicon that has all words of some transcripts."""

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path

from asr_kd.corpus.data_dir import data_fingerprint, load_data_dir
from asr_kd.hmm.graph_pieces import num_disambiguation
from asr_kd.hmm.states import monophone_states
from asr_kd.lang.lexicon import check_words, load_lexicon, mark_positions, save_lang_lexicon
from asr_kd.lang.symbols import phone_symbols, save_symbols, word_symbols
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    data: tuple[Path, ...] = option("Kaldi data directories whose words the lexicon must have", positional=True)
    lexicon: Path = option("lexicon: lines 'WORD PHONE PHONE ...'", positional=True)
    out: Path = option("directory to make", positional=True)
    position_dependent_phones: bool = option("tell phones apart by their place in the word", default=True)
    num_states: int = option("HMM states a phone", default=3)
    silence_states: int = option("HMM states of the silence phone", default=5)
    silence_phone: str = option("the phone of optional silence", default="SIL")
    oov_word: str = option(
        "the lexicon's entry that stands for words outside it in transcripts; empty: there must be none", default=""
    )

    def __post_init__(self) -> None:
        if self.num_states < 1 or self.silence_states < 1:
            raise ValueError("--num-states and --silence-states must be at least 1")
        if not re.fullmatch(r"[^\s#<]\S*", self.silence_phone):
            raise ValueError(
                f"--silence-phone: one word that begins neither with # nor with <, not '{self.silence_phone}'"
            )


def run(options: Options) -> None:
    lexicon = load_lexicon(options.lexicon)
    inputs = {f"data {number}": data_fingerprint(path) for number, path in enumerate(options.data, 1)}
    inputs["lexicon"] = file_sha256(options.lexicon)[:16]
    stage = Stage(options.out, command="make-lang", options=options, inputs=inputs)
    if stage.finished():
        return
    lexicon = replace(lexicon, oov=options.oov_word)
    for directory in options.data:
        utterances = load_data_dir(directory, need_text=False, allow_commands=True)
        check_words(lexicon, ((utterance.id, utterance.words or ()) for utterance in utterances))
    if options.position_dependent_phones:
        lexicon = mark_positions(lexicon, options.silence_phone)
    states = monophone_states(lexicon, options.silence_phone, options.num_states, options.silence_states)
    with stage.writing() as partial:
        save_lang_lexicon(lexicon, partial)
        save_symbols(word_symbols(lexicon), partial / "words.txt")
        save_symbols(phone_symbols(tuple(states.phones), num_disambiguation(lexicon)), partial / "phones.txt")
        states.save(partial)
    log.info(
        "%s: %d words, %d pronunciations, %d phones, %d states",
        *(options.out, len(lexicon.words), len(lexicon.entries), len(states.phones), states.num_pdfs),
    )
