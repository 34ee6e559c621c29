#!/usr/bin/env bash
# Make frame stores and labels of MNIST in EXP_DIR. The files are taken from $ASR_KD_CORPORA/mnist where that exists,
# else fetched; asr-kd make-mnist verifies their checksums either way.
# usage: recipes/mnist/local/prepare_data.sh EXP_DIR [OPTION of asr-kd make-mnist ...]
set -euo pipefail

mirror=https://ossci-datasets.s3.amazonaws.com/mnist

if (($# == 0)); then
  echo "usage: $0 EXP_DIR [OPTION of asr-kd make-mnist ...]" >&2
  exit 2
fi
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exp_dir=$1
shift

if [[ -n ${ASR_KD_CORPORA:-} && -d $ASR_KD_CORPORA/mnist ]]; then
  corpus=$ASR_KD_CORPORA/mnist
else
  corpus=$recipe/download/mnist
  mkdir -p "$corpus"
  for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
    [[ ! -f $corpus/$name-ubyte.gz ]] || continue
    if ! curl --fail --silent --show-error --location --output "$corpus/$name.partial" "$mirror/$name-ubyte.gz"; then
      rm -f "$corpus/$name.partial"
      echo "$0: cannot fetch $mirror/$name-ubyte.gz; put MNIST's four files at $corpus, or name a folder of corpora" \
        "that holds mnist/ in ASR_KD_CORPORA" >&2
      exit 1
    fi
    mv "$corpus/$name.partial" "$corpus/$name-ubyte.gz"
  done
fi

asr-kd make-mnist "$@" "$corpus" "$exp_dir"
