"""What a bundle holds: weights, graph, and ``bundle.json`` with settings and checksums.

Tensors are in safetensors or ONNX, the rest is JSON, text and OpenFst; nothing in a bundle is executed.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_kd import __version__
from asr_kd.decode.graph import ABOUT_FILE, GRAPH_FILE, WORDS_FILE
from asr_kd.errors import DataError
from asr_kd.stage import checksums, digest, file_sha256, write_json

BUNDLE_FILE = "bundle.json"
TORCH_FILE, ONNX_FILE = "model.safetensors", "model.onnx"
OWN_CHECKSUM = "checksum"
FORMAT = 2
# Beside one of TORCH_FILE and ONNX_FILE.
NEEDED = (GRAPH_FILE, WORDS_FILE, ABOUT_FILE)


@dataclass(frozen=True, kw_only=True)
class RecognitionSettings:
    """How scores and graph are weighed against each other, and how wide the search is."""

    acoustic_scale: float
    insertion_penalty: float
    beam: float
    max_active: int


def write_description(
    out: Path, *, parameters: int, features: dict[str, Any], settings: RecognitionSettings | dict[str, Any]
) -> None:
    """Write ``bundle.json`` of a directory that holds everything else."""
    about = {
        "format": FORMAT,
        "asr_kd": __version__,
        "parameters": parameters,
        "features": features,
        "recognition": asdict(settings) if isinstance(settings, RecognitionSettings) else settings,
        "checksums": checksums(out),
    }
    write_json(out / BUNDLE_FILE, about | {OWN_CHECKSUM: digest(about)})


def read_bundle(path: Path) -> dict[str, Any]:
    """Read ``bundle.json`` and check every file against its checksum.

    Raises:
        DataError: not a bundle, of a format unknown here, or a file is missing or altered.
    """
    try:
        about: dict[str, Any] = json.loads((path / BUNDLE_FILE).read_text(encoding="utf-8"))
        expected = dict(about["checksums"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a bundle ({error}); make one with asr-kd make-bundle") from error
    if about.get("format") != FORMAT:
        what_to_do = "update asr_kd" if about.get("format", 0) > FORMAT else "make it anew with asr-kd make-bundle"
        raise DataError(f"{path}: bundle format {about.get('format')}, this program reads {FORMAT}; {what_to_do}")
    if about.pop(OWN_CHECKSUM, None) != digest(about):
        raise DataError(f"{path / BUNDLE_FILE}: does not match its own checksum; copy the bundle anew")
    if unchecked := [name for name in (*NEEDED, weights_file(expected)) if name not in expected]:
        raise DataError(f"{path / BUNDLE_FILE}: has no checksum of {', '.join(unchecked)}; copy the bundle anew")
    for name, checksum in expected.items():
        file = path / name
        if not file.is_file():
            raise DataError(f"{file}: missing from the bundle; copy it anew")
        if file_sha256(file) != checksum:
            raise DataError(f"{file}: does not match its checksum in {BUNDLE_FILE}; copy the bundle anew")
    return about


def weights_file(checksums: dict[str, Any]) -> str:
    """The file that a bundle's weights are in."""
    return ONNX_FILE if ONNX_FILE in checksums else TORCH_FILE
