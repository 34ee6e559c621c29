#!/usr/bin/env bash
# Make strings of FSDD digits: DATA_DIR/{train,dev,test}. The dataset is taken from $ASR_KD_CORPORA/fsdd where
# that exists, else fetched from its repository; asr-kd make-fsdd verifies its checksum either way.
# usage: recipes/fsdd/local/prepare_data.sh DATA_DIR [OPTION of asr-kd make-fsdd ...]
set -euo pipefail

repository=https://github.com/Jakobovski/free-spoken-digit-dataset.git

if (($# == 0)); then
  echo "usage: $0 DATA_DIR [OPTION of asr-kd make-fsdd ...]" >&2
  exit 2
fi
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data_dir=$1
shift

if [[ -n ${ASR_KD_CORPORA:-} && -d $ASR_KD_CORPORA/fsdd ]]; then
  corpus=$ASR_KD_CORPORA/fsdd
else
  corpus=$recipe/download/fsdd
  if [[ ! -d $corpus ]]; then
    mkdir -p "$(dirname "$corpus")"
    rm -rf "$corpus.partial"
    if ! git clone --depth 1 "$repository" "$corpus.partial"; then
      echo "$0: cannot fetch $repository; put a copy of it at $corpus, or name a folder of corpora that holds" \
        "fsdd/ in ASR_KD_CORPORA" >&2
      exit 1
    fi
    mv "$corpus.partial" "$corpus"
  fi
fi

# The protocol given last wins, so that one among the options replaces this default.
asr-kd make-fsdd "$corpus" "$data_dir" --config "$recipe/conf/corpus.conf" --protocol official "$@"
