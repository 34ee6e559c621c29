"""Make a spelling lexicon and recognition units for a language without a pronunciation lexicon."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.data_dir import data_fingerprint, load_data_dir
from asr_kd.errors import DataError
from asr_kd.lang.sentences import read_sentences, text_file
from asr_kd.lang.subwords import Units, train_pieces
from asr_kd.lang.units import Spelling, both_cases, check_characters
from asr_kd.options import option
from asr_kd.stage import Stage, file_sha256

log = logging.getLogger(__name__)

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Options:
    data: tuple[Path, ...] = option(
        "Kaldi data directories, the training set first: its characters are the phones", positional=True
    )
    out: Path = option("directory to make", positional=True)
    units: str = option("what is recognised: pieces of words, or characters", choices=("sentencepiece", "char"))
    vocab_size: int = option("pieces, single characters among them; for --units sentencepiece", default=500)
    text: tuple[Path, ...] = option(
        "text to find the pieces in, beside the training set's: a sentence a line, gzipped or not, or data directories",
        default=(),
        affects_result=False,
    )
    characters: str = option("characters that are spoken, beside letters and apostrophes", default="")


def run(options: Options) -> None:
    inputs = {f"data {number}": data_fingerprint(path) for number, path in enumerate(options.data, 1)}
    inputs |= {f"text {number}": file_sha256(text_file(path))[:16] for number, path in enumerate(options.text, 1)}
    stage = Stage(options.out, command="make-units", options=options, inputs=inputs)
    if stage.finished():
        return
    train, *others = (_words(directory, options.characters) for directory in options.data)
    if not train:
        raise DataError(f"{options.data[0]}: no transcripts; the first data directory is the one to train on")
    spelling = Spelling.of(train)
    _warn_of_cases(train)
    model = None
    if options.units == "sentencepiece":
        model = train_pieces(train + _spelled(options.text, spelling), options.vocab_size)
    units = Units(spelling, model)
    with stage.writing() as partial:
        units.save(partial, _sayable(train + sum(others, Counter()), spelling))
    log.info(
        "%s: %d characters, of which %d begin words; %d pieces",
        *(options.out, len(spelling.characters), len(spelling.begins), len(units.pieces())),
    )


def _words(directory: Path, characters: str) -> Counter[str]:
    utterances = load_data_dir(directory, need_text=False, allow_commands=True)
    transcripts = [(utterance.id, utterance.words) for utterance in utterances if utterance.words is not None]
    check_characters(transcripts, also=characters)
    return Counter(word for _, words in transcripts for word in words)


def _spelled(texts: tuple[Path, ...], spelling: Spelling) -> Counter[str]:
    """The words of texts that have no other characters than the transcripts."""
    counts = Counter(word for path in texts for words in read_sentences(path) for word in words)
    left_out = {word: count for word, count in counts.items() if not spelling.covers(word)}
    if left_out:
        log.warning("%d words of the text have characters that the transcripts lack: %s", *_most_frequent(left_out))
    return Counter({word: count for word, count in counts.items() if word not in left_out})


def _sayable(words: Counter[str], spelling: Spelling) -> list[str]:
    """The words, with a warning for those that can be aligned but never recognised."""
    unknown = {word: count for word, count in words.items() if not spelling.covers(word)}
    if unknown:
        log.warning(
            "%d words have characters that the training set lacks; they are aligned without them: %s",
            *_most_frequent(unknown),
        )
    if mute := sorted(word for word in unknown if not spelling.of_word(word)):
        raise DataError(f"the training set has none of the characters of {', '.join(mute)}; drop their utterances")
    return sorted(words)


def _most_frequent(counts: dict[str, int]) -> tuple[int, str]:
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    listed = ", ".join(f"{word} ({counts[word]}x)" for word in ranked[:_SHOWN])
    return len(ranked), listed + (", ..." if len(ranked) > _SHOWN else "")


def _warn_of_cases(words: Counter[str]) -> None:
    if found := both_cases(words):
        log.warning(
            "%d letters are there in upper and lower case and so are two phones each: %s; write all words alike",
            *_most_frequent(found),
        )
