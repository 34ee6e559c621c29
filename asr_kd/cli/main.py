"""The `asr-kd` program: finds the command, imports only that one, and turns errors into one line."""

import atexit
import difflib
import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from asr_kd import __version__, shortcut
from asr_kd.errors import AsrKdError, UsageError, missing_package
from asr_kd.options import parse

COMMANDS: dict[str, str] = {
    # data
    "make-digits": "synthesise connected digits with espeak-ng: train, dev, test and an untranscribed extra set",
    "make-fsdd": "join the recordings of the Free Spoken Digit Dataset into connected digits",
    "make-mnist": "turn the MNIST images into frame stores and labels",
    "validate-data": "check a Kaldi data directory and list everything wrong with it",
    "fix-data": "write a sorted, consistent copy of a Kaldi data directory, dropping what cannot be used",
    "split-data": "split a data directory into parts by speaker or by utterance",
    "perturb-speed": "copy a data directory at other speeds, as if other people spoke",
    "subset-data": "keep some speakers or utterances of a data directory",
    # language
    "make-units": "make subword or character units where there is no lexicon",
    "apply-units": "turn the words of a text or a data directory into units",
    "extend-lexicon": "add the words of a text to a lexicon, said as it says its own",
    "train-lm": "estimate an n-gram model: interpolated modified Kneser-Ney, pruned",
    "lm-report": "perplexity and unknown words of n-gram models on texts",
    # features and states
    "make-lang": "make words, phones and HMM states from a lexicon",
    "make-fbank": "turn a data directory into a frame store of filter banks",
    "flat-start": "train an alignment model from nothing: uniform segmentation, then train and realign",
    "tie-states": "make states depend on the neighbouring phones, and tie those that sound alike",
    "align": "label every frame with its HMM state by forced alignment",
    # Kaldi, in and out
    "import-feats": "turn Kaldi's feats.scp into a frame store",
    "import-kaldi-ali": "turn Kaldi's alignments into labels",
    "import-kaldi-graph": "turn Kaldi's HCLG.fst into a decoding graph",
    "import-kaldi-lexicon": "turn Kaldi's lexicon into one of ours",
    "export-posteriors": "write log-likelihoods or posteriors for Kaldi's decoders",
    "export-soft-targets": "write soft targets as Kaldi's posteriors",
    "export-ali": "write labels as Kaldi's alignments",
    # networks
    "train": "train one network on aligned frames",
    "train-members": "train the members of an ensemble together, one step for all: for a GPU",
    "make-soft-targets": "average an ensemble into soft targets",
    "distill": "train a student on soft targets",
    "correct-bias": "shift the output biases of classes that a student's transfer set lacked, or had alone",
    "sweep": "distil over a grid of temperatures, weights, widths and seeds",
    # specialists
    "cluster-states": "find the states a generalist confuses: K-means over the covariance of its predictions",
    "train-specialist": "train a specialist for one cluster of states, with a dustbin for all others",
    "fuse-specialists": "turn a generalist's predictions, and its specialists', into soft targets",
    # frames
    "evaluate": "frame accuracy of one model or an ensemble on labelled frames",
    "score-frames": "table of evaluated models: frame accuracy, intervals, gain kept",
    "ensemble-report": "what an ensemble gains, from how many members, and what is left to distil",
    "specialist-report": "what specialists add to a generalist",
    "regularizer-report": "how far a part of the data goes with hard and with soft targets",
    "compare-paper": "write each table of the paper beside the figures of own runs",
    # recognition
    "make-graph": "compose states, lexicon and grammar into a decoding graph",
    "decode": "recognise dev and test with one model or an ensemble, tuned on dev",
    "rescore": "weigh a system's n-best lists anew with a larger language model, tuned on dev",
    "make-ctm": "say when each recognised word was spoken",
    "score": "score all systems: frame accuracy, WER, intervals, gain kept",
    "errors": "say who was misrecognised and which words were confused",
    "calibration": "say how far posteriors can be believed",
    "compare": "test whether two systems differ: matched pairs and paired bootstrap",
    "report": "write one page from the results of one or several protocols",
    "make-bundle": "pack a model with all it needs to recognise speech",
    "export-onnx": "export a bundle for onnxruntime: recognises without torch, in fp32 or int8",
    "bundle-report": "compare bundles: word errors, speed, size, and the same heard as a stream",
    "recognize": "recognise audio files or a live stream with a bundle",
    # how fast, how large
    "plan": "say what training and distillation will need of disk, memory and time, before they run",
    "bench": "measure every part next to the machine's limit and to other programs",
}

