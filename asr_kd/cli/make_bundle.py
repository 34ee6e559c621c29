"""Pack a model, its graph and all settings into one directory that recognises speech."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_kd.bundle.contents import RecognitionSettings
from asr_kd.bundle.packing import write_bundle
from asr_kd.decode.recognition import SearchOptions
from asr_kd.errors import MismatchError, UsageError
from asr_kd.options import option
from asr_kd.stage import Stage, digest, fingerprint, read_run

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    model: Path = option("model, from asr-kd train or asr-kd distill", positional=True)
    graph: Path = option("decoding graph, from asr-kd make-graph or import-kaldi-graph", positional=True)
    out: Path = option("bundle to make", positional=True)
    decoded: Path | None = option(
        "results of asr-kd decode for this model: scale, penalty and the limits of the search are taken from there",
        default=None,
        affects_result=False,
    )
    acoustic_scale: float | None = option("weight of the acoustic scores, without --decoded", default=None)
    insertion_penalty: float | None = option("cost of a word; by default as decoded, without --decoded 0", default=None)
    beam: float | None = option("as of decode; by default as decoded, without --decoded 13", default=None)
    max_active: int | None = option("as of decode; by default as decoded, without --decoded 7000", default=None)

    def __post_init__(self) -> None:
        if (self.decoded is None) == (self.acoustic_scale is None):
            raise UsageError("asr-kd make-bundle: give either --decoded DIR or --acoustic-scale")
        for flag, value in (("--acoustic-scale", self.acoustic_scale), ("--beam", self.beam)):
            if value is not None and not value > 0:
                raise UsageError(f"{flag} must be above 0, got {value:g}")
        if self.max_active is not None and self.max_active < 2:
            raise UsageError(f"--max-active must be at least 2, got {self.max_active}")


def run(options: Options) -> None:
    inputs = {name: fingerprint(getattr(options, name)) for name in ("model", "graph")}
    if options.decoded is not None:
        inputs["decoded"] = fingerprint(options.decoded)
    stage = Stage(options.out, command="make-bundle", options=options, inputs=inputs)
    if stage.finished():
        return
    with stage.writing() as partial:
        write_bundle(partial, model=options.model, graph=options.graph, settings=_settings(options))
    log.info("%s: ready; try asr-kd recognize %s FILE.wav", options.out, options.out)


def _settings(options: Options) -> RecognitionSettings:
    settings: dict[str, Any] = asdict(SearchOptions()) | {"acoustic_scale": None, "insertion_penalty": 0.0}
    if options.decoded is not None:
        decoded_with = read_run(options.decoded)["identity"]["inputs"]
        own = {"models": digest([fingerprint(options.model)]), "graph": fingerprint(options.graph)}
        for name, path in (("models", options.model), ("graph", options.graph)):
            if name not in decoded_with:
                raise MismatchError(f"--decoded {options.decoded}: expected the output of asr-kd decode")
            if decoded_with[name] != own[name]:
                raise MismatchError(
                    f"--decoded {options.decoded}: not decoded with {path}, so its tuning does not hold for it"
                )
        decoded = json.loads((options.decoded / "system.json").read_text(encoding="utf-8"))
        settings = {name: decoded[name] for name in settings}
    given = {name: value for name in settings if (value := getattr(options, name)) is not None}
    return RecognitionSettings(**settings | given)
