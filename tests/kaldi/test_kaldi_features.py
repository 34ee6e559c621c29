"""feats.scp becomes a frame store like any other, and nothing but matrices is ever read."""

from pathlib import Path

import kaldi_native_fbank as knf
import kaldiio
import numpy as np
import pytest
import soundfile
from kaldi_files import run
from tone_pipeline import RATE

from asr_kd.cli import import_feats, make_fbank
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.errors import DataError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.kaldi.archives import encode_matrix, write_archive
from asr_kd.kaldi.features import ScpFile

SPEAKERS = {"a-1": "a", "a-2": "a", "b-1": "b"}


def matrices(dim: int = 13) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        utterance: (rng.normal(size=(20 + 7 * number, dim)) * 3 + 5).astype(np.float32)
        for number, utterance in enumerate(SPEAKERS)
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    encoded = ((key, encode_matrix(matrix)) for key, matrix in matrices().items())
    write_archive(path, "feats", encoded, final=path)
    (path / "utt2spk").write_text("".join(f"{u} {s}\n" for u, s in SPEAKERS.items()))
    return path


def imported(data: Path, *flags: object) -> FrameStore:
    out = data.with_name(f"frames-{len(list(data.parent.iterdir()))}")
    run(import_feats, *flags, data, out)
    return FrameStore(out)


def frames_of(store: FrameStore) -> dict[str, np.ndarray]:
    return {utterance: store.own_frames(frames).numpy() for utterance, frames in store.index.slices()}


def test_features_are_kept_as_they_are_without_normalisation(data: Path) -> None:
    store = imported(data, "--cmvn", "none")
    assert store.index.utterances == tuple(SPEAKERS)
    assert store.index.speakers == tuple(SPEAKERS.values())
    assert (store.dim, store.left, store.right) == (13, 20, 5)
    assert store.meta["frame_shift_ms"] == 10
    for utterance, feats in frames_of(store).items():
        assert np.array_equal(feats, matrices()[utterance])


def test_each_speaker_or_utterance_has_zero_mean_and_unit_variance(data: Path) -> None:
    own = frames_of(imported(data))
    of_a = np.concatenate([own["a-1"], own["a-2"]])
    assert np.abs(of_a.mean(0)).max() < 1e-5
    assert np.abs(of_a.std(0) - 1).max() < 1e-4
    assert np.abs(own["a-1"].mean(0)).max() > 1e-2
    (data / "utt2spk").unlink()
    alone = frames_of(imported(data))
    assert np.abs(alone["a-1"].mean(0)).max() < 1e-5


def test_the_statistics_of_kaldi_are_used_where_they_are_given(data: Path, tmp_path: Path) -> None:
    all_of_a = np.concatenate([matrices()["a-1"], matrices()["a-2"], np.full((50, 13), 2, np.float32)]).astype(float)
    both = {"a": all_of_a, "b": matrices()["b-1"].astype(float)}
    stats = {
        speaker: np.stack([np.append(rows.sum(0), len(rows)), np.append(np.square(rows).sum(0), 0)])
        for speaker, rows in both.items()
    }
    kaldiio.save_ark(str(tmp_path / "cmvn.ark"), stats, scp=str(tmp_path / "cmvn.scp"))
    own = frames_of(imported(data, "--cmvn-scp", tmp_path / "cmvn.scp"))
    expected = (matrices()["a-1"] - all_of_a.mean(0)) / all_of_a.std(0)
    assert np.abs(own["a-1"] - expected).max() < 1e-4
    (tmp_path / "cmvn.scp").write_text((tmp_path / "cmvn.scp").read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="no statistics of 'b'"):
        imported(data, "--cmvn-scp", tmp_path / "cmvn.scp")
    with pytest.raises(DataError, match=r"'a' has shape \(20, 13\)"):
        scp = (data / "feats.scp").read_text().splitlines()[0].replace("a-1 ", "a ")
        (tmp_path / "cmvn.scp").write_text(scp + "\n")
        imported(data, "--cmvn-scp", tmp_path / "cmvn.scp")
    narrow = {speaker: np.array([[2.0, 4.0, 9.0], [1.0, 3.0, 0.0]]) for speaker in "ab"}
    kaldiio.save_ark(str(tmp_path / "cmvn.ark"), narrow, scp=str(tmp_path / "cmvn.scp"))
    with pytest.raises(DataError, match=r"cmvn.scp:1: 'a' has statistics of 2 features, the frames have 13"):
        imported(data, "--cmvn-scp", tmp_path / "cmvn.scp")
    with pytest.raises(UsageError, match="--cmvn-scp goes with"):
        imported(data, "--cmvn", "none", "--cmvn-scp", tmp_path / "cmvn.scp")


