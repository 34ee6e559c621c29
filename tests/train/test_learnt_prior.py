"""The prior that a net has learnt stands for the labels' counts where there are none."""

import torch
from training_problem import Problem

from asr_kd.train.model_training import learnt_log_prior


def test_it_is_the_mean_posterior_of_all_units_though_training_leaves_some_out(problem: Problem) -> None:
    net = problem.with_options(dropout=0.5).new_net().train()
    found = learnt_log_prior(net, problem.frames, dtype="fp32")
    with torch.no_grad():
        posteriors = net.eval()(problem.store.windows(slice(0, problem.store.num_frames))).double().softmax(dim=1)
    counts = posteriors.sum(dim=0) + 1
    torch.testing.assert_close(found, (counts / counts.sum()).log().float())
