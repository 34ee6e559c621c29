"""Matched pairs and paired bootstrap against references and under no difference."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from asr_kd.score.bootstrap import Estimate, estimate_ratios
from asr_kd.score.significance import bootstrap_p, matched_pairs
from asr_kd.score.wer import align_words, count_words, trn_line

from .conftest import WORDS, corrupt


def test_statistic_is_that_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.poisson(0.5, size=200), rng.poisson(0.6, size=200)
    found = matched_pairs(a, b)
    assert found.z == pytest.approx(stats.ttest_rel(a, b).statistic)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


_RATES = {"one": 0.100, "other": 0.107}


@pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's program `sctk` is not installed")
def test_p_value_is_near_that_of_nist_sc_stats(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ref = {f"u{i:04d}": [str(w) for w in rng.choice(WORDS, size=rng.integers(3, 8))] for i in range(2000)}
    systems = {name: {utt: corrupt(words, rate, rng) for utt, words in ref.items()} for name, rate in _RATES.items()}
    (tmp_path / "ref.trn").write_text("".join(trn_line("s", utt, words) for utt, words in ref.items()))
    for name, hyp in systems.items():
        (tmp_path / f"{name}.trn").write_text("".join(trn_line("s", utt, words) for utt, words in hyp.items()))
        command = f"sctk sclite -r ref.trn trn -h {name}.trn trn -i rm -o sgml -n {name}"
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    sgml = "".join((tmp_path / f"{name}.sgml").read_text() for name in systems)
    command = "sctk sc_stats -p -t mapsswe -u -n -"
    report = subprocess.run(command.split(), cwd=tmp_path, input=sgml, text=True, check=True, capture_output=True)
    nist = re.search(r"MP +\|.* (0\.\d{3}) ", report.stdout)
    assert nist
    one, other = (count_words(list(align_words(ref, hyp).values())).errors for hyp in systems.values())
    # NIST cuts utterances into shorter segments, so the two are near, not equal.
    assert matched_pairs(one, other).p == pytest.approx(float(nist.group(1)), abs=0.03)


def test_equal_systems_are_not_told_apart() -> None:
    errors = np.array([0, 1, 2, 0])
    assert matched_pairs(errors, errors).p == 1.0
    assert bootstrap_p(Estimate(0.0, np.zeros(999))) == 1.0


def test_a_constant_difference_is_certain() -> None:
    assert matched_pairs([1, 1, 1], [0, 0, 0]).p == 0.0


def test_both_tests_cry_wolf_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(300):
        hardness = rng.beta(1, 9, size=150)
        a, b = rng.binomial(5, hardness), rng.binomial(5, hardness)
        words = np.full(150, 5)
        found = estimate_ratios({"a": (a, words), "b": (b, words)}, num_samples=300, rng=rng)
        alarms += [matched_pairs(a, b).p < 0.05, bootstrap_p(found["a"].minus(found["b"])) < 0.05]
    assert (alarms / 300 > 0.02).all()
    assert (alarms / 300 < 0.09).all()


def test_bootstrap_never_claims_more_than_its_samples_allow() -> None:
    assert bootstrap_p(Estimate(1.0, np.ones(999))) == 2 / 1000
