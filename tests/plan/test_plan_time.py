"""The arithmetic of a plan's times and memory, and the prediction for named GPUs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from asr_kd.distill.hinton import DistillWeights
from asr_kd.nets.dnn import NetOptions
from asr_kd.plan.calibration import NetSpeed
from asr_kd.plan.cards import CARDS, PRODUCTS_OF_SHEET
from asr_kd.plan.footprint import NetShape, Speech
from asr_kd.plan.needs import (
    Training,
    Work,
    disk_bytes,
    gpu_memory_bytes,
    memory_bytes,
    predicted,
    run_seconds,
    side_by_side,
    time_seconds,
    trained_together,
    training_memory,
)
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.group_training import member_bytes
from asr_kd.train.loop import TrainOptions
from asr_kd.train.shuffle import ShuffleOptions

PAPER = NetShape(input_dim=26 * 40, num_layers=8, hidden_dim=2560, num_pdfs=14_000)
WEIGHTS = DistillWeights(soft_weight=0.9, hard_weight=0.1)


def speech(num_frames: int) -> Speech:
    return Speech(num_frames=num_frames, num_utterances=-(-num_frames // 500), dim=40, left=20, right=5)


def work(
    *, frames: int = 1_000_000, extra: int = 0, copies: int = 3, nj: int = 2, on_gpu: bool = False, **train: object
) -> Work:
    net = NetOptions(num_layers=2, hidden_dim=64)
    shape = NetShape.of(net, input_dim=1040, num_pdfs=100)
    options = TrainOptions(num_epochs=4, batch_size=1000)
    options = replace(options, **train)  # type: ignore[arg-type]
    members = Training(name="members", shape=shape, net=net, train=options, copies=copies)
    student = replace(members, name="student", copies=1, weights=WEIGHTS)
    return Work(
        labelled=speech(frames),
        transfer=speech(frames) + speech(extra),
        members=members,
        students=[student],
        targets=SoftTargetOptions(dense=False),
        nj=nj,
        on_gpu=on_gpu,
    )


SPEED = NetSpeed(step_seconds=0.02, forward_seconds=1e-6)


def times(asked: Work) -> dict[str, float]:
    return time_seconds(asked, {one.name: SPEED for one in asked.trainings}, 1e-7)


# Time


@examples(max_examples=50)
@given(jobs=st.lists(st.floats(0.1, 100), min_size=1, max_size=12), nj=st.integers(1, 6))
def test_side_by_side_takes_at_least_the_longest_job_and_each_places_share(jobs: Sequence[float], nj: int) -> None:
    together = side_by_side(jobs, nj)
    assert together >= max(jobs) - 1e-9
    assert sum(jobs) / nj - 1e-9 <= together <= sum(jobs) + 1e-9
    assert together <= sum(jobs) / nj + max(jobs) + 1e-9


@pytest.mark.parametrize(("nj", "expected"), [(1, 12.0), (2, 7.0), (3, 5.0), (9, 5.0)])
def test_a_job_starts_as_soon_as_a_place_is_free(nj: int, expected: float) -> None:
    assert side_by_side([5, 4, 1, 2], nj) == expected


def test_one_training_is_its_steps_and_its_looks_at_the_dev_set() -> None:
    asked = work(frames=1_000_500)
    assert run_seconds(asked, asked.members, SPEED) == pytest.approx(4 * (1001 * 0.02 + 65536e-6))
    rarely = replace(asked.members, train=replace(asked.members.train, watch_every=3))
    assert run_seconds(asked, rarely, SPEED) == pytest.approx(4 * 1001 * 0.02 + 2 * 65536e-6)


def test_every_part_is_counted() -> None:
    found = times(work(extra=500_000))
    member, student = 4 * (1000 * 0.02 + 65536e-6), 4 * (1500 * 0.02 + 65536e-6)
    assert found["one run: members"] == pytest.approx(member)
    assert found["members"] == pytest.approx(2 * member)
    assert found["students"] == pytest.approx(student)
    assert found["soft_targets"] == pytest.approx(1_500_000 * (3 * 1e-6 + 1e-7) / 2)


def test_members_in_one_step_take_its_time_and_a_look_at_each() -> None:
    asked = work(on_gpu=True)
    asked = replace(asked, members=replace(asked.members, together=3))
    found = times(asked)
    assert found["members"] == found["one run: members"] == pytest.approx(4 * (1000 * 0.02 + 3 * 65536e-6))
    one, three = (gpu_memory_bytes(each, each.members) for each in (work(on_gpu=True), asked))
    assert three["network"] == 3 * one["network"]
    assert three["features"] == one["features"] + 2 * 4 * 1_000_000, "an order of its own for each"


def test_members_are_planned_together_where_half_of_the_memory_holds_them() -> None:
    members, heard = work(copies=3).members, speech(1_000_000)
    needed = heard.feats_bytes + 8 * 1_000_000 + 3 * member_bytes(members.shape.num_parameters, 100, 1000, 1_000_000)
    assert trained_together(members, heard, device_bytes=2 * needed) == 3
    assert trained_together(members, heard, device_bytes=2 * needed - 1) == 1
    ending = replace(members, train=replace(members.train, early_stopping=2))
    assert trained_together(ending, heard, device_bytes=10 * needed) == 1


def test_a_gpu_trains_one_network_after_the_other_and_packs_in_threads() -> None:
    found = times(work(on_gpu=True, nj=4))
    assert found["members"] == pytest.approx(3 * found["one run: members"])
    assert found["soft_targets"] == pytest.approx(1_000_000 * (3 * 1e-6 + 1e-7 / 4))


@pytest.mark.parametrize("more", [{"frames": 2_000_000}, {"copies": 5}, {"nj": 1}, {"num_epochs": 5}])
def test_more_work_takes_more_time(more: dict[str, int]) -> None:
    assert sum(times(work(**more)).values()) > sum(times(work()).values())  # type: ignore[arg-type]


# Memory and disk


def test_processes_side_by_side_share_features_and_soft_targets() -> None:
    asked = work()
    for training in asked.trainings:
        one, two = (training_memory(asked, training, processes=number) for number in (1, 2))
        shared = 2 * one - two
        soft = 66 * 1_000_000 if training.weights else 0
        assert shared == asked.labelled.feats_bytes + soft


def test_soft_targets_of_several_stores_are_shared_too() -> None:
    asked = work(extra=500_000)
    one, two = (training_memory(asked, asked.students[0], processes=number) for number in (1, 2))
    assert 2 * one - two == asked.transfer.feats_bytes + 66 * 1_500_000


def test_frames_read_in_parts_take_two_buffers() -> None:
    parts = work(shuffle=ShuffleOptions(shuffle_frames=100_000))
    whole = work(shuffle=ShuffleOptions(shuffle_frames=1_000_000))
    assert whole.members.train != work().members.train
    assert memory_bytes(whole) == memory_bytes(work())
    saved = training_memory(whole, whole.members, processes=1) - training_memory(parts, parts.members, processes=1)
    assert saved == pytest.approx(0.8 * whole.labelled.feats_bytes, rel=1e-6)


def test_soft_targets_are_the_students_alone() -> None:
    asked = work(extra=500_000)
    on_gpu = {training.name: gpu_memory_bytes(asked, training) for training in asked.trainings}
    assert on_gpu["members"]["soft_targets"] == 0
    assert on_gpu["student"]["soft_targets"] == 66 * 1_500_000
    assert on_gpu["student"]["features"] > on_gpu["members"]["features"]


def test_disk_holds_features_of_both_kinds_labels_of_one() -> None:
    found = disk_bytes(work(extra=500_000))
    assert found["features"] == speech(1_000_000).feats_bytes + speech(500_000).feats_bytes + 128
    assert found["labels"] == 4 * 1_000_000 + 128
    assert found["models"] == 4 * work().members.shape.model_bytes


# GPUs


@pytest.mark.parametrize(("batch_size", "share"), [(256, 0.14), (1024, 0.45), (4096, 0.69), (16_384, 0.83)])
def test_the_papers_network_on_an_h200_is_as_fast_as_was_worked_out_by_hand(batch_size: int, share: float) -> None:
    card = CARDS["H200"]
    products = card.bf16_tflops * 1e12 * PRODUCTS_OF_SHEET
    found = batch_size * PAPER.training_flops / products / card.step_seconds(PAPER, batch_size, "adam")
    assert found == pytest.approx(share, abs=0.07)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_never_exceeds_its_data_sheet_and_larger_batches_use_it_better(name: str) -> None:
    card = CARDS[name]
    for shape in (PAPER, NetShape(input_dim=1040, num_layers=4, hidden_dim=512, num_pdfs=500)):
        rates = [size / card.step_seconds(shape, size, "adam") for size in (64, 256, 1024, 4096, 16_384)]
        assert rates == sorted(rates)
        assert rates[-1] * shape.training_flops < card.bf16_tflops * 1e12
        assert card.forward_seconds(shape) * card.bf16_tflops * 1e12 > shape.forward_flops
        alone, ten = (card.step_seconds(shape, 1024, "adam", together=number) for number in (1, 10))
        assert alone < ten < 10 * alone, "launches are shared, products are not"


def test_a_prediction_names_every_kind_of_network() -> None:
    asked = work()
    found = predicted(CARDS["L4"], asked.trainings)
    assert set(found) == {"members", "student"}
    assert found["members"].step_seconds == CARDS["L4"].step_seconds(asked.members.shape, 1000, "adam")
