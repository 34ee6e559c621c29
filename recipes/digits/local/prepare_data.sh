#!/usr/bin/env bash
# Make the synthetic digit corpus: DATA_DIR/{train,dev,test,extra}.
# usage: recipes/digits/local/prepare_data.sh DATA_DIR [OPTION of asr-kd make-digits ...]
set -euo pipefail

if (($# == 0)); then
  echo "usage: $0 DATA_DIR [OPTION of asr-kd make-digits ...]" >&2
  exit 2
fi
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data_dir=$1
shift

asr-kd make-digits "$data_dir" --config "$recipe/conf/corpus.conf" "$@"
