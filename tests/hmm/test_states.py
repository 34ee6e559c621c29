"""The state inventory: numbering, fingerprint, and its file."""

from pathlib import Path

import pytest

from asr_kd.errors import MismatchError
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon((("A", ("b", "a")), ("P", ("SIL",))))


def test_pdfs_are_dense_and_silence_comes_first() -> None:
    inventory = monophone_states(LEXICON, "SIL", num_states=3, silence_states=5)
    assert inventory.phones == {"SIL": (0, 1, 2, 3, 4), "a": (5, 6, 7), "b": (8, 9, 10)}
    assert inventory.num_pdfs == 11


def test_the_file_keeps_content_and_fingerprint(tmp_path: Path) -> None:
    inventory = monophone_states(LEXICON, "SIL", 3, 5)
    inventory.save(tmp_path)
    loaded = StateInventory.load(tmp_path)
    assert loaded == inventory
    assert loaded.fingerprint == inventory.fingerprint
    assert len(loaded.fingerprint) == 16


def test_other_states_have_another_fingerprint() -> None:
    several = [monophone_states(LEXICON, "SIL", *shape) for shape in ((3, 5), (3, 4), (2, 5))]
    several.append(monophone_states(LEXICON, "sil", 3, 5))
    assert len({inventory.fingerprint for inventory in several}) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"silence": "S", "phones": {"S": [1]}}', '{"phones": 3}'])
def test_a_malformed_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "states.json").write_text(content)
    with pytest.raises(MismatchError, match=r"states\.json: not a state inventory"):
        StateInventory.load(tmp_path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="make it with asr-kd make-lang"):
        StateInventory.load(tmp_path)
