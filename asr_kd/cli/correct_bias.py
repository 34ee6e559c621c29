"""Shift the output biases of some classes by one offset, so that a student decides for them as often as is right.

A class that was not in the transfer set is learnt from soft targets alone, and its bias comes out too low; where the
transfer set had these classes alone, too high (Hinton, Vinyals & Dean 2015, section 3). The offset is the one with
the most frames right on labelled dev frames, none of which need have been in the transfer set.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from asr_kd.distill.bias import Rivals, best_offset, find_rivals, shift_bias
from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.stage import Stage, fingerprint, read_run, write_json

log = logging.getLogger(__name__)

OFFSET_FILE = "offset.json"


@dataclass(frozen=True, kw_only=True)
class Options:
    model: Path = option("model to correct", positional=True)
    out: Path = option("model directory to make", positional=True)
    pdfs: tuple[int, ...] = option("classes whose biases are shifted together")
    dev_frames: Path = option("frame store the offset is chosen on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    device: DeviceOptions = group(DeviceOptions)
    seed: int | None = option("seed of the model, for the report (default: that of its training)", default=None)


def run(options: Options) -> None:
    if options.seed is None:
        options = replace(options, seed=read_run(options.model).get("seed"))
    inputs = {
        "model": fingerprint(options.model),
        "dev frames": fingerprint(options.dev_frames),
        "dev labels": fingerprint(options.dev_labels),
    }
    stage = Stage(options.out, command="correct-bias", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.dev_frames)
    (model,) = load_models([options.model], store, device, options.device.dtype).values()
    if not 0 <= min(options.pdfs) <= max(options.pdfs) < model.card.num_pdfs:
        raise UsageError(f"--pdfs: {options.model} has the classes 0 to {model.card.num_pdfs - 1}")
    if len(set(options.pdfs)) == model.card.num_pdfs:
        raise UsageError("--pdfs names all classes: a number added to all biases changes nothing")
    (labels,) = match_labels([store], [Labels.load(options.dev_labels)])
    assert labels is not None
    check_labelled(labels, options.model, model.card.states_fingerprint)
    # By chunks: all logits at once may be more than fit in memory.
    logits = (model.logits(store.windows(frames, device)) for frames in store.chunks())
    parts = [find_rivals(logits_BP, options.pdfs) for logits_BP in logits]
    rivals = Rivals(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))
    offset = best_offset(rivals, torch.from_numpy(labels.pdfs))
    shift_bias(model, options.pdfs, offset)
    with stage.writing() as folder:
        model.save(folder)
        write_json(folder / OFFSET_FILE, {"pdfs": list(options.pdfs), "offset": offset})
    log.info("%s: biases of %s shifted by %+.2f", options.out, " ".join(map(str, options.pdfs)), offset)
