"""recipes/librispeech on a made-up corpus in LibriSpeech's layout, with nothing fetched."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.corpus.data_dir import load_data_dir

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000

# For curl: a file of the name that is asked for.
CURL = """#!/usr/bin/env bash
while (($#)); do
  case $1 in
    --output) out=$2 && shift ;;
    https://*) url=$1 ;;
  esac
  shift
done
case $url in
  *lexicon.txt) printf 'ONE\\tW AH1 N\\nTWO  T UW1\\n' >"$out" ;;
  *) gzip -c <<<"${url##*/}" >"$out" ;;
esac
"""

# For the Python that would download: it logs what is to be complete, and fails where there is no corpus to copy.
PYTHON = f"""#!/usr/bin/env bash
if [[ ${{2:-}} != *download_librispeech* ]]; then exec {sys.prefix}/bin/python "$@"; fi
echo "${{@:4}}" >>"$FAKE/downloads.log"
mkdir -p "$3" && cp -r "$FAKE/remote/LibriSpeech" "$3"
"""

# For lhotse, which takes seconds to start: what it exports of a part, from one audio file for each utterance.
LHOTSE = """#!/usr/bin/env bash
set -euo pipefail
if [[ $1 == prepare ]]; then
  mkdir -p "${@: -1}" && echo "${@: -2:1}" >"${@: -1}/corpus"
  exit
fi
corpus=$(<"${3%/*}/corpus") out=$5 && mkdir -p "$out"
find "$corpus/${out##*/}" -name '*.flac' | sort | while read -r audio; do
  key=$(basename -s .flac "$audio")
  echo "$key ffmpeg -threads 1 -i $audio -ar 16000 -f wav - |" >>"$out/wav.scp"
  echo "$key ${key%%-*}" >>"$out/utt2spk"
  echo "$key ONE TWO" >>"$out/text"
done
"""


def write_part(corpus: Path, part: str, speakers: range) -> None:
    """Two utterances of noise for each speaker."""
    rng = np.random.default_rng(speakers.start)
    for speaker in speakers:
        chapter = corpus / part / str(speaker) / "7"
        chapter.mkdir(parents=True)
        ids = [f"{speaker}-7-{number:04}" for number in range(2)]
        for key in ids:
            soundfile.write(chapter / f"{key}.flac", rng.uniform(-0.5, 0.5, RATE // 4), RATE)
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{key} ONE TWO\n" for key in ids))


def write_librispeech(folder: Path) -> Path:
    corpus = folder / "LibriSpeech"
    parts = ("train-clean-5", "dev-clean-2", "train-clean-100", "dev-clean", "test-clean")
    for place, part in enumerate(parts):
        write_part(corpus, part, range(97 + 3 * place, 100 + 3 * place))  # numbers of two and of three digits
    return corpus


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A copy of the recipe, and programs that stand for the network."""
    shutil.copytree(
        ROOT / "recipes/librispeech", tmp_path / "recipe", ignore=shutil.ignore_patterns("data", "exp", "download")
    )
    for name, text in (("curl", CURL), ("python", PYTHON), ("lhotse", LHOTSE)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def prepare(fake: Path, parts: str, *, corpora: str = "", data: str = "data") -> subprocess.CompletedProcess[str]:
    path = f"{fake}/bin:{sys.prefix}/bin:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ASR_KD_CORPORA": corpora, "FAKE": str(fake)}
    command = [str(fake / "recipe/local/prepare_data.sh"), parts, "1", data]
    return subprocess.run(command, cwd=fake, env=environment, capture_output=True, text=True, check=False)


def speakers_of(folder: Path) -> set[str]:
    return {utterance.speaker for utterance in load_data_dir(folder, need_text=False)}


