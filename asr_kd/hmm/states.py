"""The state inventory: which pdf each HMM state of each phone uses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr_kd.errors import MismatchError
from asr_kd.lang.lexicon import Lexicon
from asr_kd.stage import digest, write_json

STATES_FILE = "states.json"


@dataclass(frozen=True)
class StateInventory:
    """Phones as left-to-right HMMs without skips, each state with a self-loop and a pdf of its own.

    Attributes:
        silence: the phone that may stand between words and at both ends.
        phones: each phone's pdf ids, left to right. All ids together are dense, ``0 .. num_pdfs - 1``, the
            silence phone's first.
    """

    silence: str
    phones: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        used = {pdf for pdfs in self.phones.values() for pdf in pdfs}
        if self.silence not in self.phones or not all(self.phones.values()) or used != set(range(len(used))):
            raise ValueError("a state inventory needs a silence phone, a state in each phone and dense pdf ids")

    @cached_property
    def num_pdfs(self) -> int:
        """How many pdfs there are: the number of a network's outputs."""
        return 1 + max(pdf for pdfs in self.phones.values() for pdf in pdfs)

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
            phones = {str(phone): tuple(map(int, pdfs)) for phone, pdfs in content["phones"].items()}
            return StateInventory(str(content["silence"]), phones)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MismatchError(f"{path}: not a state inventory ({error}); make it with asr-kd make-lang") from error

    def _content(self) -> dict[str, object]:
        return {"silence": self.silence, "phones": {phone: list(pdfs) for phone, pdfs in self.phones.items()}}


def monophone_states(lexicon: Lexicon, silence: str, num_states: int, silence_states: int) -> StateInventory:
    """Give every state of every phone of the lexicon, and of silence, a pdf of its own.

    Args:
        lexicon: its phones get ``num_states`` states each.
        silence: the optional silence's phone; it need not be in the lexicon.
        num_states: HMM states a phone.
        silence_states: HMM states of the silence phone.
    """
    phones = {silence: tuple(range(silence_states))}
    for phone in lexicon.phones:
        if phone not in phones:
            first = silence_states + (len(phones) - 1) * num_states
            phones[phone] = tuple(range(first, first + num_states))
    return StateInventory(silence, phones)
