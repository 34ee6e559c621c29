"""Turn Kaldi's features (feats.scp) into a frame store, for those who hand out features and not audio."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import UsageError
from asr_kd.frames.cmvn import CmvnOptions
from asr_kd.frames.rows import write_rows
from asr_kd.frames.store import FrameStore, write_meta
from asr_kd.kaldi.features import FEATS_SCP, UTT2SPK, ScpFile, data_features, feature_dim, read_moments, speakers_of
from asr_kd.options import option
from asr_kd.stage import Stage, digest, file_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory with feats.scp, and utt2spk for --cmvn speaker", positional=True)
    out: Path = option("frame store to make", positional=True)
    cmvn: str = option("what shares one mean and variance", default="speaker", choices=("speaker", "utterance", "none"))
    cmvn_scp: Path | None = option(
        "statistics from compute-cmvn-stats, for each speaker or utterance; by default those of the frames themselves",
        default=None,
        affects_result=False,
    )
    left_context: int = option("frames to the left of the labelled one", default=20)
    right_context: int = option("frames to the right of it", default=5)
    frame_shift_ms: float = option("frame shift of the features in ms", default=10.0)
    kind: str = option(
        "a name for how the features were made: stores of other names are never mixed with these", default=""
    )
    allow_commands: bool = option("run entries that end in '|' through the shell", default=False)

    def __post_init__(self) -> None:
        if self.left_context < 0 or self.right_context < 0 or not self.frame_shift_ms > 0:
            raise UsageError("--left-context and --right-context must not be negative, --frame-shift-ms above 0")
        if self.cmvn_scp is not None and self.cmvn == "none":
            raise UsageError("--cmvn-scp goes with --cmvn speaker or utterance")


def run(options: Options) -> None:
    scp = ScpFile.open(options.data / FEATS_SCP, allow_commands=options.allow_commands)
    tables = [path for path in (options.data / FEATS_SCP, options.data / UTT2SPK) if path.is_file()]
    inputs = {"data": digest([file_sha256(path) for path in tables])}
    if options.cmvn_scp is not None:
        inputs["statistics"] = file_sha256(options.cmvn_scp)[:16]
    stage = Stage(options.out, command="import-feats", options=options, inputs=inputs)
    if stage.finished():
        return
    moments = None
    if options.cmvn_scp is not None:
        speakers = speakers_of(options.data, scp)
        keys = set(speakers.values() if options.cmvn == "speaker" else speakers)
        statistics = ScpFile.open(options.cmvn_scp, allow_commands=options.allow_commands)
        moments = read_moments(statistics, keys, feature_dim(scp))
    left, right, cmvn = options.left_context, options.right_context, CmvnOptions(cmvn=options.cmvn)
    with stage.writing() as partial:
        feats = data_features(options.data, scp)
        index, prior = write_rows(partial, feats, cmvn, left_context=left, right_context=right, moments=moments)
        features = {
            "imported": {"kind": options.kind, "dim": len(prior.total), "frame_shift_ms": options.frame_shift_ms},
            "cmvn": {"cmvn": cmvn.cmvn, "cmvn_prior_frames": cmvn.cmvn_prior_frames},
            "left_context": left,
            "right_context": right,
            "prior": prior.to_dict(),
        }
        extra = {"frame_shift_ms": options.frame_shift_ms, "left_out": len(scp.table.rows) - len(index.utterances)}
        write_meta(partial, index, features=features, extra=extra)
    store = FrameStore(options.out)
    hours = store.num_frames * options.frame_shift_ms / 3.6e6
    log.info(
        "%s: %d utterances, %d frames of %d features, %.2f h",
        *(options.out, len(store.index.counts), store.num_frames, store.dim, hours),
    )
