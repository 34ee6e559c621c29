import subprocess, sys
from asr_kd.cli.main import main
import shutil


def test_x(make_experiment, tmp_path, capsys):
    e = make_experiment("exp", num_utterances=3600)
    assert main(["score", str(e), str(tmp_path / "out"), "--recipe", "digits"]) == 0
    print(capsys.readouterr().out)
    assert main(["compare", str(e / "decode/baseline-1"), str(e / "decode/distilled-1")]) == 0
    print(capsys.readouterr().out)
    shutil.rmtree("/tmp/score_out", ignore_errors=True)
    shutil.copytree(tmp_path / "out", "/tmp/score_out")
