"""A bundle whose network torch runs, as one whose network onnxruntime runs."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from asr_kd.bundle.contents import ONNX_FILE, TORCH_FILE, read_bundle, weights_file, write_description
from asr_kd.bundle.network import load_network
from asr_kd.bundle.onnx_export import check_same, largest_difference, to_onnx, write_int8
from asr_kd.errors import MismatchError, UsageError
from asr_kd.nets.acoustic_model import AcousticModel

log = logging.getLogger(__name__)

RANDOM_WINDOWS, SEED = 512, 1


def export_bundle(bundle: Path, out: Path, *, int8: bool, windows: Sequence[np.ndarray]) -> None:
    """Fill an existing directory with the bundle's ONNX form.

    The network in fp32 is compared with torch's on random windows and on real ones, also where it is then quantised.

    Args:
        windows: batches ``[B, W]`` of real speech; int8 finds its ranges on them.

    Raises:
        MismatchError: the bundle's weights are ONNX already, or onnxruntime computes otherwise than torch.
        UsageError: int8 without real speech.
    """
    about = read_bundle(bundle)
    if weights_file(about["checksums"]) != TORCH_FILE:
        raise MismatchError(f"{bundle}: its weights are ONNX already; export the bundle of asr-kd make-bundle")
    if int8 and not windows:
        raise UsageError("asr-kd export-onnx: --int8 needs recordings to find the ranges of activations on: --data DIR")
    model = AcousticModel.load(bundle)
    with tempfile.TemporaryDirectory(prefix="asr_kd") as folder:
        fp32 = Path(folder) / ONNX_FILE
        onnx.save(to_onnx(model), fp32)
        torch_network, onnx_network = load_network(bundle, TORCH_FILE), load_network(fp32.parent, ONNX_FILE)
        noise = np.random.default_rng(SEED).standard_normal((RANDOM_WINDOWS, model.card.input_dim), np.float32)
        for what, batches in (("random windows", [noise]), ("speech", windows)):
            if batches:
                difference = largest_difference(torch_network, onnx_network, batches)
                check_same(difference, what)
                log.info("log likelihoods of %s: within %.1e of torch's", what, difference)
        if int8:
            write_int8(fp32, out / ONNX_FILE, windows)
            difference = largest_difference(torch_network, load_network(out, ONNX_FILE), windows)
            log.info("int8: log likelihoods of speech within %.2g of torch's", difference)
        else:
            shutil.copyfile(fp32, out / ONNX_FILE)
    for name in about["checksums"]:
        if name != TORCH_FILE:
            shutil.copyfile(bundle / name, out / name)
    write_description(out, parameters=about["parameters"], features=about["features"], settings=about["recognition"])