def test_parts_of_a_folder_of_corpora_become_all_sets_with_speakers_of_their_own(fake: Path) -> None:
    pytest.importorskip("lhotse", reason="the optional extra 'corpora' is not installed")
    (fake / "bin/lhotse").unlink()
    write_librispeech(fake / "corpora")
    done = prepare(fake, "mini", corpora=str(fake / "corpora"))
    assert done.returncode == 0, done.stderr
    sets = {name: speakers_of(fake / "data" / name) for name in ("train", "dev", "test")}
    assert sets["train"] == {"97", "98", "99"}
    assert sets["dev"] | sets["test"] == {"100", "101", "102"} and not sets["dev"] & sets["test"]
    assert speakers_of(fake / "data/perturbed") == {f"sp{speed}-{s}" for speed in ("0.9", "1.1") for s in (97, 98, 99)}
    assert all(Path(u.audio).suffix == ".flac" for u in load_data_dir(fake / "data/train"))
    assert (fake / "data/lexicon.txt").read_text() == "ONE W AH N\nTWO T UW\n<unk> SPN\n"
    assert not (fake / "downloads.log").exists()
    before = {path: path.stat().st_mtime_ns for path in (fake / "data").rglob("*") if path.is_file()}
    assert prepare(fake, "mini", corpora=str(fake / "corpora")).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (fake / "data").rglob("*") if path.is_file()} == before


def test_other_parts_in_one_data_directory_are_an_error_before_anything_is_fetched(fake: Path) -> None:
    write_librispeech(fake / "corpora")
    assert prepare(fake, "mini", corpora=str(fake / "corpora")).returncode == 0
    done = prepare(fake, "100")
    assert done.returncode == 1
    assert "data holds parts mini, not 100" in done.stderr and "--data-dir" in done.stderr
    assert not (fake / "downloads.log").exists()
    assert speakers_of(fake / "data/train") == {"97", "98", "99"}


def test_what_was_interrupted_is_carried_on(fake: Path) -> None:
    """Of the download there is a part of one part; of the preparation, nothing but a piece of a file."""
    write_part(fake / "recipe/download/LibriSpeech", "train-clean-100", range(103, 104))
    (fake / "data/lhotse-100/train-clean-100").mkdir(parents=True)
    (fake / "data/lhotse-100/train-clean-100/wav.scp").write_text("103-7-0")
    done = prepare(fake, "100")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("folder of corpora that ASR_KD_CORPORA names")
    write_librispeech(fake / "remote")
    done = prepare(fake, "100", corpora=str(fake / "corpora"))
    assert done.returncode == 0, done.stderr
    assert (fake / "downloads.log").read_text() == 2 * "train-clean-100 dev-clean test-clean\n"
    assert speakers_of(fake / "data/train") == {"103", "104", "105"}
    models = {name: gzip.decompress((fake / f"data/{name}.arpa.gz").read_bytes()) for name in ("lm", "lm_large")}
    assert models == {"lm": b"3-gram.pruned.3e-7.arpa.gz\n", "lm_large": b"3-gram.pruned.1e-7.arpa.gz\n"}


def test_without_lhotse_it_is_said_what_installs_it(fake: Path) -> None:
    (fake / "bin/lhotse").unlink()
    environment = os.environ | {"PATH": f"{fake}/bin:/usr/bin:/bin", "ASR_KD_CORPORA": ""}
    command = [str(fake / "recipe/local/prepare_data.sh"), "mini", "1", str(fake / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(f"run: {fake}/bin/python -m pip install lhotse urllib3\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("mini phones", "[data/lm.arpa.gz] [data/lm_large.arpa.gz] []"),
        ("mini sentencepiece", "[] [] []"),
        ("960 char", "[] [] []"),
        ("47 phones", "[] [] [data/lm_text.gz]"),
        ("47 sentencepiece", "[] [] [data/lm_text.gz]"),
    ],
)
def test_models_of_words_are_for_words_alone_and_text_is_named_where_there_is_some(options: str, expected: str) -> None:
    shell = """
      arpa="" arpa_large="" lm_text="" extend_lexicon=true data_dir=data
      source recipes/librispeech/recipe.sh
      parts=$1 units=$2
      use_protocol
      echo "[$arpa] [$arpa_large] [$lm_text]"
    """
    words = ["bash", "-euc", shell, "bash", *options.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
