"""A system's scored words as files: ``wer``, ``alignments.txt``, confusions, ``ref.trn``, ``hyp.trn`` for sclite."""

from pathlib import Path

from asr_kd.score.confusions import count_confusions, write_confusions, write_words
from asr_kd.score.decoded import Decoded
from asr_kd.score.wer import format_alignment, trn_line, wer_lines
from asr_kd.stage import write_text


def write_alignments(directory: Path, run: Decoded) -> None:
    """Write one run's word errors into ``directory``, which is made.

    Score the trn files with ``sclite -r ref.trn trn -h hyp.trn trn -i rm -o sum stdout``.
    """
    directory.mkdir(parents=True)
    scored = list(zip(run.utterances, run.alignments, strict=True))
    write_text(directory / "wer", wer_lines(run.words))
    write_text(directory / "alignments.txt", "".join(format_alignment(utt, words) for utt, words in scored))
    confusions = count_confusions(run.alignments)
    write_confusions(directory / "confusions.tsv", confusions)
    write_words(directory / "words.tsv", confusions)
    for name, texts in (("ref.trn", run.references()), ("hyp.trn", run.hypotheses())):
        rows = zip(run.speakers, run.utterances, texts, strict=True)
        write_text(directory / name, "".join(trn_line(speaker, utt, words) for speaker, utt, words in rows))
