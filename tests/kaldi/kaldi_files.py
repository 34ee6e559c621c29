"""Small files as Kaldi's programs write them, byte for byte from its documented formats."""

import gzip
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from asr_kd.options import parse


def sized(value: int) -> bytes:
    """An int32 with its length before it."""
    return b"\x04" + struct.pack("<i", value)


def sized_float(value: float) -> bytes:
    return b"\x04" + struct.pack("<f", value)


def plain_integers(values: Sequence[int]) -> bytes:
    return b"\x04" + struct.pack("<i", len(values)) + struct.pack(f"<{len(values)}i", *values)


def float_vector(values: Sequence[float]) -> bytes:
    return b"FV " + sized(len(values)) + struct.pack(f"<{len(values)}f", *values)


@dataclass(frozen=True)
class Model:
    """A transition model.

    Attributes:
        entries: phones that share a topology; of each of its states the pdf classes (None where it emits nothing) and
            the transitions' targets.
        tuples: phone, HMM state, pdf and, in models of the newer form, the self-loop's pdf.
    """

    entries: Sequence[tuple[Sequence[int], Sequence[tuple[tuple[int, ...] | None, Sequence[int]]]]]
    tuples: Sequence[tuple[int, ...]]

    @property
    def loops_apart(self) -> bool:
        return len(self.tuples[0]) == 4

    @property
    def num_transition_ids(self) -> int:
        kind_of = {phone: states for phones, states in self.entries for phone in phones}
        return sum(len(kind_of[phone][state][1]) for phone, state, *_ in self.tuples)

    def binary(self) -> bytes:
        phones = sorted(phone for own, _ in self.entries for phone in own)
        kind_of = [-1] * (max(phones) + 1)
        for number, (own, _) in enumerate(self.entries):
            for phone in own:
                kind_of[phone] = number
        out = b"\0B<TransitionModel> <Topology> " + plain_integers(phones) + plain_integers(kind_of)
        out += (sized(-1) if self.loops_apart else b"") + sized(len(self.entries))
        for _, states in self.entries:
            out += sized(len(states))
            for classes, targets in states:
                own_classes = classes or ((-1, -1) if self.loops_apart else (-1,))
                out += b"".join(map(sized, own_classes)) + sized(len(targets))
                out += b"".join(sized(target) + sized_float(1 / len(targets)) for target in targets)
        name = b"Tuples" if self.loops_apart else b"Triples"
        out += b"</Topology> <" + name + b"> " + sized(len(self.tuples))
        out += b"".join(sized(value) for row in self.tuples for value in row) + b"</" + name + b"> "
        log_probs = [0.0, *([-0.5] * self.num_transition_ids)]
        return out + b"<LogProbs> " + float_vector(log_probs) + b"</LogProbs> </TransitionModel> "

    def text(self) -> bytes:
        out = "<TransitionModel> \n<Topology> \n"
        for phones, states in self.entries:
            out += f"<TopologyEntry> \n<ForPhones> \n{' '.join(map(str, phones))} \n</ForPhones> \n"
            for number, (classes, targets) in enumerate(states):
                out += f"<State> {number} "
                names = ("ForwardPdfClass", "SelfLoopPdfClass") if self.loops_apart else ("PdfClass",)
                out += "".join(f"<{name}> {value} " for name, value in zip(names, classes or (), strict=False))
                out += "".join(f"<Transition> {target} {1 / len(targets):g} " for target in targets) + "</State> \n"
            out += "</TopologyEntry> \n"
        name = "Tuples" if self.loops_apart else "Triples"
        rows = "".join(" ".join(map(str, row)) + " \n" for row in self.tuples)
        log_probs = " ".join(["0", *(["-0.5"] * self.num_transition_ids)])
        out += f"</Topology> \n<{name}> {len(self.tuples)} \n{rows}</{name}> \n"
        return f"{out}<LogProbs> \n [ {log_probs} ]\n</LogProbs> \n</TransitionModel> \n".encode()


GMM_AFTER_IT = b"<DIMENSION> " + sized(39) + b"<NUMPDFS> " + sized(6)


def left_to_right(first_pdf: int, phone: int, num_states: int) -> list[tuple[int, int, int]]:
    """Triples of a phone each of whose states has a pdf of its own."""
    return [(phone, state, first_pdf + state) for state in range(num_states)]


# Phone 1 is silence, of three states between the first two of which one can go back and forth; 2 and 3 are of two
# states, and share the pdf of their second one.
SILENCE = [((0,), [0, 1]), ((1,), [0, 1, 2]), ((2,), [2, 3]), (None, [])]
SPEECH = [((0,), [0, 1]), ((1,), [1, 2]), (None, [])]
TRIPLES = Model(
    [([1], SILENCE), ([2, 3], SPEECH)],
    [(1, 0, 0), (1, 1, 1), (1, 2, 2), (2, 0, 3), (2, 1, 4), (3, 0, 5), (3, 1, 4)],
)
PDF_OF_TRIPLES = [-1, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 4, 4]

# A chain model: one emitting state, whose self-loop has a pdf of its own.
CHAIN = Model([([1, 2], [((0, 1), [0, 1]), (None, [])])], [(1, 0, 0, 1), (2, 0, 2, 3)])
PDF_OF_CHAIN = [-1, 1, 0, 3, 2]


def binary_vectors(vectors: Mapping[str, Iterable[int]]) -> bytes:
    """An archive of vectors of int32."""
    out = b""
    for key, values in vectors.items():
        numbers = list(values)
        out += key.encode() + b" \0B" + sized(len(numbers)) + b"".join(map(sized, numbers))
    return out


def text_vectors(vectors: Mapping[str, Iterable[int]]) -> bytes:
    return "".join(f"{key} {' '.join(map(str, values))} \n" for key, values in vectors.items()).encode()


def write_alignments(directory: Path, jobs: Sequence[Mapping[str, Iterable[int]]], model: Model) -> None:
    """A directory as ``steps/align_fmllr.sh`` leaves it: ``ali.*.gz``, ``num_jobs``, ``final.mdl``."""
    directory.mkdir(parents=True)
    for number, vectors in enumerate(jobs, 1):
        (directory / f"ali.{number}.gz").write_bytes(gzip.compress(binary_vectors(vectors)))
    (directory / "num_jobs").write_text(f"{len(jobs)}\n")
    (directory / "final.mdl").write_bytes(model.binary() + GMM_AFTER_IT)


def write_occs(path: Path, counts: np.ndarray, *, text: bool = False) -> None:
    """Frames of each pdf; the text form has seven digits."""
    as_text = f" [ {' '.join(f'{count:.7g}' for count in counts)} ]\n".encode()
    path.write_bytes(as_text if text else b"\0B" + float_vector([float(count) for count in counts]))


def run(command: ModuleType, *words: object) -> None:
    """Run a command of asr_kd; its errors are raised."""
    name = command.__name__.rpartition(".")[2].replace("_", "-")
    command.run(parse(command.Options, [str(word) for word in words], command=name, description=""))
