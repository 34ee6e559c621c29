"""An ONNX bundle computes what torch does, recognises the same, and needs no torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tone_pipeline import Pipeline

from asr_kd.bundle.contents import ONNX_FILE, read_bundle
from asr_kd.bundle.exporting import export_bundle
from asr_kd.bundle.onnx_export import check_same, to_onnx
from asr_kd.bundle.onnx_names import LOG_POSTERIORS
from asr_kd.bundle.onnx_network import load
from asr_kd.bundle.recognizer import Recognizer
from asr_kd.cli import export_onnx
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.nets.acoustic_model import AcousticModel, ModelCard
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import parse

WITHOUT_TORCH = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchaudio", "onnx", "safetensors", "kaldilm", "matplotlib", "tqdm"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Refusing())
from asr_kd.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def export(*words: object) -> None:
    argv = [str(word) for word in words]
    export_onnx.run(parse(export_onnx.Options, argv, command="export-onnx", description=""))


@pytest.fixture(scope="module")
def bundles(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("onnx")
    dev = ("--data", pipeline.tones / "data/dev")
    export(*dev, pipeline.exp / "bundle", folder / "fp32")
    export("--int8", *dev, pipeline.exp / "bundle", folder / "int8")
    return {"torch": pipeline.exp / "bundle", "fp32": folder / "fp32", "int8": folder / "int8"}


@given(
    num_layers=st.integers(1, 4),
    hidden_dim=st.integers(1, 64),
    dropout=st.sampled_from([0.0, 0.5]),
    batch=st.integers(1, 20),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_a_network_of_any_shape_computes_what_torch_does(
    tmp_path_factory: pytest.TempPathFactory, num_layers: int, hidden_dim: int, dropout: float, batch: int, seed: int
) -> None:
    net = NetOptions(num_layers=num_layers, hidden_dim=hidden_dim, dropout=dropout, input_dropout=dropout)
    card = ModelCard(net=net, input_dim=12, num_pdfs=7, features={}, features_fingerprint="", states_fingerprint="")
    prior = torch.log_softmax(torch.linspace(-2, 2, 7), dim=0)
    model = AcousticModel(card, card.new_net(seed=seed).eval(), prior)
    path = tmp_path_factory.mktemp("net") / ONNX_FILE
    onnx.save(to_onnx(model), path)
    x_BW = np.random.default_rng(seed).standard_normal((batch, 12)).astype(np.float32)
    network = load(path, num_threads=1)
    logp_BP = model.log_posteriors(torch.from_numpy(x_BW))
    np.testing.assert_allclose(network.log_likelihoods(x_BW), logp_BP - prior, atol=1e-4)
    (found,) = network._session.run([LOG_POSTERIORS], {"windows": x_BW})
    np.testing.assert_allclose(found, logp_BP, atol=1e-4)


def test_the_bundle_recognises_what_torchs_does(bundles: dict[str, Path], pipeline: Pipeline) -> None:
    files = [utterance.audio for utterance in load_data_dir(pipeline.tones / "data/test")]
    words = {
        kind: [Recognizer(bundles[kind]).recognize(file).words for file in files] for kind in ("torch", "fp32", "int8")
    }
    assert words["fp32"] == words["torch"]
    differing = sum(one != other for one, other in zip(words["int8"], words["torch"], strict=True))
    assert differing <= 1


def test_int8_weights_are_a_third_at_most_and_say_what_they_are(bundles: dict[str, Path]) -> None:
    sizes = {kind: (bundles[kind] / ONNX_FILE).stat().st_size for kind in ("fp32", "int8")}
    assert sizes["int8"] < sizes["fp32"] / 3
    assert [Recognizer(bundles[kind]).network.kind for kind in bundles] == ["torch fp32", "onnx fp32", "onnx int8"]


def test_int8_scores_do_not_depend_on_the_frames_beside(bundles: dict[str, Path]) -> None:
    network = Recognizer(bundles["int8"]).network
    width = Recognizer(bundles["int8"]).front_end.width
    x_BW = np.random.default_rng(1).standard_normal((30, width)).astype(np.float32)
    x_BW[0] *= 20
    alone = np.concatenate([network.log_likelihoods(x_BW[row : row + 1]) for row in range(30)])
    np.testing.assert_allclose(network.log_likelihoods(x_BW), alone, atol=1e-4)


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_it_recognises_without_torch(bundles: dict[str, Path], pipeline: Pipeline, kind: str) -> None:
    files = [utterance.audio for utterance in load_data_dir(pipeline.tones / "data/test")[:2]]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "recognize", str(bundles[kind]), *files],
        capture_output=True,
        text=True,
        check=False,
    )
    expected = [Recognizer(bundles[kind]).recognize(file) for file in files]
    assert done.stdout.splitlines() == [" ".join((one.utt, *one.words)) for one in expected], done.stderr


def test_without_torch_a_torch_bundle_says_what_to_do(bundles: dict[str, Path], pipeline: Pipeline) -> None:
    file = load_data_dir(pipeline.tones / "data/test")[0].audio
    words = [sys.executable, "-c", WITHOUT_TORCH, "recognize", str(bundles["torch"]), file]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs torch, which is not installed" in done.stderr.splitlines()[-1]
    assert "export-onnx" in done.stderr.splitlines()[-1]


def test_all_but_the_weights_is_as_before(bundles: dict[str, Path]) -> None:
    before, after = read_bundle(bundles["torch"]), read_bundle(bundles["int8"])
    for key in ("parameters", "features", "recognition", "format"):
        assert after[key] == before[key]
    weights = {"model.safetensors", ONNX_FILE}
    assert {k: v for k, v in after["checksums"].items() if k not in weights} == {
        k: v for k, v in before["checksums"].items() if k not in weights
    }


def test_an_onnx_bundle_is_not_exported_again(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="ONNX already"):
        export(bundles["fp32"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_int8_needs_speech(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        export("--int8", bundles["torch"], tmp_path / "out")
    with pytest.raises(UsageError, match="--data"):
        export_bundle(bundles["torch"], tmp_path, int8=True, windows=[])


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_a_difference_is_an_error(difference: float) -> None:
    check_same(9e-5, "speech")
    with pytest.raises(MismatchError, match="differ"):
        check_same(difference, "speech")


def test_a_damaged_network_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ONNX_FILE).write_bytes(b"no network")
    with pytest.raises(DataError, match="onnxruntime cannot read it"):
        load(tmp_path / ONNX_FILE, num_threads=1)


def test_another_network_is_refused(tmp_path: Path) -> None:
    port = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "other", [port], [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / ONNX_FILE)
    with pytest.raises(DataError, match="not a network of asr-kd export-onnx"):
        load(tmp_path / ONNX_FILE, num_threads=1)


def test_an_altered_network_is_found_out(bundles: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundles["fp32"], tmp_path / "copy"))
    content = bytearray((copy / ONNX_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / ONNX_FILE).write_bytes(content)
    with pytest.raises(DataError, match=f"{ONNX_FILE}: does not match its checksum"):
        Recognizer(copy)
