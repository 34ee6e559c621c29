"""Options: a dataclass field is a flag, a line of a conf file and a key of config.json."""

import shlex
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import UsageError
from asr_kd.options import deciding, group, nearest, option, parse, read_conf, to_dict


@dataclass(frozen=True, kw_only=True)
class Features:
    num_mel_bins: int = option("mel filters", default=40)
    low_freq: float = option("in Hz", default=20.0)


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("where from", positional=True)
    out: Path = option("where to", positional=True)
    features: Features = group(Features)
    num_states: int = option("states of a phone")
    seeds: tuple[int, ...] = option("one member each", default=(1,))
    names: tuple[str, ...] = option("names", default=())
    optimizer: str = option("sgd or adam", default="sgd", choices=("sgd", "adam"))
    lexicon: Path | None = option("a file", default=None)
    weight: float | None = option("of the hard term, 100 % is 1", default=None)
    dense: bool = option("store all", default=False)
    shuffle: bool = option("shuffle", default=True)
    nj: int = option("jobs", default=1, affects_result=False)

    def __post_init__(self) -> None:
        if self.num_states < 1:
            raise ValueError("--num-states must be at least 1")


def read(*words: str) -> Options:
    return parse(Options, words, command="try", description="Tries.")


MINIMAL = ("d", "o", "--num-states", "3")


def test_defaults_hold_where_nothing_is_said() -> None:
    assert read(*MINIMAL) == Options(data=Path("d"), out=Path("o"), num_states=3)


def test_flags_set_fields_of_the_command_and_of_its_groups() -> None:
    options = read(*MINIMAL, "--num-mel-bins", "23", "--seeds", "4", "5", "--optimizer=adam", "--lexicon", "l.txt")
    assert options.features == Features(num_mel_bins=23)
    assert options.seeds == (4, 5)
    assert options.optimizer == "adam"
    assert options.lexicon == Path("l.txt")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--dense"], True),
        (["--dense", "true"], True),
        (["--dense=Yes"], True),
        (["--dense", "1"], True),
        (["--dense", "false"], False),
        (["--dense=0"], False),
        (["--dense", "no"], False),
        (["--dense", "--num-mel-bins", "23"], True),
    ],
)
def test_a_truth_value_is_a_bare_flag_or_a_word(words: list[str], expected: bool) -> None:
    assert read(*MINIMAL, *words).dense is expected


def test_a_bare_truth_flag_does_not_swallow_the_directory_after_it() -> None:
    options = read("--num-states", "3", "--dense", "d", "o")
    assert (options.dense, options.data, options.out) == (True, Path("d"), Path("o"))


def test_flags_may_stand_between_the_words_of_a_place_that_takes_several() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Several:
        model: Path = option("a model", positional=True)
        files: tuple[Path, ...] = option("files", positional=True, default=())
        online: bool = option("cut", default=False)
        nj: int = option("jobs", default=1)

    options = parse(Several, ["m", "--online", "a", "--nj", "2", "b"], command="try", description="Tries.")
    assert (options.online, options.nj) == (True, 2)
    assert (options.model, options.files) == (Path("m"), (Path("a"), Path("b")))


