#!/usr/bin/env bash
# From audio and transcripts to the table of baseline, ensemble and distilled models.
#
#   ./run.sh [--recipe NAME] [--stage N] [--stop-stage N] [--nj N] [--device cpu|cuda]
#            [--exp-dir DIR] [--data-dir DIR] [--conf-dir DIR] [--experiment NAME] [option of the recipe ...]
#
# A stage that is done is a no-op; training that was interrupted carries on where it stopped, other stages begin anew.
# recipes/<name>/recipe.sh holds what differs from corpus to corpus, recipes/<name>/conf the settings.
# An experiment (local/experiments/<name>.sh) takes the stages that it needs, then makes a table of its own.
set -euo pipefail
if ((BASH_VERSINFO[0] < 5 || (BASH_VERSINFO[0] == 5 && BASH_VERSINFO[1] < 1))); then
  echo "error: run.sh needs bash 5.1 or newer, this is $BASH_VERSION" >&2
  exit 1
fi
caller=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
source local/environment.sh
source local/options.sh
source local/jobs.sh
source local/units.sh

recipe=digits
for ((i = 1; i <= $#; i++)); do
  case ${!i} in
    --recipe) j=$((i + 1)) && recipe=${!j:-} ;;
    --recipe=*) recipe=${!i#*=} ;;
  esac
done
if [[ ! -f "recipes/$recipe/recipe.sh" ]]; then
  echo "error: no recipe '$recipe'; there are: $(cd recipes && echo *)" >&2
  exit 2
fi
if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
  sed -n '2,9p' run.sh | sed 's/^# \{0,1\}//'
  echo "recipes: $(cd recipes && echo *)"
  echo "experiments: $(cd local/experiments && basename -s .sh -- * | xargs)"
  echo
  echo "--recipe $recipe:"
  sed -n '/^#/!q; /shellcheck/q; s/^# \{0,1\}//p' "recipes/$recipe/recipe.sh"
  exit 0
fi
stage=0
stop_stage=12
nj=$(usable_cores)
device=cpu
exp_dir=recipes/$recipe/exp
data_dir=recipes/$recipe/data
conf_dir=recipes/$recipe/conf
report=recipes/$recipe/RESULTS.md
experiment=""
pipeline=""
recipe_options=()
package_extras=""  # extras of the package that the recipe needs (setup.cfg)
train_sets=train   # transcribed sets that the members learn from; states and alignment model come from the first
units=phones       # what is recognised: words by their phones, or by their spelling: sentencepiece, char
vocab_size=500     # pieces, for sentencepiece
characters=""      # that are spoken, beside letters and apostrophes, where words are spelled
extend_lexicon=true  # where the recipe has extend_lexicon.conf: add the words of lm_text that the lexicon lacks to it
lm_text=""         # text for n-gram models
arpa=""            # n-gram models instead of those that conf/lm.conf and conf/lm_large.conf ask for
arpa_large=""
# shellcheck disable=SC2034  # read by the experiment
train_fractions="0.03"  # of --experiment regularizer: parts of the data to train on
# shellcheck disable=SC2034  # read by the experiment
regularizer_passes=4  # of it: every run has the updates of so many passes over all the data
# shellcheck disable=SC2034  # read by the experiment
transfer_passes=6  # of --experiment transfer: every student has the updates of so many passes over all its sets
# shellcheck disable=SC2034  # read by the experiment
specialists_student=distilled  # of --experiment specialists: which conf its students have
rescored=""        # systems that are scored rescored with the larger model, too: baseline, ensemble, distilled; all if empty
# shellcheck source=recipes/digits/recipe.sh
source "recipes/$recipe/recipe.sh"
parse_options recipe stage stop_stage nj device exp_dir data_dir conf_dir experiment units vocab_size \
  characters train_fractions "${recipe_options[@]}" -- "$@"
if ! [[ $nj =~ ^[1-9][0-9]*$ ]]; then
  echo "error: --nj must be a number of processes, not '$nj'" >&2
  exit 2
fi
for name in stage stop_stage; do
  if ! [[ ${!name} =~ ^(0|[1-9][0-9]*)$ ]]; then
    echo "error: --${name//_/-} must be the number of a stage, 0 to 12, not '${!name}'" >&2
    exit 2
  fi
done
# What the pages of results say of the run that they are of.
origin=(--recipe "$recipe" --protocol "$protocol" --command "./run.sh$(words_without stage stop-stage nj -- "$@")")
# What the caller names is meant from where the caller stands.
for name in exp data conf; do
  named=${name}_dir
  [[ ${!named} == /* || ${!named} == "recipes/$recipe/$name" ]] || printf -v "$named" '%s' "$caller/${!named}"
done
if [[ -n ${ASR_KD_CORPORA:-} ]]; then
  [[ $ASR_KD_CORPORA == /* ]] || export ASR_KD_CORPORA=$caller/$ASR_KD_CORPORA
  if [[ ! -d $ASR_KD_CORPORA ]]; then
    echo "error: ASR_KD_CORPORA names no folder: $ASR_KD_CORPORA" >&2
    exit 2
  fi
fi
[[ $exp_dir == "recipes/$recipe/exp" ]] || report=$exp_dir/RESULTS.md
# The default protocol's results lie in exp itself, another's in a folder of its name.
results_dir=$exp_dir
[[ $protocol == "$default_protocol" ]] || results_dir=$exp_dir/$protocol
protocol_data=$data_dir${protocol:+/$protocol}
use_protocol

conf=$conf_dir
if [[ -n $experiment ]]; then
  if [[ ! -f local/experiments/$experiment.sh ]]; then
    echo "error: no experiment '$experiment'; there are: $(cd local/experiments && basename -s .sh -- * | xargs)" >&2
    exit 2
  fi
  # shellcheck source=local/experiments/ledger.sh
  source "local/experiments/$experiment.sh"
  ((experiment_stop >= stop_stage)) || stop_stage=$experiment_stop
  mapfile -t needed_confs < <(sed "s/[$]specialists_student/$specialists_student/" "local/experiments/$experiment.sh" |
    grep -o '[$]conf/[a-z_]*[.]conf' | sort -u)
  for name in "${needed_confs[@]}"; do
    if [[ ! -f $conf/${name#*/} ]]; then
      echo "error: --experiment $experiment needs $conf/${name#*/}; recipes/digits/conf has one to begin with" >&2
      exit 2
    fi
  done
