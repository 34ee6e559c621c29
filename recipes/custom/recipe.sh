# Your own Kaldi data directories. docs/adding.md says more.
#   --train DIR       transcribed speech
#   --dev DIR, --test DIR   a tenth of train each where they are not given
#   --extra DIR       speech without transcripts for the students; without it they hear train at four more speeds
#   --lexicon FILE    pronunciations (--oov-word WORD: its entry for words that it lacks); without a lexicon,
#   --units sentencepiece|char, --vocab-size V   words are spelled and recognised in pieces
#   --characters STRING   those that are spoken, beside letters and apostrophes
#   --lm-text FILE    text for n-grams, beside train's transcripts; or --arpa FILE, n-grams (of pieces, with --units)
#   --arpa-large FILE   larger n-grams of words, to rescore the best hypotheses with
#   --extend-lexicon  add the words of the text that the lexicon lacks, said as it says its own
#   --sample-rate HZ, --channel N|mix   of the audio
#   --allow-commands  run entries of wav.scp and feats.scp that end in '|'
# shellcheck shell=bash disable=SC2034  # variables are read by run.sh

member_seeds="1 2 3 4 5"
student_seeds="11"                     # not the members': a student must not start from a teacher's initial weights
students="distilled distilled_small"   # conf/<name>.conf each; the first one is bundled
train_sets="train perturbed"           # perturbed: train at other speeds
transfer="train perturbed extra"       # data sets the students learn from
untranscribed="extra"
default_protocol=""
protocol=""
folds=""
lexicon=""
train=""
dev=""
test=""
extra=""
units=""
oov_word=""
extend_lexicon=false
sample_rate=16000
channel=refuse
allow_commands=false
recipe_options=(member_seeds student_seeds train dev test extra lexicon oov_word extend_lexicon lm_text arpa arpa_large sample_rate channel allow_commands)

use_protocol() {
  local name
  [[ -n $train ]] || refuse "--train DIR is missing: a Kaldi data directory (docs/adding.md)"
  # What the caller names is meant from where the caller stands.
  for name in train dev test extra lexicon lm_text arpa arpa_large; do
    [[ -z ${!name} || ${!name} == /* ]] || printf -v "$name" '%s' "${caller:?}/${!name}"
    [[ -z ${!name} || -e ${!name} ]] || refuse "--${name//_/-}: no such file or directory: ${!name}"
  done
  [[ -z $lm_text || -z $arpa ]] || refuse "--lm-text and --arpa: n-grams come from one of them"
  [[ -n $units ]] || { [[ -n $lexicon ]] && units=phones || units=sentencepiece; }
  if [[ $extend_lexicon != false ]]; then
    [[ -n $lexicon && -n $lm_text ]] || refuse "--extend-lexicon needs --lexicon FILE and --lm-text FILE"
    package_extras=g2p
  fi
  [[ -z $arpa_large || $units == phones ]] || refuse "--arpa-large rescores words, not the pieces of --units $units"
  case $units in
    phones) [[ -n $lexicon ]] || refuse "--units phones needs --lexicon FILE" ;;
    sentencepiece | char) [[ -z $lexicon ]] || refuse "--units $units takes no --lexicon: words are spelled" ;;
    *) refuse "--units must be phones, sentencepiece or char, not '$units'" ;;
  esac
  # Features without audio cannot be had at other speeds, nor can a bundle hear through them.
  if of_features "$train"; then
    train_sets=train
    untranscribed=${extra:+extra}
    transfer="train $untranscribed"
    ((stop_stage < 12)) || stop_stage=11
  fi
  # In a fold, run.sh has variables of its own by some of these names.
  declare -gA given=([train]=$train [dev]=$dev [test]=$test [extra]=$extra)
  declare -ga allow=()
  [[ $allow_commands == false ]] || allow=(--allow-commands)
  declare -ga audio=(--sample-rate "$sample_rate" --nj "${nj:?}")
}

prepare_data() {
  local made=$1
  [[ $made == /* ]] || made=${root:?}/$made
  where_caller_stands "${root:?}/recipes/custom/local/prepare_data.sh" "$made" \
    "${given[train]}" "${given[dev]}" "${given[test]}" "${given[extra]}" \
    "${audio[@]}" --channel "$channel" "${allow[@]}"
}

prepare_language() {
  local data=$1 exp=$2 conf=${conf:?} words
  if [[ $units != phones ]]; then
    prepare_units "$data" "$exp"
    return
  fi
  words=$(pronounced_words "$data" "$exp")
  asr-kd make-lang --config "$conf/lang.conf" --oov-word "$oov_word" \
    "$data/train" "$data/dev" "$data/test" "$words" "$exp/lang"
  train_lms "$data" "$exp" "$words"
}

# make_frames DATA OUT [--prior STORE]
make_frames() {
  local data=$1 out=$2 prior=${4:-} conf=${conf:?} name of=$channel
  for name in data out prior conf; do
    [[ -z ${!name} || ${!name} == /* ]] || printf -v "$name" '%s' "${root:?}/${!name}"
  done
  if of_features "$data"; then
    where_caller_stands asr-kd import-feats --config "$conf/feats.conf" "${allow[@]}" "$data" "$out"
  else
    # Speech at other speeds lies in the set's own folder, and has one channel.
    [[ ! -d $data/audio ]] || of=refuse
    where_caller_stands asr-kd make-fbank --config "$conf/fbank.conf" "${audio[@]}" --channel "$of" "${allow[@]}" \
      ${prior:+--prior "$prior"} "$data" "$out"
  fi
}

# Relative paths in wav.scp and in its commands are meant from there.
where_caller_stands() {
  (cd "${caller:?}" && "$@")
}

of_features() {
  [[ -f $1/feats.scp && ! -f $1/wav.scp ]]
}

refuse() {
  echo "error: $1" >&2
  exit 2
}