def test_a_flag_that_is_true_by_default_can_be_turned_off() -> None:
    assert read(*MINIMAL, "--shuffle", "false").shuffle is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*MINIMAL, "--num-mel-bin", "23"], "unknown option '--num-mel-bin', did you mean '--num-mel-bins'?"),
        ([*MINIMAL, "--num-mel-bin=23"], "unknown option '--num-mel-bin', did you mean '--num-mel-bins'?"),
        (["d", "o", "--num-state", "3"], "unknown option '--num-state', did you mean '--num-states'?"),
        ([*MINIMAL, "--qqqqqq"], "unknown option '--qqqqqq' (see --help)"),
        ([*MINIMAL, "--num", "3"], "unknown option '--num'"),
        (["d", "o"], "required: --num-states"),
        (["--num-states", "3"], "required: DATA, OUT"),
        ([*MINIMAL, "more"], "unexpected 'more'"),
        ([*MINIMAL, "--num-mel-bins", "many"], "--num-mel-bins: invalid int value: 'many'"),
        ([*MINIMAL, "--low-freq", "low"], "--low-freq: invalid float value: 'low'"),
        ([*MINIMAL, "--low-freq", "nan"], "--low-freq: must be a number, got nan"),
        ([*MINIMAL, "--weight", "inf"], "--weight: must be a number, got inf"),
        ([*MINIMAL, "--optimizer", "lbfgs"], "'lbfgs' (choose from"),
        ([*MINIMAL, "--dense=perhaps"], "'perhaps' is neither true nor false"),
        ([*MINIMAL, "--dense", "perhaps"], "unexpected 'perhaps'"),
        ([*MINIMAL, "--lexicon"], "--lexicon: expected one argument"),
        (["d", "o", "--num-states", "0"], "--num-states must be at least 1"),
        ([*MINIMAL, "--config", "no-such.conf"], "no-such.conf: cannot read the conf file"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_says_what(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read(*words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(("asr-kd try: ", "no-such.conf"))


@pytest.mark.parametrize("name", ["seed", "seeds"])
def test_a_seed_is_a_number_from_0_on(name: str) -> None:
    kind = int if name == "seed" else tuple[int, ...]
    seeded = make_dataclass("Seeded", [(name, kind, option("of all", default=None))], frozen=True, kw_only=True)

    def seeds(word: str) -> object:
        return getattr(parse(seeded, [f"--{name}", word], command="try", description=""), name)

    assert seeds("0") in (0, (0,))
    with pytest.raises(UsageError, match=f"--{name}: must be at least 0, got -1"):
        seeds("-1")
    with pytest.raises(UsageError, match=f"--{name}: invalid seed value: 'x'"):
        seeds("x")


def test_negative_numbers_are_values(tmp_path: Path) -> None:
    assert read(*MINIMAL, "--weight", "-1.5").weight == -1.5
    assert read(*MINIMAL, "--weight=-1e-3").weight == -1e-3


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read("--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Tries." in text
    assert "mel filters (default: 40)" in text
    assert "shuffle (default: true)" in text
    assert "one member each (default: 1)" in text
    assert "100 % is 1" in text
    for field in fields(Options):
        if not field.metadata.get("positional") and not field.metadata.get("group"):
            assert f"--{field.name.replace('_', '-')}" in text


def test_a_conf_file_holds_flags_with_the_reason_beside_them(tmp_path: Path) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text(
        "# the paper's\n\n--num-states=3  # left to right\n--num-mel-bins 23\n--dense  # small\n"
        "--lexicon='a b.txt'\n--seeds 7 8\n"
    )
    options = read("--config", str(conf), "d", "o")
    assert options == Options(
        data=Path("d"),
        out=Path("o"),
        num_states=3,
        features=Features(num_mel_bins=23),
        dense=True,
        lexicon=Path("a b.txt"),
        seeds=(7, 8),
    )


def test_the_command_line_wins_over_the_conf_file(tmp_path: Path) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text("--num-states=3\n--seeds 1 2 3\n--dense\n")
    options = read("d", "o", "--seeds", "9", "--config", str(conf), "--dense=false")
    assert (options.num_states, options.seeds, options.dense) == (3, (9,), False)


def test_the_last_flag_of_a_conf_file_does_not_swallow_the_words_of_the_command_line(tmp_path: Path) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text("--num-states=3\n--names x y\n")
    options = read("d", "o", "--config", str(conf))
    assert (options.names, options.data, options.out) == (("x", "y"), Path("d"), Path("o"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--num-states=3\nnum-mel-bins=23\n", ":2: a line must start with '--', found 'num-mel-bins=23'"),
        ("--num-states=3\n--lexicon='a\n", ":2: No closing quotation"),
        ("--num-mel-bin=23\n", ": unknown option '--num-mel-bin', did you mean '--num-mel-bins'?"),
        ("--num-states=three\n", ": argument --num-states: invalid int value: 'three'"),
        ("--config=other.conf\n", ": unknown option '--config'"),
    ],
)
def test_a_mistake_in_a_conf_file_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text(text)
    with pytest.raises(UsageError) as error:
        read("--config", str(conf), "d", "o")
    assert f"{conf}{said}" in str(error.value)


def test_a_conf_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"--lexicon=\xff\xfe\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_conf(tmp_path / "a.conf")


words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), min_size=1).filter(
    lambda word: not word.startswith("-")
)
finite = st.floats(allow_nan=False, allow_infinity=False)
some_options = st.builds(
    Options,
    data=st.just(Path("d")),
    out=st.just(Path("o")),
    features=st.builds(Features, num_mel_bins=st.integers(), low_freq=finite),
    num_states=st.integers(min_value=1),
    seeds=st.lists(st.integers(min_value=0), min_size=1).map(tuple),
    names=st.lists(words, min_size=1).map(tuple),
    optimizer=st.sampled_from(["sgd", "adam"]),
    lexicon=st.none() | words.map(Path),
    weight=st.none() | finite,
    dense=st.booleans(),
    shuffle=st.booleans(),
    nj=st.integers(),
)


def as_conf(options: Options) -> str:
    lines = []
    for name, value in {**vars(options), **vars(options.features)}.items():
        if name in ("data", "out", "features") or value is None:
            continue
        quoted = [shlex.quote(str(part)) for part in (value if isinstance(value, tuple) else (value,))]
        flag = f"--{name.replace('_', '-')}"
        lines.append(f"{flag}={quoted[0]}" if len(quoted) == 1 else f"{flag} {' '.join(quoted)}")
    return "\n".join(lines) + "\n"


@settings(max_examples=50, deadline=None)
@given(options=some_options)
def test_options_written_as_a_conf_file_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, options: Options
) -> None:
    conf = tmp_path_factory.mktemp("conf") / "a.conf"
    conf.write_text(as_conf(options), encoding="utf-8")
    assert read("--config", str(conf), "d", "o") == options


def test_options_become_plain_json_values() -> None:
    as_json = to_dict(read(*MINIMAL, "--lexicon", "l.txt"))
    assert as_json["features"] == {"num_mel_bins": 40, "low_freq": 20.0}
    assert (as_json["lexicon"], as_json["seeds"], as_json["data"]) == ("l.txt", [1], "d")


def test_only_what_can_change_a_result_decides() -> None:
    base = deciding(read(*MINIMAL))
    assert deciding(read("other", "place", "--num-states", "3", "--nj", "8")) == base
    changed = deciding(read(*MINIMAL, "--low-freq", "60"))
    assert {name for name in base if base[name] != changed[name]} == {"low_freq"}


def test_nearest_says_nothing_where_nothing_is_near() -> None:
    assert nearest("--zzzzz", ["--num-states"]) == ""
    assert nearest("--num-stats", ["--num-states"]) == ", did you mean '--num-states'?"
