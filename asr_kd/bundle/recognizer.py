"""Recognise audio files with a bundle.

Legend: S samples, T frames, D features of one frame, W width of a window, P pdfs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from asr_kd.bundle.contents import BUNDLE_FILE, RecognitionSettings, read_bundle, weights_file
from asr_kd.bundle.front_end import FrontEnd
from asr_kd.bundle.network import load_network
from asr_kd.corpus.audio import Channel, read_audio_file
from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.search import Hypothesis, search
from asr_kd.errors import DataError
from asr_kd.lang.units import is_piece_vocabulary, to_words

BATCH_FRAMES = 4096


class Recognizer:
    """A bundle, loaded and checked.

    Example::

        from asr_kd.bundle.recognizer import Recognizer
        print(*Recognizer("exp/bundle").recognize("call.wav").words)

    Each recording is normalised by its own mean and variance, together with the training corpus' where the
    model was trained so (``--cmvn-prior-frames``). What comes as a stream goes to `asr_kd.bundle.stream.Stream`.

    Args:
        num_threads: of the network.

    Attributes:
        network, graph, front_end, settings: the parts.

    Raises:
        DataError: not a bundle, one of its files is missing or altered, or what runs its network is not installed.
    """

    def __init__(self, path: Path | str, *, num_threads: int = 1) -> None:
        path = Path(path)
        about = read_bundle(path)
        try:
            self.settings = RecognitionSettings(**about["recognition"])
            self.front_end = FrontEnd.of(about["features"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path / BUNDLE_FILE}: incomplete or of another program ({error})") from error
        self.network = load_network(path, weights_file(about["checksums"]), num_threads=num_threads)
        self.graph = DecodingGraph.load(path)
        self._of_pieces = is_piece_vocabulary(self.graph.words[label] for label in range(len(self.graph.words)))

    def recognize(self, audio: Path | str, *, channel: Channel = "refuse") -> Hypothesis:
        """The best words of one audio file; its name without the ending is the utterance's id.

        Args:
            channel: of a recording with several: refuse, mix, or its number.

        Raises:
            DataError: the file cannot be read, or is shorter than one frame.
        """
        audio = Path(audio)
        return next(self.search([(audio.stem, self.log_likelihoods(self.log_mel(audio, channel=channel)))]))

    def read(self, audio: Path, *, channel: Channel = "refuse") -> np.ndarray:
        """The samples ``[S]`` of a file, at the model's rate.

        Raises:
            DataError: the file cannot be read.
        """
        return read_audio_file(audio, sample_rate=self.front_end.log_mel.sample_rate, channel=channel)

    def log_mel(self, audio: Path, *, channel: Channel = "refuse") -> np.ndarray:
        """The filter banks ``[T, D]`` of a file, before they are normalised.

        Raises:
            DataError: the file cannot be read, or is shorter than one frame.
        """
        found = self.front_end.log_mel(self.read(audio, channel=channel))
        if not len(found):
            raise DataError(f"{audio}: shorter than one frame of {self.front_end.log_mel.window} samples")
        return found

    def log_likelihoods(self, log_mel_TD: np.ndarray) -> np.ndarray:
        """Scaled log likelihoods ``[T, P]`` of the frames of a recording: log posterior less log prior."""
        windows_TW = self.front_end.windows(log_mel_TD)
        if not len(windows_TW):
            return np.zeros((0, self.graph.num_pdfs), np.float32)
        batches = range(0, len(windows_TW), BATCH_FRAMES)
        return np.concatenate([self.network.log_likelihoods(windows_TW[b : b + BATCH_FRAMES]) for b in batches])

    def search(self, scores: Iterable[tuple[str, np.ndarray]], *, nj: int = 1) -> Iterator[Hypothesis]:
        """The best words of named matrices of `log_likelihoods`, in order.

        Args:
            nj: processes.
        """
        found = search(
            self.graph,
            scores,
            acoustic_scale=self.settings.acoustic_scale,
            insertion_penalty=self.settings.insertion_penalty,
            beam=self.settings.beam,
            max_active=self.settings.max_active,
            nj=nj,
        )
        return (replace(one, words=self.words(one.words)) for one in found)

    def words(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """The graph's symbols as words: pieces are joined."""
        return to_words(symbols) if self._of_pieces else tuple(symbols)
