"""Recognise a test set with one model or an ensemble; scale and penalty are tuned on the dev set.

What an ensemble's models score by themselves (`--alone`) is what the ensemble's mean is made of: each scores the frames
once for both.
"""

import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from asr_kd.cli.evaluate import describe_system
from asr_kd.corpus.data_dir import Utterance, data_fingerprint, load_data_dir
from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.nbest_file import FOLDER, nbest_path, write_nbest
from asr_kd.decode.recognition import (
    Decoder,
    FrameScores,
    NBestOptions,
    Scorer,
    SearchOptions,
    processor_seconds,
)
from asr_kd.decode.search import Hypothesis
from asr_kd.decode.tune import Race, Tuned, TuneOptions, tune
from asr_kd.errors import MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import KeptMean, load_models
from asr_kd.nets.acoustic_model import AcousticModel, check_states
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.nets.free_memory import free_bytes
from asr_kd.options import group, option
from asr_kd.score.decoded import LOOP
from asr_kd.score.wer import align_words, count_words
from asr_kd.stage import Stage, digest, fingerprint, read_run, write_json, write_text
from asr_kd.train.frame_set import check_same_features

log = logging.getLogger(__name__)

_MOST_MEMORY = 0.25  # of what is free


@dataclass(frozen=True, kw_only=True)
class Options:
    graph: Path = option("decoding graph, from asr-kd make-graph", positional=True)
    models: tuple[Path, ...] = option("one model, or several whose posteriors are averaged", positional=True)
    out: Path = option("directory of results to make", positional=True)
    name: str = option("the system's name in the report: baseline, ensemble, distilled, ...")
    conf: str = option("the conf file the system was trained with, for the report", default="", affects_result=False)
    dev_data: Path = option("data directory of the dev set", affects_result=False)
    dev_frames: Path = option("its frame store", affects_result=False)
    test_data: Path = option("data directory of the test set", affects_result=False)
    test_frames: Path = option("its frame store", affects_result=False)
    test_labels: Path = option("its labels, for frame accuracy", affects_result=False)
    tuning: TuneOptions = group(TuneOptions)
    search: SearchOptions = group(SearchOptions)
    nbest: NBestOptions = group(NBestOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads that score and processes that search", default=1, affects_result=False)
    alone: tuple[Path, ...] = option(
        "directories to make of the results of each of the models by itself, in their order",
        default=(),
        affects_result=False,
    )
    alone_name: str = option("the name of these systems in the report", default="", affects_result=False)
    alone_lists: bool = option("these systems get lists, too, as --num-best says", default=False, affects_result=False)

    def __post_init__(self) -> None:
        if self.alone and len(self.alone) != len(self.models):
            raise UsageError(f"--alone: {len(self.alone)} directories for {len(self.models)} models; give one for each")
        if len({*self.alone, self.out}) <= len(self.alone):
            raise UsageError("--alone: name a directory for each model, and another for all together")
        if bool(self.alone) != bool(self.alone_name):
            raise UsageError(
                "--alone and --alone-name go together: where to put the models' own results, and their name"
            )


def run(options: Options) -> None:
    by_themselves = _by_themselves(options)
    done = {system.out: _stage(system).finished() for system in (*by_themselves, options)}
    if all(done.values()):
        return
    given = _Given.load(options)
    kept = _mean_to_keep(given) if by_themselves and not done[options.out] else None
    for system in by_themselves:
        model = given.models[system.models[0]]
        posteriors = kept.adding(model, device=given.device, nj=options.nj) if kept else None
        if not done[system.out]:
            _decode(system, given, Scorer([model], given.device, options.nj, posteriors))
        elif posteriors:
            for store in (given.dev, given.test):
                deque(posteriors(store), maxlen=0)
    if not done[options.out]:
        scorer = Scorer(list(given.models.values()), given.device, options.nj, kept.posteriors if kept else None)
        _decode(options, given, scorer, scored_s=kept.seconds if kept else _no_time)


def _by_themselves(options: Options) -> list[Options]:
    """What makes the results of each model by itself, as if it were asked for alone."""
    lists = options.nbest if options.alone_lists else replace(options.nbest, num_best=0)
    own = replace(options, name=options.alone_name, nbest=lists, alone=(), alone_name="", alone_lists=False)
    return [replace(own, models=(model,), out=out) for model, out in zip(options.models, options.alone, strict=False)]


def _mean_to_keep(given: "_Given") -> KeptMean | None:
    """Where the mean's posteriors are added up; None if memory is short, and the models score once more."""
    num_pdfs = given.graph.num_pdfs
    needed, free = KeptMean.num_bytes((given.dev, given.test), num_pdfs), free_bytes(torch.device("cpu"))
    if needed > _MOST_MEMORY * free:
        log.info("the ensemble scores by itself: to keep the mean would take %d of %d MB", needed >> 20, free >> 20)
        return None
    return KeptMean(len(given.models))


@dataclass(frozen=True)
class _Given:
    """All that the systems of one command share."""

    device: torch.device
    graph: DecodingGraph
    dev: FrameStore
    test: FrameStore
    labels: Labels
    models: Mapping[Path, AcousticModel]

    @staticmethod
    def load(options: Options) -> "_Given":
        device = prepare(options.device)
        graph = DecodingGraph.load(options.graph)
        dev, test = FrameStore(options.dev_frames), FrameStore(options.test_frames)
        if dev.path.resolve() == test.path.resolve():
            log.warning("%s is dev and test set: figures tuned on the test set are too good", test.path)
        check_same_features([test, dev])
        models = load_models(options.models, test, device, options.device.dtype)
        (labels,) = match_labels([test], [Labels.load(options.test_labels)])
        assert labels is not None
        path, model = next(iter(models.items()))
        check_states(model, graph.states_fingerprint, model_path=path, other_path=options.graph)
        check_labelled(labels, path, model.card.states_fingerprint)
        _utterances(options.test_data, test)  # what is wrong with it is said before an hour of tuning
        return _Given(device, graph, dev, test, labels, models)


def _stage(options: Options) -> Stage:
    return Stage(options.out, command="decode", options=options, inputs=_inputs(options))


def _no_time(store: FrameStore) -> float:
    return 0.0


def _decode(
    options: Options, given: _Given, scorer: Scorer, *, scored_s: Callable[[FrameStore], float] = _no_time
) -> None:
    """Recognise with one system.

    Args:
        scored_s: processor time that scoring a store took before.
    """
    dev, test = given.dev, given.test
    decoder = Decoder(given.graph, options.search, options.nj)
    models = {path: given.models[path] for path in options.models}
    with _stage(options).writing() as partial:
        tuned = _tune(scorer, decoder, dev, options)
        log.info(
            "dev WER %.2f %% at acoustic scale %g, insertion penalty %g",
            100 * tuned.error,
            tuned.acoustic_scale,
            tuned.insertion_penalty,
        )
        seconds = scored_s(test) + _recognise_test(partial, test, given.labels, scorer, decoder, tuned, options)
        system = describe_system(options.name, options.conf, models) | {
            "labels": given.labels.fingerprint,
            "acoustic_scale": tuned.acoustic_scale,
            "insertion_penalty": tuned.insertion_penalty,
            "dev_wer": tuned.error,
            "rtf": seconds / _audio_seconds(test),
            "beam": options.search.beam,
            "max_active": options.search.max_active,
        }
        if grammar := _grammar(options.graph):
            system["grammar"] = grammar
        if options.nbest.num_best:
            seconds = sum(map(scored_s, (dev, test)))
            seconds += _write_lists(partial, (dev, test), scorer, decoder, tuned, options)
            system["nbest_rtf"] = seconds / sum(map(_audio_seconds, (dev, test)))
        write_json(partial / "system.json", system)


def _grammar(graph: Path) -> str | None:
    """What a graph was made of, for `asr-kd rescore`: a fingerprint of its ARPA file, or `LOOP`; None if unknown."""
    made = read_run(graph)["identity"]
    return made["inputs"].get("ARPA file", LOOP) if made["command"] == "make-graph" else None


def _inputs(options: Options) -> dict[str, str]:
    return {
        "graph": fingerprint(options.graph),
        "models": digest(sorted(fingerprint(path) for path in options.models)),
        "dev data": data_fingerprint(options.dev_data),
        "dev frames": fingerprint(options.dev_frames),
        "test data": data_fingerprint(options.test_data),
        "test frames": fingerprint(options.test_frames),
        "test labels": fingerprint(options.test_labels),
    }


def _tune(scorer: Scorer, decoder: Decoder, store: FrameStore, options: Options) -> Tuned:
    reference = {u.id: u.words or () for u in _utterances(options.dev_data, store)}
    # In random order, the same every time.
    order = sorted(reference.keys() & set(store.index.utterances), key=digest)
    chosen = set(order[: options.tuning.tune_utterances or None])
    left_out = set(order) - chosen

    def scores(among: Container[str]) -> Iterator[tuple[str, np.ndarray]]:
        return (item for item in scorer.log_likelihoods(store) if item[0] in among)

    tried = sorted(scores(chosen), key=lambda item: digest(item[0]))
    race = Race({utterance: len(words) for utterance, words in reference.items() if utterance not in left_out})
    shown = tqdm(desc="tune", unit="point", disable=None, leave=False)

    def errors(some: Iterable[tuple[str, np.ndarray]], *point: float) -> Iterator[tuple[str, int]]:
        return ((h.utt, _num_errors(reference[h.utt], h.words)) for h in decoder(some, *point))

    def error(acoustic_scale: float, insertion_penalty: float) -> float:
        shown.update()
        return race.error(errors(tried, acoustic_scale, insertion_penalty))

    with shown:
        tuned = tune(error, options.tuning)
    log.info("%d points tried, each on %d of %d dev utterances", race.points, race.heard / race.points, len(order))
    if left_out:
        whole = Race({utterance: len(words) for utterance, words in reference.items()})
        dev_wer = whole.error(errors(scores(reference), tuned.acoustic_scale, tuned.insertion_penalty))
        tuned = replace(tuned, error=dev_wer)
    return tuned


def _num_errors(reference: Sequence[str], words: Sequence[str]) -> int:
    return int(count_words(tuple(align_words({"": reference}, {"": words}, where="dev").values())).errors.sum())


def _write_lists(
    out: Path, stores: Sequence[FrameStore], scorer: Scorer, decoder: Decoder, tuned: Tuned, options: Options
) -> float:
    """Write the best hypotheses of dev and test; returns the processor time in s."""
    started = processor_seconds()
    for name, data, store in zip(("dev", "test"), (options.dev_data, options.test_data), stores, strict=True):
        reference = {u.id: u.words or () for u in _utterances(data, store)}
        lists = decoder.lists(
            scorer.log_likelihoods(store), tuned.acoustic_scale, tuned.insertion_penalty, options.nbest
        )
        shown = tqdm(lists, f"n-best {name}", total=len(reference), unit="utt", disable=None, leave=False)
        unfinished = write_nbest(nbest_path(out, name), shown)
        if unfinished:
            log.warning("%d utterances of %s have no hypothesis that reached the graph's end", unfinished, name)
        if name == "dev":
            _write_words(out / FOLDER / "dev_ref.txt", reference)
    return processor_seconds() - started


def _audio_seconds(store: FrameStore) -> float:
    return float(store.num_frames * store.meta["frame_shift_ms"] / 1000)


def _recognise_test(
    out: Path, store: FrameStore, labels: Labels, scorer: Scorer, decoder: Decoder, tuned: Tuned, options: Options
) -> float:
    """Write hypotheses, references and frame scores; returns the processor time in s."""
    utterances = _utterances(options.test_data, store)
    reference = {u.id: u.words or () for u in utterances}
    frames = FrameScores()
    started = processor_seconds()
    scores = scorer.log_likelihoods(store, frames, np.asarray(labels.pdfs))
    found = decoder(scores, tuned.acoustic_scale, tuned.insertion_penalty)
    hypotheses = list(tqdm(found, "decode", total=len(reference), unit="utt", disable=None, leave=False))
    spent = processor_seconds() - started
    _warn_unfinished(hypotheses)
    _write_words(out / "hyp.txt", dict.fromkeys(reference, ()) | {h.utt: h.words for h in hypotheses})
    _write_words(out / "ref.txt", reference)
    frames.in_order(reference).write(out / "frames.tsv")
    write_text(out / "utt2spk", "".join(f"{u.id} {u.speaker}\n" for u in utterances))
    return spent


def _utterances(data: Path, store: FrameStore) -> list[Utterance]:
    """All utterances with their transcripts; one too short for the frame store counts as not recognised."""
    utterances = load_data_dir(data, need_text=True, allow_commands=True)
    known, held = {u.id for u in utterances if u.words}, set(store.index.utterances)
    if held - known:
        raise MismatchError(
            f"{data}/text: no transcript for {len(held - known)} utterances of {store.path} (as {min(held - known)})"
        )
    if known - held:
        log.warning(
            "%s lacks %d utterances of %s: all their words count as deleted", store.path, len(known - held), data
        )
    return utterances


def _warn_unfinished(hypotheses: list[Hypothesis]) -> None:
    partial = [h.utt for h in hypotheses if not h.reached_final]
    if partial:
        log.warning("%d utterances did not reach the end of the graph (as %s): widen --beam", len(partial), partial[0])


def _write_words(path: Path, words: dict[str, tuple[str, ...]]) -> None:
    write_text(path, "".join(f"{' '.join((utterance, *spoken))}\n" for utterance, spoken in words.items()))
