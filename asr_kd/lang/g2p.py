"""Pronunciations of words that a lexicon lacks, by a joint-sequence model of letters and phones.

The lexicon's words are aligned with their phones by EM, an n-gram model is estimated over the pairs, and a new word is
said as the best sequence of pairs that spells it (Bisani & Ney 2008, "Joint-sequence models for grapheme-to-phoneme
conversion"; Novak et al. 2016, "Phonetisaurus: exploring grapheme-to-phoneme conversion with joint n-gram models in
the WFST framework"). Alignment and search are Phonetisaurus' own programs, of the optional extra ``g2p``.
"""

import importlib.util
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import LexiconError
from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.kneser_ney import estimate
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram_counts import count_ngrams
from asr_kd.lang.numbered_text import SPECIAL, load_text, with_boundaries

_JOINING = "}|_"  # letters and phones, in the programs' files
_MARKING = "<>[]!"  # entries that are no words, such as <unk>, [noise] and !SIL
_PACKAGE = "phonetisaurus"


@dataclass(frozen=True)
class Accuracy:
    """How well words are said that a model was not trained on.

    Attributes:
        words: number of the words.
        right: those whose best pronunciation is one of the lexicon's.
    """

    words: int
    right: int


def can_be_spelled(word: str) -> bool:
    """Whether it is a word, and one without the characters that the programs keep for themselves."""
    return not set(_JOINING + _MARKING).intersection(word)


class Pronouncer:
    """Says new words as a lexicon says its own.

    Args:
        lexicon: the pronunciations to learn from.
        folder: an empty directory to work in.
        order: pairs of letters and phones of the longest n-grams.

    Raises:
        LexiconError: no word of the lexicon can be aligned with its phones, or one of the programs fails.
        ModuleNotFoundError: phonetisaurus is not installed.
    """

    def __init__(self, lexicon: Lexicon, folder: Path, *, order: int) -> None:
        # Phones are written as numbers, so that they may have any name.
        self._phones = lexicon.phones
        numbers = {phone: str(number) for number, phone in enumerate(self._phones)}
        spelled = [(word, phones) for word, phones in lexicon.entries if can_be_spelled(word)]
        self._letters = frozenset(letter for word, _ in spelled for letter in word)
        entries = [f"{word}\t{' '.join(numbers[phone] for phone in phones)}\n" for word, phones in spelled]
        self._folder, self._model = folder, folder / "model.fst"
        source, pairs, arpa = folder / "entries.txt", folder / "pairs.txt", folder / "model.arpa"
        source.write_text("".join(entries), encoding="utf-8")
        if entries:
            _run("phonetisaurus-align", f"--input={source}", f"--ofile={pairs}", "--seq1_del=false", "--seq2_del=true")
        if not pairs.exists() or not pairs.stat().st_size:
            raise LexiconError("no word of the lexicon could be aligned with its phones: are words spelled in letters?")
        _ngrams(pairs, order).save(arpa)
        _run("phonetisaurus-arpa2wfst", f"--lm={arpa}", f"--ofile={self._model}")

    def say(self, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The best pronunciation of each word; those with letters that the lexicon lacks have none."""
        asked = sorted({word for word in words if self._letters.issuperset(word)})
        if not asked:
            return {}
        listed = self._folder / "words.txt"
        listed.write_text("\n".join(asked) + "\n", encoding="utf-8")
        found = {}
        for line in _run("phonetisaurus-g2pfst", f"--model={self._model}", f"--wordlist={listed}").splitlines():
            fields = line.split("\t")
            if len(fields) == 3 and fields[2].strip():
                found[fields[0]] = tuple(self._phones[int(number)] for number in fields[2].split())
        return found


def pronounce(lexicon: Lexicon, words: Iterable[str], *, order: int) -> dict[str, tuple[str, ...]]:
    """Say words as a lexicon would; a word that it has no letters for is left out."""
    with tempfile.TemporaryDirectory() as folder:
        return Pronouncer(lexicon, Path(folder), order=order).say(words)


def held_out_accuracy(lexicon: Lexicon, *, order: int, every: int) -> Accuracy:
    """Train without each so many-th word, and say those.

    Args:
        lexicon: the lexicon.
        order: as in `Pronouncer`.
        every: one word of so many is held out.
    """
    words = [word for word in lexicon.words if can_be_spelled(word)]
    if len(words) < every:  # too few to spare one
        return Accuracy(0, 0)
    held_out = frozenset(words[::every])
    rest = Lexicon(tuple(entry for entry in lexicon.entries if entry[0] not in held_out))
    said = pronounce(rest, held_out, order=order)
    right = sum(phones in lexicon.pronunciations(word) for word, phones in said.items())
    return Accuracy(len(held_out), right)


def _ngrams(pairs: Path, order: int) -> BackoffModel:
    """A model of sequences of pairs."""
    text = load_text(pairs)
    vocabulary = tuple(sorted(text.words))
    numbers_T, starts_S = with_boundaries(text, vocabulary)
    counts = count_ngrams(numbers_T, starts_S, num_words=len(SPECIAL) + len(vocabulary), order=order)
    return estimate(counts, vocabulary, [1] * order).model


def _run(program: str, *arguments: str) -> str:
    """What a program of the package prints."""
    done = subprocess.run([_program(program), *arguments], capture_output=True, check=False)
    if done.returncode:
        errors: Sequence[str] = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise LexiconError(f"{program} failed with code {done.returncode}: {errors[-1]}")
    return done.stdout.decode(encoding="utf-8", errors="replace")


def _program(name: str) -> Path:
    """Where a program of the package lies; it is never imported, for its OpenFst and kaldifst's lock each other up."""
    package = importlib.util.find_spec(_PACKAGE)
    program = Path(package.origin if package and package.origin else "").parent / "bin" / name
    if not program.is_file():  # also where another package of that name is installed
        raise ModuleNotFoundError(f"No module named '{_PACKAGE}'", name=_PACKAGE)
    return program
