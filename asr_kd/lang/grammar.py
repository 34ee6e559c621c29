"""Grammars as transducers over words: a loop over the lexicon, or a back-off n-gram from an ARPA file.

Back-off arcs take ``#0`` in and put nothing out, as in Kaldi (Mohri, Pereira and Riley, "Speech recognition
with weighted finite-state transducers", 2008).
"""

import logging
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import kaldifst

from asr_kd.errors import GrammarError
from asr_kd.lang.lexicon import EPSILON, SENTENCE_END, SENTENCE_START, Lexicon
from asr_kd.lang.symbols import BACKOFF, save_symbols, word_symbols
from asr_kd.lang.zipped import reading

log = logging.getLogger(__name__)

_COPIED_BYTES = 1 << 20


def word_loop(lexicon: Lexicon) -> kaldifst.StdVectorFst:
    """One or more words, each as likely as the others; the end costs nothing."""
    words = word_symbols(lexicon)
    cost = math.log(len(lexicon.recognized))
    grammar = kaldifst.StdVectorFst()
    start, after = grammar.add_state(), grammar.add_state()
    grammar.start = start
    for word in lexicon.recognized:
        label = words.id(word)
        for state in (start, after):
            grammar.add_arc(state, kaldifst.StdArc(label, label, cost, after))
    grammar.set_final(after, 0.0)
    return grammar


def arpa_grammar(arpa: Path, lexicon: Lexicon) -> kaldifst.StdVectorFst:
    """A back-off n-gram model over the lexicon's words; costs are negated natural logarithms.

    Words of the model outside the lexicon (``<unk>`` too) are dropped with all their n-grams, and counted in
    the log; what they leave is not spread over the others.

    Args:
        arpa: an ARPA file, gzipped or not.
        lexicon: the words.

    Raises:
        GrammarError: not an ARPA file, or it shares no word with the lexicon.
    """
    with tempfile.TemporaryDirectory(prefix="asr_kd") as temporary:
        plain = _unzipped(arpa, Path(temporary))
        _check_unigrams(arpa, plain, lexicon)
        symbols, result = Path(temporary, "words.txt"), Path(temporary, "G.fst")
        _save_recognized(lexicon, symbols)
        # kaldilm ends its process on a malformed file, so it gets one of its own.
        command = [sys.executable, "-m", "kaldilm", f"--read-symbol-table={symbols}", f"--disambig-symbol={BACKOFF}"]
        command += ["--max-arpa-warnings=0", str(plain), str(result)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        grammar = kaldifst.StdVectorFst.read(str(result)) if done.returncode == 0 and result.exists() else None
        if grammar is None or grammar.start < 0:
            errors = [line.removeprefix("[E] ") for line in done.stderr.splitlines() if line.startswith("[E]")]
            why = "; ".join(errors) or f"kaldilm failed with code {done.returncode}"
            raise GrammarError(f"{arpa}: not a usable ARPA file: {why}")
        return grammar


def _save_recognized(lexicon: Lexicon, path: Path) -> None:
    """The numbers of the words that may be put out, for kaldilm: it drops n-grams with any other."""
    save_symbols(word_symbols(lexicon), path)
    if lexicon.oov:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.split()[0] != lexicon.oov), encoding="utf-8")


def _unzipped(path: Path, folder: Path) -> Path:
    plain = folder / "plain.arpa"
    with reading(path, "an ARPA file, gzipped or not") as source, plain.open("wb", buffering=0) as target:
        while some := memoryview(source.read(_COPIED_BYTES)):
            try:
                while some:
                    some = some[target.write(some) :]
            except OSError as error:
                hint = "make room, or name another folder as TMPDIR"
                raise GrammarError(f"{folder}: cannot unpack {path} there ({error.strerror}); {hint}") from error
    return plain


def _check_unigrams(arpa: Path, plain: Path, lexicon: Lexicon) -> None:
    """Compare the words of model and lexicon before the slow part."""
    found: set[str] = set()
    inside = False
    with plain.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("\\"):
                if inside:
                    break
                inside = line.startswith("\\1-grams:")
            elif inside and len(fields := line.split()) > 1:
                found.add(fields[1])
    if not inside:
        raise GrammarError(f"{arpa}: no section \\1-grams: in it; expected an ARPA file, gzipped or not")
    found -= {SENTENCE_START, SENTENCE_END, EPSILON}
    common = found.intersection(lexicon.recognized)
    if not common:
        raise GrammarError(f"{arpa}: none of its {len(found)} words is in the lexicon; is the case the same?")
    if dropped := len(found) - len(common):
        log.warning("%s: %d of %d words are not in the lexicon and are dropped", arpa, dropped, len(found))
    if absent := len(lexicon.recognized) - len(common):
        log.warning("%s: lacks %d of the lexicon's %d words: never recognised", arpa, absent, len(lexicon.recognized))
