"""Make labels of a frame store from Kaldi's alignments.

ALIGNMENTS is a directory with ali.*.gz, such as exp/tri3_ali; or one archive, binary or text, gzipped or not, such as
what ali-to-pdf writes (with --ids pdf). Networks trained on these labels predict Kaldi's pdfs.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import write_labels
from asr_kd.kaldi.alignments import ImportedAlignments, alignment_files, compare_with_occs, import_alignments
from asr_kd.kaldi.transition_model import read_transition_model
from asr_kd.options import option
from asr_kd.stage import Stage, digest, file_sha256, fingerprint

log = logging.getLogger(__name__)

MODEL_FILE = "final.mdl"


@dataclass(frozen=True, kw_only=True)
class Options:
    alignments: Path = option("directory with ali.*.gz, or one archive", positional=True)
    frames: Path = option("frame store of the same utterances", positional=True)
    out: Path = option("labels to make", positional=True)
    model: Path | None = option(
        "Kaldi model that made the alignments; by default final.mdl beside them", default=None, affects_result=False
    )
    ids: str = option("what the alignments hold", default="transition", choices=("transition", "pdf"))
    num_pdfs: int | None = option("number of pdfs, where there is no model; with --ids pdf", default=None)
    max_difference: int = option(
        "frames by which an alignment may be longer or shorter than its utterance's features; what is too much is "
        "cut at the end, what lacks has no label",
        default=2,
    )

    def __post_init__(self) -> None:
        if self.num_pdfs is not None and (self.ids != "pdf" or self.model is not None or self.num_pdfs < 1):
            raise UsageError("--num-pdfs N goes with --ids pdf and without --model, and is at least 1")


def run(options: Options) -> None:
    files = alignment_files(options.alignments)
    model_path = None if options.num_pdfs is not None else _model_path(options)
    inputs = {"alignments": digest([file_sha256(path) for path in files]), "frames": fingerprint(options.frames)}
    if model_path is not None and model_path.is_file():
        inputs["model"] = file_sha256(model_path)[:16]
    stage = Stage(options.out, command="import-kaldi-ali", options=options, inputs=inputs)
    if stage.finished():
        return
    pdf_of, num_pdfs, states = _states(options, model_path)
    store = FrameStore(options.frames)
    with stage.writing() as partial:
        made = import_alignments(files, store, pdf_of, num_pdfs, max_difference=options.max_difference)
        write_labels(partial, store, made.pdfs, num_pdfs=num_pdfs, states_fingerprint=states, dropped=made.dropped)
        _report(made, store, options.out)
        if model_path is not None and (occs := model_path.with_suffix(".occs")).is_file():
            log.info("%s", compare_with_occs(made.counts, occs))


def _model_path(options: Options) -> Path:
    if options.model is not None:
        return options.model
    folder = options.alignments if options.alignments.is_dir() else options.alignments.parent
    if options.ids == "pdf" and not (folder / MODEL_FILE).is_file():
        raise UsageError(f"asr-kd import-kaldi-ali: give --model (there is no {folder / MODEL_FILE}) or --num-pdfs")
    return folder / MODEL_FILE


def _states(options: Options, model_path: Path | None) -> tuple[np.ndarray, int, str]:
    """The pdf of each id in the alignments, the number of pdfs, and the states' fingerprint."""
    if model_path is None:
        assert options.num_pdfs is not None
        return np.arange(options.num_pdfs, dtype=np.int32), options.num_pdfs, digest({"kaldi pdfs": options.num_pdfs})
    model = read_transition_model(model_path)
    pdf_of = model.pdf_of if options.ids == "transition" else np.arange(model.num_pdfs, dtype=np.int32)
    return pdf_of, model.num_pdfs, model.fingerprint


def _report(made: ImportedAlignments, store: FrameStore, out: Path) -> None:
    for utterance, reason in made.dropped:
        log.warning("%s: dropped, %s", utterance, reason)
    if made.cut or made.short:
        log.warning(
            "%d alignments are a little longer than their features (cut at the end), %d a little shorter (the last "
            "frames have no label)",
            *(made.cut, made.short),
        )
    if made.elsewhere:
        log.info("%d alignments are of utterances that %s has not", made.elsewhere, store.path)
    total = len(store.index.utterances)
    labelled = 100 * float((made.pdfs >= 0).mean())
    used = int((made.counts > 0).sum())
    log.info(
        "%s: %d of %d utterances, %.2f %% of frames, %d of %d pdfs",
        *(out, total - len(made.dropped), total, labelled, used, len(made.counts)),
    )