fi
read -ra seeds_of_members <<<"$member_seeds"
read -ra seeds_of_students <<<"$student_seeds"
read -ra student_kinds <<<"$students"
read -ra transfer_sets <<<"$transfer"
read -ra all_folds <<<"$folds"
read -ra extra_sets <<<"$untranscribed"
read -ra labelled_sets <<<"$train_sets"

[[ $units != sentencepiece ]] || package_extras+=" units"
read -ra needed_extras <<<"$package_extras"
prepare_environment "$root" "${needed_extras[@]}"
trap 'stop_jobs; echo "interrupted; the same command carries on from here" >&2; exit 130' INT TERM
trap stop_jobs EXIT

# Whether a stage is asked for; says its name if so.
at_stage() {
  (($1 >= stage && $1 <= stop_stage)) || return 1
  echo "== stage $1: $2" >&2
}

# The lexicon, with words of the text added where the recipe has settings for that: prints which file it is.
pronounced_words() {
  local data=$1 exp=$2
  if [[ $extend_lexicon == false || -z $lm_text || ! -f $conf/extend_lexicon.conf ]]; then
    echo "$lexicon"
    return
  fi
  asr-kd extend-lexicon --config "$conf/extend_lexicon.conf" "$lexicon" "$lm_text" "$data/train" "$exp/lexicon" >&2 ||
    return
  echo "$exp/lexicon/lexicon.txt"
}

# train_lms DATA EXP LEXICON: the n-gram models that the recipe has settings for, unless they are given
train_lms() {
  local data=$1 exp=$2 words=$3
  if [[ -z $arpa && -f $conf/lm.conf ]]; then
    asr-kd train-lm --config "$conf/lm.conf" --vocabulary "$words" -- ${lm_text:+"$lm_text"} "$data/train" "$exp/lm"
  fi
  if [[ -z $arpa_large && -f $conf/lm_large.conf ]]; then
    asr-kd train-lm --config "$conf/lm_large.conf" --vocabulary "$words" -- ${lm_text:+"$lm_text"} "$data/train" \
      "$exp/lm_large"
  fi
}