# What an interrupted one has done is kept, and the same command carries on from it; others begin anew.
RESUMING = ("flat-start", "train", "train-members", "train-specialist", "distill", "sweep")

# How torch says that memory is full where it has no exception for it: of main memory, a driver and cuBLAS.
FULL_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")

# What they print is wanted even when there is nothing to do.
ALWAYS_PRINT = ("score", "score-frames", "errors", "regularizer-report", "bundle-report")


def program() -> NoReturn:
    """`asr-kd` as a program: `main`, and an end without taking apart what the system frees anyway.

    After a command that used torch, Python takes half a second for that. So no command may leave anything to a thread
    when it returns.
    """
    try:
        code = main()
    except SystemExit as end:  # argparse's, after --help
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    try:
        if sys.stdout:  # a closed one is None
            sys.stdout.flush()
    except BrokenPipeError:
        code = code or 1  # who reads it has seen enough
    except OSError as error:
        print(f"asr-kd: {_one_line(error)}", file=sys.stderr)
        code = code or 1
    if sys.stderr:
        sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 (failed), 2 (wrong usage) or 130 (interrupted)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"asr-kd {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f", did you mean '{close[0]}'?" if close else ""
        print(f"asr-kd: unknown command '{name}'{hint} (see asr-kd --help)", file=sys.stderr)
        return 2
    return _run(name, rest)


def _run(name: str, argv: list[str]) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{name}: %(message)s")
    logging.captureWarnings(True)
    signal.signal(signal.SIGTERM, _terminate)
    if name not in ALWAYS_PRINT and shortcut.is_done([name, *argv]):
        logging.getLogger(__name__).info("%s: done already", argv[-1])
        return 0
    try:
        module = importlib.import_module(f"asr_kd.cli.{name.replace('-', '_')}")
        module.run(parse(module.Options, argv, command=name, description=module.__doc__ or ""))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        then = "carries on from here" if name in RESUMING else "begins anew"
        print(f"asr-kd {name}: interrupted; the same command {then}", file=sys.stderr)
        return 130
    except Exception as error:
        if "--debug" in argv or not _can_be_mended(error):
            raise
        print(f"asr-kd {name}: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _can_be_mended(error: BaseException) -> bool:
    known = isinstance(error, (AsrKdError, OSError)) or _memory_is_full(error)
    return known or _disk_is_full(error) or bool(_package(error))


def _package(error: BaseException) -> str:
    """The package of others that is not installed; empty where that is not the error."""
    module = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return "" if module == "asr_kd" else module


def _memory_is_full(error: BaseException) -> bool:
    """Also where torch says so: by an exception of its own, or in the text of a RuntimeError."""
    of_torch = type(error).__name__ == "OutOfMemoryError" or any(text in str(error) for text in FULL_MEMORY)
    return isinstance(error, MemoryError) or of_torch


def _disk_is_full(error: BaseException) -> bool:
    """Also where a library says so in its own way: numpy without an errno, safetensors with its own exception."""
    text = str(error)
    numpy_says = isinstance(error, OSError) and "requested and" in text and text.endswith("written")
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text or numpy_says


def _one_line(error: BaseException) -> str:
    if _disk_is_full(error):
        file = getattr(error, "filename", None)
        where = f" while writing {file}" if file else ""
        return f"no space left on the device{where}; free some and run the same command again"
    if package := _package(error):
        return missing_package(package)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if _memory_is_full(error):
        reason = str(error).split("\n")[0]
        return f"not enough memory ({reason}); try a smaller batch or fewer jobs"
    return str(error)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "asr-kd: distil an ensemble of acoustic models into one model small enough to ship\n\n"
        f"usage: asr-kd COMMAND [OPTION ...]     asr-kd COMMAND --help\n\n{rows}"
    )
