#!/usr/bin/env bash
# Check data directories and copy them to DATA_DIR/{train,dev,test,extra}. Of TRAIN, a tenth each becomes dev and test
# where these are ''. Where there is audio, perturbed is train at other speeds, and so is extra where EXTRA is ''.
# usage: recipes/custom/local/prepare_data.sh DATA_DIR TRAIN DEV TEST EXTRA \
#          --sample-rate HZ --nj N --channel C [--allow-commands]
set -euo pipefail

few_speakers=10   # with fewer, a tenth of the speakers is none

if (($# < 11)); then
  echo "usage: $0 DATA_DIR TRAIN DEV TEST EXTRA --sample-rate HZ --nj N --channel C [--allow-commands]" >&2
  exit 2
fi
data_dir=$1
declare -A source=([train]=$2 [dev]=$3 [test]=$4 [extra]=$5)
audio=("${@:6:6}")
allow=("${@:12}")

for set in train dev test; do
  [[ -z ${source[$set]} ]] || asr-kd validate-data "${allow[@]}" "${source[$set]}" >&2
done
[[ -z ${source[extra]} ]] || asr-kd validate-data "${allow[@]}" --need-text=false "${source[extra]}" >&2

held_out=()
for set in dev test; do
  [[ -n ${source[$set]} ]] || held_out+=("$set:0.1")
done
if ((${#held_out[@]})); then
  by=speaker
  (($(awk '{ print $2 }' "${source[train]}/utt2spk" | sort -u | wc -l) >= few_speakers)) || by=utterance
  share=0.$((10 - ${#held_out[@]}))
  asr-kd split-data "${allow[@]}" "${source[train]}" "$data_dir/parts" --by "$by" --parts "train:$share" "${held_out[@]}"
  for set in train "${held_out[@]%:*}"; do
    source[$set]=$data_dir/parts/$set
  done
fi
for set in train dev test; do
  asr-kd fix-data "${allow[@]}" "${source[$set]}" "$data_dir/$set"
done
if [[ -n ${source[extra]} ]]; then
  asr-kd fix-data "${allow[@]}" --need-text=false "${source[extra]}" "$data_dir/extra"
fi
if [[ -f $data_dir/train/wav.scp ]]; then
  perturb=(asr-kd perturb-speed "${audio[@]}" "${allow[@]}")
  "${perturb[@]}" --factors 0.9 1.1 -- "$data_dir/train" "$data_dir/perturbed"
  [[ -n ${source[extra]} ]] ||
    "${perturb[@]}" --factors 0.85 0.95 1.05 1.15 --transcripts=false -- "$data_dir/train" "$data_dir/extra"
fi