# What is spoken: lexicon and states, and n-gram models. A recipe may do otherwise.
declare -F prepare_language >/dev/null || prepare_language() {
  local data=$1 exp=$2 words
  if [[ $units != phones ]]; then
    prepare_units "$data" "$exp"
    return
  fi
  words=$(pronounced_words "$data" "$exp")
  asr-kd make-lang --config "$conf/lang.conf" "$data/train" "$data/dev" "$data/test" "$words" "$exp/lang"
  train_lms "$data" "$exp" "$words"
}

# The steps of one fold: data in $data, everything made from it in $exp.
run_fold() {
  local data=$1 exp=$2 fold=$3
  local labels=() dev=(--dev-frames "$exp/frames/dev" --dev-labels "$exp/ali/dev")
  local lang=$exp/lang aligner=$exp/mono grammar=() members=() train_frames=() frames=() soft=() prior tying=()
  local listed=() logs=() log large="" number share threads seed set kind dir
  if [[ -f $conf/tying.conf ]]; then
    lang=$exp/tied
    aligner=$exp/tied_model
  fi
  if [[ -n $arpa || -f $conf/lm.conf ]]; then
    grammar=(--grammar arpa --arpa "${arpa:-$exp/lm/lm.arpa.gz}")
  fi
  if [[ -n $arpa_large || -f $conf/lm_large.conf ]]; then
    large=${arpa_large:-$exp/lm_large/lm.arpa.gz}
  fi
  if [[ $units != phones ]]; then
    grammar=(--grammar arpa --arpa "${arpa:-$exp/lm/lm.arpa.gz}" --lexicon "$exp/units/pieces.txt")
    large=""
  fi
  for set in "${labelled_sets[@]}"; do
    train_frames+=("$exp/frames/$set")
    labels+=("$exp/ali/$set")
  done

  if at_stage 0 "prepare data in $data"; then
    prepare_data "$data" "$fold"
  fi
  if at_stage 1 "lexicon, phones and HMM states, n-grams"; then
    prepare_language "$data" "$exp"
  fi
  if at_stage 2 "filter banks"; then
    # Side by side, each with all cores, for some sets are much larger than others; so, too, in stage 5.
    for set in "${labelled_sets[@]}" dev test "${extra_sets[@]}"; do
      log=$exp/log/frames-$set.log
      prior=()
      [[ $set == train ]] || prior=(--prior "$exp/frames/train")
      if declare -F make_frames >/dev/null; then
        make_frames "$data/$set" "$exp/frames/$set" "${prior[@]}"
      elif [[ " ${logs[*]} " != *" $log "* ]]; then
        logs+=("$log")
        job "$log" asr-kd make-fbank --config "$conf/fbank.conf" --nj "$nj" "${prior[@]}" \
          "$data/$set" "$exp/frames/$set"
      fi
      [[ $set != train ]] || finish_jobs
    done
    show_jobs "${logs[@]}"
  fi
  if at_stage 3 "alignment model by a flat start"; then
    # So small a network trains no faster with all threads; conf may ask for two.
    asr-kd flat-start --config "$conf/flat_start.conf" --device "$device" --nj "$nj" \
      "$data/train" "$exp/lang" "$exp/frames/train" "$exp/mono"
  fi
  if [[ -f $conf/tying.conf ]] && at_stage 4 "states in context, tied"; then
    asr-kd align --config "$conf/align.conf" --device "$device" --nj "$nj" \
      "$data/train" "$exp/lang" "$exp/frames/train" "$exp/mono" "$exp/mono_ali"
    # Spelling has no phones for noises.
    [[ $units == phones ]] || tying=(--untied-phones)
    asr-kd tie-states --config "$conf/tying.conf" "${tying[@]}" --device "$device" \
      "$exp/lang" "$exp/frames/train" "$exp/mono_ali" "$exp/mono" "$exp/tied"
    asr-kd train --config "$conf/tied.conf" --device "$device" --num-threads "$nj" --labels "$exp/tied" \
      --dev-frames "$exp/frames/train" --dev-labels "$exp/tied" -- "$exp/frames/train" "$exp/tied_model"
  fi
  if at_stage 5 "labels by forced alignment"; then
    logs=()
    for set in "${labelled_sets[@]}" dev test; do
      logs+=("$exp/log/align-$set.log")
      job "${logs[-1]}" asr-kd align --config "$conf/align.conf" --device "$device" --nj "$nj" \
        "$data/$set" "$lang" "$exp/frames/$set" "$aligner" "$exp/ali/$set"
    done
    show_jobs "${logs[@]}"
  fi
  for seed in "${seeds_of_members[@]}"; do
    members+=("$exp/members/$seed")
  done
  if at_stage 6 "the ensemble's ${#members[@]} members"; then
    if [[ $device == cuda* ]]; then
      # One of them would leave most of a GPU idle.
      asr-kd train-members --config "$conf/train.conf" --device "$device" --seeds "${seeds_of_members[@]}" \
        --labels "${labels[@]}" "${dev[@]}" -- "${train_frames[@]}" "$exp/members"
    else
      threads=""
      for number in "${!seeds_of_members[@]}"; do
        seed=${seeds_of_members[number]}
        share=$(share_of "${#members[@]}" "$number")
        [[ ${threads:-$share} == "$share" ]] || finish_jobs  # the last ones get the cores of those before
        threads=$share
        job "$exp/log/member-$seed.log" asr-kd train --config "$conf/train.conf" --device "$device" --seed "$seed" \
          --num-threads "$threads" --labels "${labels[@]}" "${dev[@]}" -- "${train_frames[@]}" "$exp/members/$seed"
      done
      finish_jobs
    fi
  fi
  for set in "${transfer_sets[@]}"; do
    frames+=("$exp/frames/$set")
    soft+=("$exp/soft/$set")
  done
  if at_stage 7 "soft targets: the ensemble's mean"; then
    for set in "${transfer_sets[@]}"; do
      asr-kd make-soft-targets --config "$conf/soft_targets.conf" --device "$device" --nj "$nj" \
        "$exp/frames/$set" "${members[@]}" "$exp/soft/$set"
    done
  fi
  if at_stage 8 "students: $students"; then
    for kind in "${student_kinds[@]}"; do
      for seed in "${seeds_of_students[@]}"; do
        job "$exp/log/$kind-$seed.log" asr-kd distill --config "$conf/$kind.conf" --device "$device" --seed "$seed" \
          --num-threads "$(share_of $((${#student_kinds[@]} * ${#seeds_of_students[@]})))" --soft-targets "${soft[@]}" --teachers "${members[@]}" --labels "${labels[@]}" "${dev[@]}" \
          -- "${frames[@]}" "$exp/students/$kind-$seed"
      done
    done
  fi
  if [[ -n $experiment ]]; then
    finish_jobs
    make_experiment
    return
  fi
  # While the last students train, the graph is built, and those recognise that are trained.
  if at_stage 9 "decoding graph"; then
    job "$exp/log/graph.log" asr-kd make-graph --config "$conf/graph.conf" "${grammar[@]}" "$lang" "$exp/graph"
  fi
  if at_stage 10 "recognise dev and test with every system"; then
    finish_job "$exp/log/graph.log"
    decode_members
    for kind in "${student_kinds[@]}"; do
      for seed in "${seeds_of_students[@]}"; do
        finish_job "$exp/log/$kind-$seed.log"
        decode "$kind-$seed" "$kind" "$kind.conf" "$exp/students/$kind-$seed"
      done
    done
    finish_jobs
    if [[ -n $large ]]; then
      for dir in "${listed[@]}"; do
        job "$exp/log/rescore-$dir.log" asr-kd rescore --old-lm "${arpa:-$exp/lm/lm.arpa.gz}" -- \
          "$exp/decode/$dir" "$large" "$exp/decode/$dir-rescored"
      done
      finish_jobs
    fi
  fi
  finish_jobs
  if at_stage 12 "a bundle of the first ${student_kinds[0]} student"; then
    kind=${student_kinds[0]}-${seeds_of_students[0]}
    asr-kd make-bundle --decoded "$exp/decode/$kind" "$exp/students/$kind" "$exp/graph" "$exp/bundle"
  fi
}

