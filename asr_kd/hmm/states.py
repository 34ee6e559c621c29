"""The state inventory: which pdf each HMM state of each phone uses, in each context."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asr_kd.errors import MismatchError
from asr_kd.lang.lexicon import Lexicon
from asr_kd.stage import digest, write_json

STATES_FILE = "states.json"


@dataclass(frozen=True)
class Question:
    """A node of a decision tree: is the neighbouring phone one of these?

    Attributes:
        side: ``left`` or ``right``.
        phones: the phones for which the answer is yes.
    """

    side: str
    phones: frozenset[str]
    yes: "Tree"
    no: "Tree"

    def pdf(self, left: str, right: str) -> int:
        """The pdf of a state between two phones."""
        node: Tree = self
        while isinstance(node, Question):
            node = node.yes if (left if node.side == "left" else right) in node.phones else node.no
        return node


Tree = int | Question


@dataclass(frozen=True)
class StateInventory:
    """Phones as left-to-right HMMs without skips; each state has a self-loop and a pdf, or a tree of pdfs.

    Attributes:
        silence: the phone that may stand between words and at both ends, where it is also the neighbour of the
            first and the last phone.
        phones: each phone's states, left to right: a pdf id, or the decision tree over the phone before and the
            phone after. All ids together are dense, ``0 .. num_pdfs - 1``, the silence phone's first.
    """

    silence: str
    phones: Mapping[str, tuple[Tree, ...]]

    def __post_init__(self) -> None:
        used = {pdf for states in self.phones.values() for state in states for pdf in leaves(state)}
        if self.silence not in self.phones or not all(self.phones.values()) or used != set(range(len(used))):
            raise ValueError("a state inventory needs a silence phone, a state in each phone and dense pdf ids")

    def pdfs(self, phone: str, left: str, right: str) -> tuple[int, ...]:
        """The pdf ids of a phone's states between two phones."""
        return tuple(state.pdf(left, right) if isinstance(state, Question) else state for state in self.phones[phone])

    @cached_property
    def num_pdfs(self) -> int:
        """How many pdfs there are: the number of a network's outputs."""
        return 1 + max(pdf for states in self.phones.values() for state in states for pdf in leaves(state))

    @cached_property
    def silence_pdfs(self) -> frozenset[int]:
        """The pdf ids of the silence phone."""
        return frozenset(pdf for state in self.phones[self.silence] for pdf in leaves(state))

    @cached_property
    def context_dependent(self) -> bool:
        """Whether any pdf depends on the neighbouring phones."""
        return any(isinstance(state, Question) for states in self.phones.values() for state in states)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that two inventories share only when they are the same."""
        return digest(self._content())

    def save(self, lang_dir: Path) -> None:
        """Write ``states.json`` in a directory."""
        write_json(lang_dir / STATES_FILE, self._content() | {"num_pdfs": self.num_pdfs})

    @staticmethod
    def load(lang_dir: Path) -> "StateInventory":
        """Read a directory's ``states.json``.

        Raises:
            MismatchError: the file is missing or is no state inventory.
        """
        path = lang_dir / STATES_FILE
        try:
            content = json.loads(path.read_text())
            phones = {str(phone): tuple(map(_tree, states)) for phone, states in content["phones"].items()}
            return StateInventory(str(content["silence"]), phones)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise MismatchError(f"{path}: not a state inventory ({error}); make it with asr-kd make-lang") from error

    def _content(self) -> dict[str, object]:
        return {
            "silence": self.silence,
            "phones": {phone: list(map(_content, states)) for phone, states in self.phones.items()},
        }


def leaves(tree: Tree) -> Iterator[int]:
    """The pdf ids of a tree, those of the answer yes first."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Question):
            stack += [node.no, node.yes]
        else:
            yield node


def monophone_states(lexicon: Lexicon, silence: str, num_states: int, silence_states: int) -> StateInventory:
    """Give every state of every phone of the lexicon, and of silence, a pdf of its own.

    Args:
        lexicon: its phones get ``num_states`` states each.
        silence: the optional silence's phone; it need not be in the lexicon.
        num_states: HMM states a phone.
        silence_states: HMM states of the silence phone.
    """
    phones: dict[str, tuple[Tree, ...]] = {silence: tuple(range(silence_states))}
    for phone in lexicon.phones:
        if phone not in phones:
            first = silence_states + (len(phones) - 1) * num_states
            phones[phone] = tuple(range(first, first + num_states))
    return StateInventory(silence, phones)


def _content(tree: Tree) -> object:
    if not isinstance(tree, Question):
        return tree
    return {"side": tree.side, "phones": sorted(tree.phones), "yes": _content(tree.yes), "no": _content(tree.no)}


def _tree(content: Any) -> Tree:
    if not isinstance(content, dict):
        return int(content)
    if content["side"] not in ("left", "right"):
        raise ValueError(f"a question about '{content['side']}'")
    phones = frozenset(map(str, content["phones"]))
    return Question(content["side"], phones, _tree(content["yes"]), _tree(content["no"]))
