"""The transition model at the head of a Kaldi model: which pdf each transition id stands for.

Kaldi's ``final.mdl`` of any kind (GMM, nnet2, nnet3) begins with it, in binary or text form. Alignments and graphs
hold transition ids; networks know pdfs (https://kaldi-asr.org/doc/hmm.html).

Legend: S transition states, I transition ids.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asr_kd.kaldi.object_reader import ObjectReader
from asr_kd.stage import digest

Topology = Sequence[Sequence[Sequence[int]]]
"""Of each kind of phone, of each of its states, the states that its transitions lead to."""


@dataclass(frozen=True, eq=False)
class TransitionModel:
    """What a transition model says of states; its probabilities are left out.

    Attributes:
        phones: the topology (its place in ``topologies``) of each phone.
        topologies: of each kind of phone, the target states of the transitions of each state.
        states: ``[S, 4]`` int32: phone, HMM state, pdf, and the pdf of its self-loop, which differs in chain models.
    """

    phones: dict[int, int]
    topologies: Topology
    states: np.ndarray

    @cached_property
    def pdf_of(self) -> np.ndarray:
        """The pdf of each transition id ``[I + 1]`` int32; transition ids begin with 1, and 0 has -1."""
        found = [-1]
        for phone, hmm_state, pdf, loop_pdf in self.states.tolist():
            targets = self.topologies[self.phones[phone]][hmm_state]
            found += [loop_pdf if target == hmm_state else pdf for target in targets]
        return np.array(found, dtype=np.int32)

    @cached_property
    def num_pdfs(self) -> int:
        """How many pdfs there are."""
        return 1 + int(self.states[:, 2:].max())

    def pdfs_of_phones(self, phones: Container[int]) -> frozenset[int]:
        """The pdfs of the states of some phones."""
        return frozenset(pdf for phone, _, *pdfs in self.states.tolist() if phone in phones for pdf in pdfs)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits: the same for models of one tree and topology, whatever their probabilities."""
        return digest([sorted(self.phones.items()), self.topologies, self.states.tolist()])


def read_transition_model(path: Path) -> TransitionModel:
    """Read the transition model of a Kaldi model; what follows it in the file is left alone.

    Raises:
        DataError: the file is missing, truncated or no Kaldi model.
    """
    reader = ObjectReader.open(path)
    reader.expect("<TransitionModel>")
    phones, topologies = _read_topology(reader)
    kind = reader.expect("<Triples>", "<Tuples>")
    fields = 4 if kind == "<Tuples>" else 3
    count = reader.integer()
    rows = [[reader.integer() for _ in range(fields)] for _ in range(max(count, 0))]
    reader.expect("</Triples>", "</Tuples>")
    for phone, hmm_state, pdf, *_ in rows:
        if phone not in phones or not 0 <= hmm_state < len(topologies[phones[phone]]) or pdf < 0:
            raise reader.fault(f"a state {hmm_state} of phone {phone} with pdf {pdf}, which its topology lacks")
    if not rows:
        raise reader.fault("a transition model without states")
    model = TransitionModel(phones, topologies, np.array([[*row, row[2]][:4] for row in rows], dtype=np.int32))
    reader.expect("<LogProbs>")
    if (found := len(reader.vector())) != len(model.pdf_of):
        raise reader.fault(f"{found} probabilities for {len(model.pdf_of)} transition ids")
    reader.expect("</LogProbs>")
    reader.expect("</TransitionModel>")
    return model


def _read_topology(reader: ObjectReader) -> tuple[dict[int, int], Topology]:
    reader.expect("<Topology>")
    phones, topologies = _binary_topology(reader) if reader.binary else _text_topology(reader)
    return phones, topologies


def _binary_topology(reader: ObjectReader) -> tuple[dict[int, int], Topology]:
    own_phones, kind_of = reader.integers().tolist(), reader.integers().tolist()
    count = reader.integer()
    loops_apart = count == -1  # the sign of the form in which a self-loop may have a pdf of its own
    if loops_apart:
        count = reader.integer()
    topologies = []
    for _ in range(count):
        topology = []
        for _ in range(reader.integer()):
            for _ in range(2 if loops_apart else 1):
                reader.integer()
            targets = []
            for _ in range(reader.integer()):
                targets.append(reader.integer())
                reader.real()
            topology.append(targets)
        topologies.append(topology)
    reader.expect("</Topology>")
    if any(not 0 <= phone < len(kind_of) or not 0 <= kind_of[phone] < count for phone in own_phones):
        raise reader.fault("a phone without a topology")
    return {phone: kind_of[phone] for phone in own_phones}, topologies


def _text_topology(reader: ObjectReader) -> tuple[dict[int, int], Topology]:
    phones: dict[int, int] = {}
    topologies: list[list[list[int]]] = []
    while reader.expect("<TopologyEntry>", "</Topology>") == "<TopologyEntry>":
        reader.expect("<ForPhones>")
        while (word := reader.token()) != "</ForPhones>":
            if not word.isdecimal():
                raise reader.fault(f"expected a phone's number, found '{word}'")
            phones[int(word)] = len(topologies)
        topology: list[list[int]] = []
        while reader.expect("<State>", "</TopologyEntry>") == "<State>":
            reader.integer()
            targets = []
            following = ("<PdfClass>", "<ForwardPdfClass>", "<SelfLoopPdfClass>", "<Transition>", "</State>")
            while (token := reader.expect(*following)) != "</State>":
                if token == "<Transition>":
                    targets.append(reader.integer())
                    reader.real()
                else:
                    reader.integer()
            topology.append(targets)
        topologies.append(topology)
    return phones, topologies
