"""`asr-kd train-members`: members that are trained together are those that are trained one by one."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tone_pipeline import TINY_NET, Pipeline

from asr_kd.cli.main import main
from asr_kd.hmm.labels import Labels
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.group import DNNGroup
from asr_kd.stage import LOG_FILE
from asr_kd.train.loop import Trainer

EPOCHS = 2
BATCH = int(TINY_NET[TINY_NET.index("--batch-size") + 1])
SHAPE = NetOptions(num_layers=2, hidden_dim=16, dropout=0.25, input_dropout=0.1)


def train(pipeline: Pipeline, command: str, out: Path, *flags: object) -> int:
    labels = ("--labels", pipeline.exp / "ali/train", *pipeline.dev)
    words = [
        *TINY_NET,
        "--num-epochs",
        EPOCHS,
        "--dtype",
        "fp32",
        *labels,
        *flags,
        "--",
        pipeline.exp / "frames/train",
        out,
    ]
    return main([command, *map(str, words)])


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return dict(AcousticModel.load(directory).net.state_dict())


def metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_without_dropout_each_is_the_one_that_its_seed_makes_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    seeds = (3, 1, 2)
    # Rounding differs, and both Adam and many steps make more of it.
    sgd = ("--optimizer", "sgd", "--learning-rate", 0.05, "--batch-size", 500)
    assert train(pipeline, "train-members", tmp_path / "together", *sgd, "--seeds", *seeds) == 0
    for seed in seeds:
        assert train(pipeline, "train", tmp_path / f"alone/{seed}", *sgd, "--seed", seed) == 0
        found, expected = (weights(tmp_path / way / str(seed)) for way in ("together", "alone"))
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    means = metrics(tmp_path / "together/1")
    alone = [metrics(tmp_path / f"alone/{seed}") for seed in seeds]
    for epoch, row in enumerate(means):
        for name in ("train_loss", "train_frame_accuracy", "dev_cross_entropy", "dev_frame_accuracy"):
            assert row[name] == pytest.approx(sum(rows[epoch][name] for rows in alone) / len(seeds), abs=2e-3)
    assert not list(tmp_path.glob("together/*/group"))
    # What is there already is the same stage, whichever way it was made.
    assert train(pipeline, "train", tmp_path / "together/1", *sgd, "--seed", 1) == 0
    assert train(pipeline, "train-members", tmp_path / "alone", *sgd, "--seeds", *seeds) == 0


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    asked = ("--seeds", 1, 2, "--dropout", 0.2, "--max-norm", 2, "--optimizer", optimizer)
    assert train(pipeline, "train-members", tmp_path / "whole", *asked) == 0
    cut_off(pipeline, monkeypatch, "train-members", tmp_path / "cut", *asked)
    assert not (tmp_path / "cut/1").exists()
    assert (tmp_path / "cut/1.partial/group/checkpoint.safetensors").exists()
    assert train(pipeline, "train-members", tmp_path / "cut", *asked) == 0
    for seed in ("1", "2"):
        expected = weights(tmp_path / "whole" / seed)
        assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "cut" / seed).items())
        assert json.loads((tmp_path / "cut" / seed / "group.json").read_text()) == {"seeds": [1, 2]}


def test_a_seed_given_twice_is_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert train(pipeline, "train-members", tmp_path / "out", "--seeds", 1, 1) == 2
    assert "each once" in complaint()
    assert not (tmp_path / "out").exists()


def test_a_seed_for_all_is_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert train(pipeline, "train-members", tmp_path / "out", "--seeds", 1, 2, "--seed", 5) == 2
    assert "leave --seed out" in complaint()


@pytest.mark.parametrize("flags", [("--schedule", "newbob"), ("--shuffle-frames", 512), ("--watch-train",)])
def test_what_members_cannot_do_together_they_do_one_after_the_other(
    pipeline: Pipeline, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    assert train(pipeline, "train-members", tmp_path / "members", *flags, "--seeds", 1, 2) == 0
    assert train(pipeline, "train", tmp_path / "one", *flags, "--seed", 2) == 0
    expected = weights(tmp_path / "one")
    assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "members/2").items())


def cut_off(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, command: str, out: Path, *flags: object, after: int = 40
) -> None:
    """Interrupt a command after so many steps."""
    step, calls = Trainer.step, iter(range(10**6))

    def interrupted(self: Trainer, *batch: object) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        step(self, *batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        assert train(pipeline, command, out, *flags) == 130


def test_members_that_were_begun_with_other_options_are_not_thrown_away(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: Callable[[], str]
) -> None:
    cut_off(pipeline, monkeypatch, "train-members", tmp_path, "--seeds", 1, 2)
    assert train(pipeline, "train-members", tmp_path, "--seeds", 1, 2, "--early-stopping", 1) == 1
    assert "an interrupted run with --early-stopping 0 (now 1)" in complaint()
    assert train(pipeline, "train-members", tmp_path, "--seeds", 1, 2) == 0
    assert (tmp_path / "1/model.safetensors").exists() and (tmp_path / "2/model.safetensors").exists()


def files(directory: Path) -> set[str]:
    """What is there but for the log, which has the warnings."""
    return {path.name for path in directory.iterdir()} - {LOG_FILE}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_nothing_of_one_way_is_left_where_training_goes_on_in_the_other(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert train(pipeline, "train", tmp_path / "expected", "--seed", 1) == 0
    cut_off(pipeline, monkeypatch, "train-members", tmp_path / "members", "--seeds", 1, 2)
    assert train(pipeline, "train", tmp_path / "members/1", "--seed", 1) == 0
    (warning,) = warnings(caplog)
    assert warning.endswith("are thrown away: this one is trained alone now")
    assert files(tmp_path / "members/1") == files(tmp_path / "expected")
    cut_off(pipeline, monkeypatch, "train", tmp_path / "members/2", "--seed", 2)
    assert train(pipeline, "train-members", tmp_path / "members", "--seeds", 1, 2, 3) == 0
    assert files(tmp_path / "members/2") == files(tmp_path / "members/3") == files(tmp_path / "expected")


def test_killed_while_it_cleans_up_nothing_is_trained_again(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def killed(path: Path, *rest: object, **named: object) -> None:
        if path.exists() and path.name.startswith("group"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        assert train(pipeline, "train-members", tmp_path, "--seeds", 1, 2) == 130
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", None)
        assert train(pipeline, "train-members", tmp_path, "--seeds", 1, 2) == 0
    assert not warnings(caplog)
    assert not list((tmp_path / "1").glob("group*/*"))


def test_what_a_clean_up_left_is_no_part_of_a_member_that_is_finished_alone(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(pipeline, monkeypatch, "train-members", tmp_path, "--seeds", 1, 2)
    (tmp_path / "1.partial/group").rename(tmp_path / "1.partial/group.done")
    assert train(pipeline, "train", tmp_path / "1", "--seed", 1) == 0
    assert not (tmp_path / "1/group.done").exists()


def test_members_in_another_order_carry_on(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dropout = ("--dropout", 0.2)
    assert train(pipeline, "train-members", tmp_path / "whole", *dropout, "--seeds", 1, 2) == 0
    cut_off(pipeline, monkeypatch, "train-members", tmp_path / "cut", *dropout, "--seeds", 2, 1)
    with caplog.at_level(logging.INFO):
        assert train(pipeline, "train-members", tmp_path / "cut", *dropout, "--seeds", 1, 2) == 0
    assert "carrying on after 0 epochs and 40 steps" in caplog.text
    for seed in "12":
        expected = weights(tmp_path / "whole" / seed)
        assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "cut" / seed).items())


def test_what_a_member_was_trained_alone_is_thrown_away_with_a_warning(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(pipeline, monkeypatch, "train-members", tmp_path, "--seeds", 1, 2)
    cut_off(pipeline, monkeypatch, "train", tmp_path / "2", "--seed", 2)
    assert train(pipeline, "train-members", tmp_path, "--seeds", 1, 2) == 0
    assert warnings(caplog) == [
        f"{tmp_path / '2.partial'}: 0 epochs of it alone are thrown away: the seeds 1 2 are trained together now"
    ]


def test_other_members_begin_anew_with_a_warning(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    labelled = Labels.load(pipeline.exp / "ali/train").pdfs >= 0
    steps = -(-int(labelled.sum()) // BATCH)
    cut_off(pipeline, monkeypatch, "train-members", tmp_path / "cut", "--seeds", 2, 3, after=steps + 5)
    for way in ("cut", "whole"):
        assert train(pipeline, "train-members", tmp_path / way, "--seeds", 1, 2, 3) == 0
    assert warnings(caplog) == [
        f"{tmp_path / 'cut/2.partial/group'}: 1 epochs of members trained together are thrown away: "
        "the seeds 1 2 3 are trained together now"
    ]
    for seed in "123":
        assert files(tmp_path / "cut" / seed) == files(tmp_path / "whole" / seed)
        expected = weights(tmp_path / "whole" / seed)
        assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "cut" / seed).items())


def test_a_group_has_its_members_logits_and_gradients() -> None:
    nets = [DNN(6, 4, NetOptions(num_layers=2, hidden_dim=16), seed=seed) for seed in (1, 2, 3)]
    group = DNNGroup(nets)
    x_NW = torch.randn(3 * 5, 6, generator=torch.Generator().manual_seed(0))
    group(x_NW).pow(2).mean().backward()
    for member, (net, x_BW) in enumerate(zip(nets, x_NW.split(5), strict=True)):
        torch.testing.assert_close(group(x_NW).split(5)[member], net(x_BW))
        net(x_BW).pow(2).mean().backward()
        linears = [layer for layer in net.layers if isinstance(layer, torch.nn.Linear)]
        for linear, weight, bias in zip(linears, group.weights_MOI, group.biases_MO, strict=True):
            torch.testing.assert_close(weight.grad[member], linear.weight.grad)
            torch.testing.assert_close(bias.grad[member], linear.bias.grad)


def test_a_group_leaves_out_as_many_units_as_its_members() -> None:
    nets = [DNN(400, 400, SHAPE, seed=seed) for seed in (1, 2)]
    group = DNNGroup(nets)
    group.seed_dropout(5, torch.device("cpu"))
    kept = [(dropout(torch.ones(2, 50, 400)) > 0).float().mean() for dropout in group.dropouts.values()]
    assert [float(share) for share in kept] == pytest.approx([0.9, 0.75, 0.75], abs=0.01)
    x_NW = torch.randn(8, 400, generator=torch.Generator().manual_seed(0))
    group.seed_dropout(5, torch.device("cpu"))
    first = group(x_NW)
    group.seed_dropout(5, torch.device("cpu"))
    assert torch.equal(group(x_NW), first)
    group.eval()
    torch.testing.assert_close(group(x_NW)[4:], nets[1].eval()(x_NW[4:]))
