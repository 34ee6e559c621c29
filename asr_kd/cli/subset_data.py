"""Keep some speakers or utterances of a data directory, chosen in exactly one way."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.data_dir import Utterance, absolute_audio, data_fingerprint, load_data_dir, write_data_dir
from asr_kd.corpus.subset import at_random, of_speakers, read_ids, shortest, with_ids
from asr_kd.errors import DataError
from asr_kd.options import option
from asr_kd.stage import Stage, digest

log = logging.getLogger("asr_kd")

WAYS = ("speakers", "spk_list", "utt_list", "first", "shortest", "random")


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    out: Path = option("the data directory to write", positional=True)
    speakers: tuple[str, ...] = option("the utterances of these speakers", default=())
    spk_list: Path | None = option(
        "the utterances of the speakers in this file, one a line", default=None, affects_result=False
    )
    utt_list: Path | None = option("the utterances in this file, one id a line", default=None, affects_result=False)
    first: int | None = option("this many utterances, the first by id", default=None)
    shortest: int | None = option("this many utterances, the shortest", default=None)
    random: int | None = option("this many utterances, drawn at random", default=None)
    seed: int = option("seed of --random", default=1)
    exclude: bool = option("keep all but those chosen", default=False)
    allow_commands: bool = option("wav.scp may hold commands; --shortest runs them", default=False)

    def __post_init__(self) -> None:
        if len(self.ways) != 1:
            every = ", ".join(f"--{way.replace('_', '-')}" for way in WAYS)
            raise ValueError(f"give exactly one of {every}, not {len(self.ways)}")
        if any(count is not None and count < 1 for count in (self.first, self.shortest, self.random)):
            raise ValueError(f"{self.ways[0]} must be at least 1")

    @property
    def ways(self) -> list[str]:
        """The flags that choose, of those given."""
        return [f"--{way.replace('_', '-')}" for way in WAYS if getattr(self, way) not in (None, ())]


def run(options: Options) -> None:
    list_file = options.spk_list or options.utt_list
    ids = read_ids(list_file) if list_file else list(options.speakers)
    # Of a list only the ids count, not its path; the way says what they are ids of.
    inputs = {"data": data_fingerprint(options.data), "way": options.ways[0], "list": digest(ids)}
    stage = Stage(options.out, command="subset-data", options=options, inputs=inputs)
    if stage.finished():
        return
    utterances = load_data_dir(options.data, need_text=False, allow_commands=options.allow_commands)
    chosen = _chosen(options, utterances, ids)
    if options.exclude:
        excluded = {u.id for u in chosen}
        chosen = [u for u in utterances if u.id not in excluded]
    if not chosen:
        raise DataError(f"{options.data}: nothing is left when all {len(utterances)} utterances are excluded")
    with stage.writing() as partial:
        write_data_dir(partial, chosen, absolute_audio(chosen))
    log.info("%s: %d of %d utterances", options.out, len(chosen), len(utterances))


def _chosen(options: Options, utterances: list[Utterance], ids: list[str]) -> list[Utterance]:
    if options.utt_list:
        return with_ids(utterances, ids)
    if ids:
        return of_speakers(utterances, ids)
    if options.shortest:
        return shortest(utterances, options.shortest, allow_commands=options.allow_commands)
    if options.random:
        return at_random(utterances, options.random, seed=options.seed)
    return utterances[: options.first]
