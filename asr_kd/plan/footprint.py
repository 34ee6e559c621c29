"""Bytes and floating-point operations of a corpus, a network and its soft targets: arithmetic, nothing measured.

Legend: N frames, D features of one frame, W width of a window, H hidden units, P pdfs.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.store import FrameStore
from asr_kd.nets.dnn import NetOptions
from asr_kd.targets.record import RecordLayout
from asr_kd.targets.store import CHUNK_FRAMES, SoftTargetOptions, block_frames
from asr_kd.train.muon import STEPS

NPY_HEADER_BYTES = 128
PROGRAM_BYTES = 500_000_000  # resident with torch imported and nothing else
CARD_BYTES = 4096  # a model's description of itself, in its file
LABEL_BYTES = 4  # on disk
DENSE_PROB_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class Speech:
    """How much there is of a data set, and the windows a network sees of it.

    Args:
        dim: D.
        left, right: frames of a window beside the labelled one, and of padding at an utterance's edges.
    """

    num_frames: int
    num_utterances: int
    dim: int
    left: int
    right: int

    @staticmethod
    def of_hours(hours: float, utterance_seconds: float, features: FeatureOptions) -> "Speech":
        """Speech of a given length in utterances of a given mean length."""
        return Speech(
            num_frames=round(hours * 3_600_000 / features.fbank.frame_shift_ms),
            num_utterances=math.ceil(hours * 3600 / utterance_seconds),
            dim=features.fbank.num_mel_bins,
            left=features.left_context,
            right=features.right_context,
        )

    @staticmethod
    def of_stores(stores: Sequence[FrameStore], *, like: FrameStore) -> "Speech":
        """What frame stores hold, perhaps none, whose features are those of another."""
        return Speech(
            num_frames=sum(store.num_frames for store in stores),
            num_utterances=sum(len(store.index.utterances) for store in stores),
            dim=like.dim,
            left=like.left,
            right=like.right,
        )

    @property
    def input_dim(self) -> int:
        """W."""
        return (self.left + 1 + self.right) * self.dim

    @property
    def feats_bytes(self) -> int:
        """The features with every utterance's padding, float32."""
        return (self.num_frames + self.num_utterances * (self.left + self.right)) * self.dim * 4

    def __add__(self, other: "Speech") -> "Speech":
        """Both data sets; the features are this one's."""
        return Speech(
            num_frames=self.num_frames + other.num_frames,
            num_utterances=self.num_utterances + other.num_utterances,
            dim=self.dim,
            left=self.left,
            right=self.right,
        )


@dataclass(frozen=True, kw_only=True)
class NetShape:
    """What decides a network's size and work: W, the hidden layers and P."""

    input_dim: int
    num_layers: int
    hidden_dim: int
    num_pdfs: int

    @staticmethod
    def of(net: NetOptions, *, input_dim: int, num_pdfs: int) -> "NetShape":
        """The shape of a network with these options."""
        return NetShape(input_dim=input_dim, num_layers=net.num_layers, hidden_dim=net.hidden_dim, num_pdfs=num_pdfs)

    @property
    def num_weights(self) -> int:
        """Weights of the matrices, without biases."""
        dims = [self.input_dim, *[self.hidden_dim] * self.num_layers, self.num_pdfs]
        return sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(dims))

    @property
    def num_parameters(self) -> int:
        """Weights and biases."""
        return self.num_weights + self.num_layers * self.hidden_dim + self.num_pdfs

    @property
    def forward_flops(self) -> int:
        """Operations of one frame forward: a multiplication and an addition for each weight."""
        return 2 * self.num_weights

    @property
    def training_flops(self) -> int:
        """Operations of one frame in a training step: forward, both gradients, without that of the input."""
        return 3 * self.forward_flops - 2 * self.input_dim * self.hidden_dim

    def update_flops(self, optimizer: str) -> int:
        """Operations of a step that do not grow with the batch: muon's steps, each of three products."""
        if optimizer != "muon":
            return 0
        hidden = itertools.pairwise([self.input_dim, *[self.hidden_dim] * self.num_layers])
        sides = [(min(matrix), max(matrix)) for matrix in hidden]
        return sum(len(STEPS) * (4 * short**2 * long + 2 * short**3) for short, long in sides)

    @property
    def model_bytes(self) -> int:
        """A model's file: parameters, the states' prior and the card."""
        return 4 * (self.num_parameters + self.num_pdfs) + CARD_BYTES

    def checkpoint_bytes(self, optimizer: str) -> int:
        """The file an interrupted run carries on from: parameters and the optimiser's state."""
        return 4 * (self.num_parameters + self._moments(optimizer)) + CARD_BYTES

    def state_bytes(self, optimizer: str) -> int:
        """Resident while it is trained: parameters, gradients, the optimiser's state, bf16 copies of the weights."""
        return 10 * self.num_parameters + 4 * self._moments(optimizer)

    def _moments(self, optimizer: str) -> int:
        """Values an optimiser remembers: two of a weight, one with sgd and of a hidden layer's matrix with muon."""
        if optimizer == "sgd":
            return self.num_parameters
        hidden = self.num_weights - self.hidden_dim * self.num_pdfs
        return 2 * self.num_parameters - (hidden if optimizer == "muon" else 0)

    def activation_bytes(self, batch_size: int) -> int:
        """Roughly what a step holds of its batch: windows, each layer's output, mask and gradient, logits in fp32."""
        return batch_size * (6 * self.input_dim + 10 * self.num_layers * self.hidden_dim + 18 * self.num_pdfs)


def soft_target_bytes(num_pdfs: int, options: SoftTargetOptions) -> int:
    """Bytes of one frame's soft target.

    Raises:
        UsageError: no draws from the tail.
    """
    if options.keeps_all(num_pdfs):
        return DENSE_PROB_BYTES * num_pdfs
    return record_layout(num_pdfs, min(options.top_k, num_pdfs), options.tail_samples).num_bytes


def record_layout(num_pdfs: int, top: int, tail: int) -> RecordLayout:
    """The layout of records that keep ``top``; there is no tail to draw from where that is everything."""
    return RecordLayout(num_pdfs, top, tail if top < num_pdfs else 0)


def averaging_bytes(num_pdfs: int, num_members: int, num_frames: int) -> int:
    """Resident in each thread that averages an ensemble: the members' logits, these over T, their softmax, the mean."""
    chunk = min(CHUNK_FRAMES, num_frames)
    block = min(block_frames(num_pdfs, num_members), chunk)
    return num_pdfs * 4 * ((3 * num_members + 1) * block + 3 * chunk)
