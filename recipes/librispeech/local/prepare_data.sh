#!/usr/bin/env bash
# Make DATA_DIR/{train,dev,test}, lexicon.txt and lm_text.gz from LibriSpeech.
# usage: recipes/librispeech/local/prepare_data.sh PARTS DATA_DIR
# PARTS: 47, the corpus of 47 speakers in $ASR_KD_CORPORA/librispeech47.
set -euo pipefail
if (($# != 2)); then
  echo "usage: $0 PARTS DATA_DIR" >&2
  exit 2
fi
parts=$1
data_dir=$2
mkdir -p "$data_dir"
corpus=$ASR_KD_CORPORA/librispeech47
for set in train dev test; do
  asr-kd fix-data "$corpus/data/$set" "$data_dir/$set"
done
{ cat "$corpus/lexicon.txt"; echo "<unk> SPN"; } >"$data_dir/lexicon.txt.partial"
mv "$data_dir/lexicon.txt.partial" "$data_dir/lexicon.txt"