def test_kaldis_filter_banks_become_the_store_that_make_fbank_makes(tones: Path, tmp_path: Path) -> None:
    """Frame by frame: both count frames alike, so Kaldi's alignments fit either."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.mel_opts.num_bins = RATE, 0, 40
    feats = {}
    for utterance in load_data_dir(tones / "data/dev"):
        computer = knf.OnlineFbank(options)
        computer.accept_waveform(RATE, soundfile.read(utterance.audio, dtype="int16")[0].astype(np.float32))
        computer.input_finished()
        rows = [computer.get_frame(number) for number in range(computer.num_frames_ready)]
        feats[utterance.id] = np.stack(rows)
    data = tmp_path / "kaldi"
    data.mkdir()
    kaldiio.save_ark(str(data / "f.ark"), feats, scp=str(data / "feats.scp"), compression_method=2)
    run(import_feats, "--cmvn", "utterance", data, tmp_path / "imported")
    run(make_fbank, "--cmvn", "utterance", "--sample-rate", RATE, tones / "data/dev", tmp_path / "made")
    theirs, ours = FrameStore(tmp_path / "imported"), FrameStore(tmp_path / "made")
    assert theirs.index.counts.tolist() == ours.index.counts.tolist()
    difference = (theirs.padded - ours.padded).abs()
    assert difference.mean() < 0.02
    assert difference.max() < 0.5


@pytest.mark.parametrize("method", [1, 2, 3, 5, None], ids=str)
def test_compressed_text_and_double_matrices_are_read(tmp_path: Path, method: int | None) -> None:
    matrix = matrices()["a-1"]
    if method is None:
        kaldiio.save_ark(str(tmp_path / "f.ark"), {"u": matrix}, scp=str(tmp_path / "f.scp"), text=True)
    else:
        kaldiio.save_ark(str(tmp_path / "f.ark"), {"u": matrix}, scp=str(tmp_path / "f.scp"), compression_method=method)
    found = ScpFile.open(tmp_path / "f.scp").matrix("u")
    assert np.abs(found - matrix).max() < (1e-6 if method is None else 0.15)


def test_a_path_is_tried_beside_the_scp_file_and_a_range_of_rows_is_cut(data: Path) -> None:
    entry = (data / "feats.scp").read_text().splitlines()[0].split()[1]
    offset = entry.rpartition(":")[2]
    (data / "feats.scp").write_text(f"a-1 feats.ark:{offset}\na-2 feats.ark:{offset}[3:7]\nb-1 {entry}[0:4,2:5]\n")
    scp = ScpFile.open(data / "feats.scp")
    whole = matrices()["a-1"]
    assert np.array_equal(scp.matrix("a-1"), whole)
    assert np.array_equal(scp.matrix("a-2"), whole[3:8])
    assert np.array_equal(scp.matrix("b-1"), whole[:5, 2:6])


@pytest.mark.parametrize(
    ("scp", "complaint"),
    [
        ("a-1 copy-feats scp:x ark:- |\n", "is a command"),
        ("a-1 nowhere.ark:5\n", "cannot read nowhere.ark:5"),
        ("a-1 pickled.ark:4\n", "is not a matrix that Kaldi wrote"),
        ("a-1 vector.ark:4\n", "is not a matrix; expected features"),
        ("a-1 cut.ark:4\n", "cannot read cut.ark:4"),
        ("a-1\n", "has no matrix"),
        ("b feats.ark:4\na feats.ark:4\n", "not sorted"),
        ("z feats.ark:4\n", "'z' is not in utt2spk"),
        ("a-1 feats.ark:4\nb-1 wide.ark:4\n", "14 features of a frame, before it 13"),
        ("a-1 nan.ark:4\n", "features that are not finite"),
    ],
)
def test_a_matrix_that_cannot_be_used_is_an_error_with_its_line(data: Path, scp: str, complaint: str) -> None:
    whole = b"a-1 " + encode_matrix(matrices()["a-1"])
    kaldiio.save_ark(str(data / "pickled.ark"), {"a-1": matrices()["a-1"]}, write_function="pickle")
    kaldiio.save_ark(str(data / "vector.ark"), {"a-1": np.ones(5, np.float32)})
    (data / "cut.ark").write_bytes(whole[:-5])
    (data / "wide.ark").write_bytes(b"b-1 " + encode_matrix(np.ones((3, 14), np.float32)))
    (data / "nan.ark").write_bytes(b"a-1 " + encode_matrix(np.full((3, 13), np.nan, np.float32)))
    (data / "feats.scp").write_text(scp)
    with pytest.raises(DataError, match=f"feats.scp.*{complaint}"):
        imported(data)


def test_a_command_is_run_where_it_is_allowed(data: Path) -> None:
    entry = (data / "feats.scp").read_text().splitlines()[0].split()[1]
    path, _, offset = entry.rpartition(":")
    (data / "feats.scp").write_text(f"a-1 tail -c +{int(offset) + 1} {path} |\n")
    store = imported(data, "--cmvn", "none", "--allow-commands")
    assert np.array_equal(frames_of(store)["a-1"], matrices()["a-1"])


def test_stores_of_other_kinds_or_widths_have_other_fingerprints(data: Path) -> None:
    first, again, other = imported(data), imported(data), imported(data, "--kind", "mfcc")
    assert first.features_fingerprint == again.features_fingerprint != other.features_fingerprint
