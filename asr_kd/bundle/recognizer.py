"""Recognise audio files with a bundle.

Legend: T frames, D features of one frame, P pdfs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from asr_kd.bundle.contents import BUNDLE_FILE, RecognitionSettings, read_bundle
from asr_kd.corpus.audio import Channel, read_audio_file
from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.search import Hypothesis, search
from asr_kd.errors import DataError
from asr_kd.frames.cmvn import CmvnOptions, Moments, normalize
from asr_kd.frames.fbank import Fbank, FbankOptions
from asr_kd.frames.store import gather_windows
from asr_kd.hmm.posteriors import CHUNK_FRAMES
from asr_kd.nets.acoustic_model import AcousticModel


class Recognizer:
    """A bundle, loaded and checked.

    Example::

        from asr_kd.bundle.recognizer import Recognizer
        print(*Recognizer("exp/bundle").recognize("call.wav").words)

    Each recording is normalised by its own mean and variance, together with the training corpus' where the
    model was trained so (``--cmvn-prior-frames``).

    Raises:
        DataError: not a bundle, or one of its files is missing or altered.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        about = read_bundle(path)
        self._model = AcousticModel.load(path)
        self._graph = DecodingGraph.load(path)
        try:
            features = about["features"]
            self._settings = RecognitionSettings(**about["recognition"])
            self._options = FbankOptions(**features["fbank"])
            self._cmvn = CmvnOptions(**features["cmvn"])
            self._prior = Moments.from_dict(features["prior"])
            self._left, self._right = int(features["left_context"]), int(features["right_context"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path / BUNDLE_FILE}: incomplete or of another program ({error})") from error
        self._fbank = Fbank(self._options)

    def recognize(self, audio: Path | str, *, channel: Channel = "refuse") -> Hypothesis:
        """The best words of one audio file.

        Args:
            channel: of a recording with several: refuse, mix, or its number.

        Raises:
            DataError: the file cannot be read, or is shorter than one frame.
        """
        return next(self.recognize_all([Path(audio)], channel=channel))

    def recognize_all(self, files: Iterable[Path], *, channel: Channel = "refuse", nj: int = 1) -> Iterator[Hypothesis]:
        """The best words of each file, in order; an utterance's id is its file's name without the ending."""
        scores = ((file.stem, self.log_likelihoods(file, channel=channel)) for file in files)
        yield from search(
            self._graph,
            scores,
            acoustic_scale=self._settings.acoustic_scale,
            insertion_penalty=self._settings.insertion_penalty,
            beam=self._settings.beam,
            max_active=self._settings.max_active,
            nj=nj,
        )

    def log_likelihoods(self, audio: Path, *, channel: Channel = "refuse") -> np.ndarray:
        """Scaled log likelihoods ``[T, P]`` of a file's frames: log posterior less log prior."""
        samples = read_audio_file(audio, sample_rate=self._options.sample_rate, channel=channel)
        feats = self._fbank([samples])[0].numpy()
        if not len(feats):
            raise DataError(f"{audio}: shorter than one frame of {self._options.frame_length_ms} ms")
        if self._cmvn.cmvn != "none":
            normalize(feats, Moments.of(feats), self._prior, self._cmvn.cmvn_prior_frames)
        padded = torch.from_numpy(np.pad(feats, ((self._left, self._right), (0, 0)), mode="edge"))
        context = self._left + 1 + self._right
        parts = [
            self._model.log_posteriors(gather_windows(padded, rows, context))
            for rows in torch.arange(len(feats)).split(CHUNK_FRAMES)
        ]
        scores: np.ndarray = (torch.cat(parts) - self._model.log_prior).numpy()
        return scores
