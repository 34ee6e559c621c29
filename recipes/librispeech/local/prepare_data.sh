#!/usr/bin/env bash
# Make DATA_DIR/{train,dev,test}, two sets of train at other speeds, the lexicon and what is known of the language.
# usage: recipes/librispeech/local/prepare_data.sh PARTS NJ DATA_DIR
#   PARTS 47    47 speakers, from $ASR_KD_CORPORA/librispeech47: lm_text.gz is text for n-gram models
#   PARTS mini  Mini LibriSpeech (OpenSLR 31): 5 h; the speakers of its dev set are halved into dev and test
#   PARTS 100, 960   of LibriSpeech (OpenSLR 12), with its dev-clean and test-clean
# mini, 100 and 960 are taken from $ASR_KD_CORPORA/LibriSpeech where all their parts are there, else lhotse downloads
# what is not complete; their lexicon and n-gram models are fetched (OpenSLR 11): lm.arpa.gz makes a graph that fits in
# common memory, lm_large.arpa.gz rescores.
set -euo pipefail

if (($# != 3)); then
  echo "usage: $0 PARTS NJ DATA_DIR" >&2
  exit 2
fi
parts=$1
nj=$2
data_dir=$3
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
download=$recipe/download
resources=https://www.openslr.org/resources/11

# fetch FILE: one of the language resources of LibriSpeech, whole or not at all
fetch() {
  [[ ! -f $download/$1 ]] || return 0
  mkdir -p "$download"
  if ! curl --fail --location --silent --show-error --output "$download/$1.partial" "$resources/$1"; then
    echo "$0: cannot fetch $resources/$1; put a copy of it in $download" >&2
    exit 1
  fi
  mv "$download/$1.partial" "$download/$1"
}

# write FILE: standard input, whole or not at all, and left alone where nothing changes
write() {
  cat >"$1.partial"
  if cmp -s "$1.partial" "$1"; then rm "$1.partial"; else mv "$1.partial" "$1"; fi
}

# check_folder: DATA_DIR is for these parts alone
check_folder() {
  [[ -f $data_dir/parts && $(<"$data_dir/parts") != "$parts" ]] || return 0
  echo "$0: $data_dir holds parts $(<"$data_dir/parts"), not $parts; name other folders with --data-dir and --exp-dir" >&2
  exit 1
}

take_folder() {
  mkdir -p "$data_dir"
  echo "$parts" | write "$data_dir/parts"
}

# has_parts FOLDER PART ...
has_parts() {
  local part
  for part in "${@:2}"; do
    [[ -d $1/$part ]] || return 1
  done
}

# download PART ...: what is not complete yet, into $download/LibriSpeech; an interrupted part is carried on
download() {
  local fetch='import sys; from lhotse.recipes import download_librispeech as fetch; fetch(sys.argv[1], sys.argv[2:])'
  if ! python -c "$fetch" "$download" "$@"; then
    echo "$0: cannot fetch all of $*; the same command carries on. Or put them in LibriSpeech/ of the folder of corpora" \
      "that ASR_KD_CORPORA names" >&2
    exit 1
  fi
}

# prepare PART ...: data directories $work/PART of LibriSpeech, made by lhotse
prepare() {
  local part given=()
  for part in "$@"; do given+=(-p "$part"); done
  lhotse prepare librispeech -j "$nj" "${given[@]}" "$corpus" "$work/manifests"
  for part in "$@"; do
    lhotse kaldi export "$work/manifests/librispeech_recordings_$part.jsonl.gz" \
      "$work/manifests/librispeech_supervisions_$part.jsonl.gz" "$work/$part"
    # lhotse has ffmpeg read the audio, where we read it ourselves.
    sed -E -i 's/^(\S+) ffmpeg .* -i (\S+\.flac) .*\|$/\1 \2/' "$work/$part/wav.scp"
  done
}

# join OUT PART ...: one data directory of several
join() {
  local out=$1 file part
  shift
  mkdir -p "$work/$out"
  for file in wav.scp text utt2spk; do
    for part in "$@"; do cat "$work/$part/$file"; done | LC_ALL=C sort >"$work/$out/$file"
  done
}

check_folder
if [[ $parts == 47 ]]; then
  corpus=${ASR_KD_CORPORA:-}/librispeech47
  if [[ -z ${ASR_KD_CORPORA:-} || ! -d $corpus ]]; then
    echo "$0: no librispeech47 in the folder of corpora that ASR_KD_CORPORA names; --parts mini is downloaded" >&2
    exit 1
  fi
  take_folder
  for set in train dev test; do
    asr-kd fix-data "$corpus/data/$set" "$data_dir/$set"
  done
  { cat "$corpus/lexicon.txt" && echo "<unk> SPN"; } | write "$data_dir/lexicon.txt"
  write "$data_dir/lm_text.gz" <"$corpus/lm_text.txt.gz"
else
  case $parts in
    mini) train=(train-clean-5) dev=(dev-clean-2) test=() ;;
    100) train=(train-clean-100) dev=(dev-clean) test=(test-clean) ;;
    960) train=(train-clean-100 train-clean-360 train-other-500) dev=(dev-clean) test=(test-clean) ;;
    *)
      echo "$0: no parts '$parts'; there are: 47 mini 100 960" >&2
      exit 2
      ;;
  esac
  if ! command -v lhotse >/dev/null; then
    echo "$0: lhotse is not installed, which prepares LibriSpeech; run: $(command -v python) -m pip install lhotse urllib3" >&2
    exit 1
  fi
  corpus=${ASR_KD_CORPORA:-}/LibriSpeech
  if [[ -z ${ASR_KD_CORPORA:-} ]] || ! has_parts "$corpus" "${train[@]}" "${dev[@]}" "${test[@]}"; then
    download "${train[@]}" "${dev[@]}" "${test[@]}"
    corpus=$download/LibriSpeech
  fi
  take_folder
  work=$data_dir/lhotse-$parts
  if [[ ! -f $work/done ]]; then
    rm -rf "$work"
    prepare "${train[@]}" "${dev[@]}" "${test[@]}"
    join all-train "${train[@]}"
    touch "$work/done"
  fi
  asr-kd fix-data "$work/all-train" "$data_dir/train"
  if ((${#test[@]})); then
    asr-kd fix-data "$work/${dev[0]}" "$data_dir/dev"
    asr-kd fix-data "$work/${test[0]}" "$data_dir/test"
  else
    asr-kd split-data "$work/${dev[0]}" "$data_dir/halves" --parts dev:0.5 test:0.5
    for set in dev test; do
      asr-kd fix-data "$data_dir/halves/$set" "$data_dir/$set"
    done
  fi
  fetch librispeech-lexicon.txt
  fetch 3-gram.pruned.3e-7.arpa.gz
  fetch 3-gram.pruned.1e-7.arpa.gz
  { tr -d '[:digit:]' <"$download/librispeech-lexicon.txt" | tr '\t' ' ' | tr -s ' ' | LC_ALL=C sort -u &&
    echo "<unk> SPN"; } | write "$data_dir/lexicon.txt"
  write "$data_dir/lm.arpa.gz" <"$download/3-gram.pruned.3e-7.arpa.gz"
  write "$data_dir/lm_large.arpa.gz" <"$download/3-gram.pruned.1e-7.arpa.gz"
fi
asr-kd perturb-speed --factors 0.9 1.1 --nj "$nj" -- "$data_dir/train" "$data_dir/perturbed"
asr-kd perturb-speed --factors 0.85 0.95 1.05 1.15 --transcripts false --nj "$nj" -- "$data_dir/train" "$data_dir/extra"
