"""No file in the repository names some machine's paths."""

import re
import subprocess

import pytest
from project import ROOT

# Spelt so that this file does not hold them itself.
ELSEWHERE = (
    re.compile(r"(?<![\w.$}~<>])/(?:work|tmp|home|root|mnt|Users)/"),
    re.compile(r"https?://[^\s)\"']*(?:[p]ypi|[p]ythonhosted|[a]rtifactory|[i]ndex-url|[r]egistry)"),
    re.compile(r"(?i)[p]ythonhosted|[a]rtifactory"),
)


def test_no_file_names_a_path_or_a_package_host_of_some_machine() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    ).stdout.split("\0")
    if listed == [""]:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed):
        path = ROOT / name
        text = path.read_text(encoding="utf-8", errors="ignore") if path.is_file() else ""
        found += [f"{name}: {match[0]}" for pattern in ELSEWHERE for match in pattern.finditer(text)]
    assert found == []