# The experiment asked for, in the fold that run_fold works on: its page goes into the recipe's folder, named after it.
make_experiment() {
  ((stop_stage >= experiment_stop)) || return 0
  local of_fold=${exp#"$exp_dir"}
  echo "== experiment: $experiment" >&2
  run_experiment
  [[ $exp_dir != "recipes/$recipe/exp" ]] ||
    cp "$exp/$experiment/report/RESULTS.md" "recipes/$recipe/${experiment^^}${of_fold//\//-}.md"
}

# The members by themselves and their ensemble: in one command, so that each scores the frames once.
decode_members() {
  local lists=()
  if is_rescored baseline; then
    lists=(--alone-lists)
    listed+=("${seeds_of_members[@]/#/baseline-}")
  fi
  decode ensemble ensemble train.conf "${members[@]}" --nj "$nj" \
    --alone-name baseline "${lists[@]}" --alone "${seeds_of_members[@]/#/"$exp/decode/baseline-"}"
}

# Whether a system is scored rescored with the larger n-gram model, too; where its members are, the ensemble is.
is_rescored() {
  [[ -n $large && (" ${rescored:-$1} " == *" $1 "* || $1 == ensemble && " $rescored " == *" baseline "*) ]]
}

# decode DIR SYSTEM CONF MODEL ... [--OPTION ...]: in the fold that run_fold works on
decode() {
  local dir=$1 system=$2 trained_with=$3 lists=() models=()
  shift 3
  while (($#)) && [[ $1 != --* ]]; do
    models+=("$1")
    shift
  done
  if is_rescored "$system"; then
    listed+=("$dir")
  else
    # Nothing would read them.
    lists=(--num-best 0)
  fi
  job "$exp/log/decode-$dir.log" asr-kd decode --config "$conf/decode.conf" --device "$device" \
    --nj "$(share_of $((1 + ${#student_kinds[@]} * ${#seeds_of_students[@]})))" \
    --name "$system" --conf "$conf/$trained_with" "${lists[@]}" \
    --dev-data "$data/dev" --dev-frames "$exp/frames/dev" \
    --test-data "$data/test" --test-frames "$exp/frames/test" --test-labels "$exp/ali/test" "$@" \
    -- "$exp/graph" "${models[@]}" "$exp/decode/$dir"
}

# Score all folds together, and write the page of all the recipe's protocols.
score_folds() {
  if at_stage 11 "score and report"; then
    local models=() found
    for found in "${arpa:-$results_dir/lm/lm.arpa.gz}" "${arpa_large:-$results_dir/lm_large/lm.arpa.gz}"; do
      [[ ! -f $found ]] || models+=("$found")
    done
    ((${#models[@]} == 0)) || models=(--lm "${models[@]}")
    asr-kd score "${origin[@]}" --data "${datasets[@]}" "${models[@]}" -- \
      "${experiments[@]}" "$results_dir/score"
    cmp -s "$results_dir/score/results.json" "$results_dir/results.json" ||
      cp "$results_dir/score/results.json" "$results_dir/results.json"
    local all_results=()
    for found in "$exp_dir" "$exp_dir"/*/; do
      found=${found%/}
      [[ ! -f $found/score/results.json || ! -f $found/results.json ]] || all_results+=("$found/results.json")
    done
    asr-kd report "${all_results[@]}" "$report"
  fi
}

# A recipe may have stages of its own instead of these.
# shellcheck source=recipes/mnist/pipeline.sh
[[ -z $pipeline ]] || source "$pipeline"

experiments=()
datasets=()
if ((${#all_folds[@]})); then
  for fold in "${all_folds[@]}"; do
    echo "==== fold $fold of ${#all_folds[@]}" >&2
    run_fold "$protocol_data/$fold" "$results_dir/$fold" "$fold"
    experiments+=("$results_dir/$fold")
    datasets+=("$protocol_data/$fold")
  done
else
  run_fold "$protocol_data" "$results_dir" ""
  experiments+=("$results_dir")
  datasets+=("$protocol_data")
fi
[[ -n $experiment ]] || score_folds
