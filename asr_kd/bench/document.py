"""The page of figures, ``docs/performance.md``: a part for each processor and each GPU, each from one run.

A run replaces the part of its own processor or card and leaves the others as they are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_kd.bench.figure import Figure
from asr_kd.bench.suite import BENCHMARKS, Results

ON = "## On "
NO_GPU = "## On a GPU"
NOT_RUN = """\
Not run: no GPU was at hand. `asr-kd bench --device cuda --doc docs/performance.md` fills this part in.

| goal of | figure | goal | measured |
| --- | --- | ---: | --- |
| step | 8 x 2560, 14,000 pdfs, B = 4,096, bf16: of the best product's rate (MFU) | at least 60 % | not run |
| step | the same, B = 16,384 | at least 75 % | not run |
| gather | time of a gather over that of a bf16 step | at most 1 % | not run |
| members | 10 members of 4 x 512 in one step: frames of all in a second, over one's alone | at least 1x | not run |
"""
_OF_A_GPU = "; host: "
INTRODUCTION = """\
# How fast it is

Every figure here stands next to the limit of the machine and to other programs, and was written by the program that
measured it: `asr-kd bench --doc docs/performance.md` (with `--device cuda` for a GPU). It adds a part for the machine
that it runs on, or makes that anew. The data is made up on the spot; no corpus is needed. A run takes about five
minutes of one core.

## Method

- **Ratios are what counts.** Everything that is compared is measured in one process, interleaved: in each round every
  variant runs once, in a new order, for at least 50 ms. A ratio is the median over the rounds of the ratios within a
  round. So a slow moment of a shared machine falls on both sides.
- **One thread, processor time.** `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS` and `MKL_NUM_THREADS` are 1, as is torch's
  number of threads. On a GPU the time is that between two CUDA events. On a CPU `members` uses the wall clock, and
  needs two idle cores.
- **A fresh process for each benchmark.** What memory one leaves behind decides how fast another gets its own.
- **The limit of a network is the best matrix product** of the same dtype, measured among the steps: of the shapes of
  the network's own layers and 2048 x 2048 x 2048, the fastest. MFU, model-FLOPs utilisation, is a step's floating point
  operations over its time, divided by that rate. The operations are those of the model (forward, gradients of weights
  and of layers' inputs, without that of the first layer's input); what else a step does (loss, optimiser, metrics)
  counts as time only.
- **torch's defaults** are the same network, batch and cross-entropy in fp32 with `torch.optim.AdamW` and nothing set.
- **The product's own code is what runs**: the trainer's step, the frame set's batches, the store's reader, the search.
- **A goal missed by less than 10 %** is within the noise of one run.

"""
HOW_TO_READ = """\
## How to read it

- **Filter banks.** kaldi-native-fbank is called through its Python binding, one utterance at a time; it gets a list of
  floats made beforehand, and turning that into its own samples and collecting its frames count as its time. torchaudio
  is `torchaudio.compliance.kaldi.fbank`. librosa's `melspectrogram` has other conventions, and is there as one more
  speed. `the limit itself` says what no program could exceed on this processor. The error is the largest over 40
  utterances of a made-up voice with pauses, against a float64 implementation.
- **The training step over torch's defaults** depends on the processor: where torch's default product of fp32 matrices
  is already near the limit, no fp32 step can be much faster; the line `torch's defaults: of the best fp32 product's
  rate` says how near.
- **Context windows.** The limit copies as many bytes from one stretch of the store after the other, which the processor
  fetches ahead of time; windows lie anywhere.
- **The loss.** The limit reads each logit from memory once and writes as much there once: no gradient can do with less.
  With 14,000 classes logits and gradient are 57 MB each. All commands keep freed memory for its next use
  (`asr_kd/memory.py`), here too. With pages from the system each time both losses take far longer, hard cross-entropy
  most, and the ratio would look better than it is.
- **The soft-target store.** `read and unpacked` is what a training step does; `records alone` is the gather without
  unpacking. The limit copies as many bytes in order.
- **Decoding** is the search alone, and then with the network that scores the frames. The search's limit is the
  library's part of it, on scores that are scaled already, in the program's own process.
- **Memory** is the peak of the resident memory while an epoch of many frames passes, over that after training the same
  network on a few. Features are memory-mapped: their pages count, though processes side by side share them.
- **Fidelity** is the student's Kullback-Leibler divergence from the ensemble on frames that it was not trained on, of
  a student trained from the sparse store over that of one trained from the dense store.
- **The whole default recipe** is not measured here: its wall time stands in `recipes/digits/RESULTS.md`.
"""


def write_document(path: Path, machine: dict[str, Any], results: Sequence[Results]) -> None:
    """Write the page, or the part of this machine where the page is there already."""
    parts = _parts_of(path)
    parts[_heading(machine)] = render_part(machine, results)
    if not any(_OF_A_GPU in part for part in parts.values()):
        parts[NO_GPU] = NOT_RUN
    text = INTRODUCTION + "".join(f"{heading}\n\n{part}\n" for heading, part in parts.items()) + HOW_TO_READ
    path.write_text(text, encoding="utf-8")


def render_part(machine: dict[str, Any], results: Sequence[Results]) -> str:
    """A run as Markdown: the machine, the goals, then every figure."""
    goals = [(one, figure) for one in results for figure in one.figures if figure.goal]
    lines = [_machine(machine), "", "| goal of | figure | goal | measured | |", "| --- | --- | ---: | ---: | --- |"]
    lines += [
        f"| {one.name} | {figure.text} | {figure.shown_goal()} | {_measured(figure)} | {figure.verdict} |"
        for one, figure in goals
    ]
    for one in results:
        lines += ["", f"### {BENCHMARKS[one.name].title} (`--only {one.name}`)", ""]
        lines += ["| figure | measured |", "| --- | ---: |"]
        lines += [f"| {figure.text} | {_measured(figure)} |" for figure in one.figures]
        lines += [
            f"\n{figure.text}: {figure.note}." for figure in one.figures if figure.note and figure.value is not None
        ]
    return "\n".join(lines) + "\n"


def _measured(figure: Figure) -> str:
    return figure.shown() if figure.value is not None else f"not measured: {figure.note}"


def _heading(machine: dict[str, Any]) -> str:
    return ON + (machine["gpu"] if "gpu" in machine else f"{machine['cpu']} ({machine['cpu_family']})")


def _machine(machine: dict[str, Any]) -> str:
    flags = ", ".join(machine["flags"]) or "none of AVX2, AVX-512, bf16 and AMX"
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    gpu = f"{machine['gpu']}{_OF_A_GPU}" if "gpu" in machine else ""
    return (
        f"{gpu}{machine['cpu']} ({machine['cpu_family']}), {machine['cores']} cores, {flags}; {libraries}. "
        f"Load of the machine at the start: {machine['load']:g}."
    )


def _parts_of(path: Path) -> dict[str, str]:
    """What a page already says, by its headings, of machines that something was run on."""
    if not path.exists():
        return {}
    _, *parts = path.read_text(encoding="utf-8").split(HOW_TO_READ.splitlines()[0])[0].split(f"\n{ON}")
    found = (part.split("\n", 1) for part in parts)
    return {ON + name: text.strip("\n") + "\n" for name, text in found if ON + name != NO_GPU}
