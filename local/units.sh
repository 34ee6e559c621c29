# Recognition without a pronunciation lexicon (asr_kd/lang/units.py). Sourced by run.sh.
# usage: prepare_units DATA EXP    makes EXP/lang, EXP/units with what is recognised, and an n-gram model of it in EXP/lm
# It reads $units (sentencepiece or char), $vocab_size, $characters, $conf, $arpa, and $lm_text, which adds to the
# transcripts' n-grams.
# shellcheck shell=bash

prepare_units() {
  local data=$1 exp=$2 order=5 sets=() text=()
  sets=("$data/train" "$data/dev" "$data/test")
  # An n-gram must reach over a word or two to know which units are words.
  [[ ${units:?} != char ]] || order=8
  [[ -z ${lm_text:-} ]] || text=(--text "$lm_text")
  asr-kd make-units --units "$units" --vocab-size "${vocab_size:?}" --characters="${characters:-}" \
    "${sets[@]}" "$exp/units" "${text[@]}"
  asr-kd make-lang --config "${conf:?}/lang.conf" --position-dependent-phones=false --oov-word= \
    "${sets[@]}" "$exp/units/lexicon.txt" "$exp/lang"
  [[ -z ${arpa:-} ]] || return 0
  asr-kd apply-units "$exp/units" ${lm_text:+"$lm_text"} "$data/train" "$exp/units_text"
  asr-kd train-lm --order "$order" --prune 2e-7 --vocabulary "$exp/units/pieces.txt" "$exp/units_text/text.gz" "$exp/lm"
}
