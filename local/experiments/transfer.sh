# Transfer sets: students that learn the ensemble's soft targets on the training set, on other speech, or on both,
# alike and weighted. No student sees a transcript.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh

experiment_stop=7
if [[ ${transfer// /} == train ]]; then
  echo "error: --experiment transfer: the recipe $recipe has no other speech than its training set" >&2
  exit 2
fi

run_experiment() {
  local out=$exp/transfer seed most set evaluated=() extra=() extra_soft=()
  local alike=(asr-kd distill --config "$conf/transfer.conf")
  local weighted=(asr-kd distill --config "$conf/transfer_weighted.conf")
  for set in "${transfer_sets[@]}"; do
    [[ $set == train ]] || extra+=("$exp/frames/$set") extra_soft+=("$exp/soft/$set")
  done
  most=$(frames_in "$exp/frames/train" "${extra[@]}")
  for seed in "${seeds_of_students[@]}"; do
    transfer_student train "$exp/frames/train" -- "${alike[@]}" --soft-targets "$exp/soft/train"
    transfer_student extra "${extra[@]}" -- "${alike[@]}" --soft-targets "${extra_soft[@]}"
    transfer_student both "$exp/frames/train" "${extra[@]}" -- \
      "${alike[@]}" --soft-targets "$exp/soft/train" "${extra_soft[@]}"
    transfer_student weighted "$exp/frames/train" "${extra[@]}" -- \
      "${weighted[@]}" --soft-targets "$exp/soft/train" "${extra_soft[@]}"
  done
  finish_jobs
  for seed in "${seeds_of_members[@]}"; do
    transfer_evaluate baseline "baseline-$seed" "$exp/members/$seed"
  done
  transfer_evaluate ensemble ensemble "${members[@]}"
  for seed in "${seeds_of_students[@]}"; do
    for set in train extra both weighted; do
      transfer_evaluate "$set" "$set-$seed" "$out/students/$set-$seed"
    done
  done
  finish_jobs
  asr-kd score-frames "${origin[@]}" --title "students of one ensemble on different transfer sets" \
    -- "${evaluated[@]}" "$out/report"
}

# transfer_student KIND FRAMES ... -- COMMAND ...: every kind gets the updates of about $transfer_passes passes over all.
transfer_student() {
  local kind=$1 frames=() epochs
  shift
  while [[ $1 != -- ]]; do
    frames+=("$1")
    shift
  done
  shift
  epochs=$((transfer_passes * most / $(frames_in "${frames[@]}")))
  job "$exp/log/transfer-$kind-$seed.log" "$@" --device "$device" --seed "$seed" \
    --num-epochs "$epochs" --watch-every "$(((epochs + 5) / 6))" "${dev[@]}" -- "${frames[@]}" "$out/students/$kind-$seed"
}

# transfer_evaluate NAME DIR MODEL ...
transfer_evaluate() {
  local name=$1 dir=$2
  shift 2
  job "$exp/log/transfer-test-$dir.log" asr-kd evaluate --name "$name" --device "$device" \
    --frames "$exp/frames/test" --labels "$exp/ali/test" -- "$@" "$out/test/$dir"
  evaluated+=("$out/test/$dir")
}

# frames_in STORE ...: the frames of all of them
frames_in() {
  local store total=0
  for store in "$@"; do
    total=$((total + $(sed -n 's/^  "num_frames": \([0-9]*\).*/\1/p' "$store/meta.json")))
  done
  echo "$total"
}
