# Soft targets as regularisers (the paper's table 5): part of the data with hard targets, stopped early and not, and
# with soft targets of a single model and of the ensemble, which were trained on all of it.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh

experiment_stop=7
for fraction in $train_fractions; do
  if ! awk -v part="$fraction" 'BEGIN { exit !(part ~ /^0?[.][0-9]+$/ && part > 0) }'; then
    echo "error: --train-fractions: shares of the data between 0 and 1, not '$fraction'" >&2
    exit 2
  fi
done
transfer=train    # only these frames need soft targets
untranscribed=""
# 3 % of the data is the paper's, and the smallest part in which every state of digits and fsdd has frames.
regularizer_seeds=(21 22 23)  # not the members': soft targets are to be learnt from other initial weights than theirs

run_experiment() {
  local out=$exp/regularizer fraction epochs seed fractions
  local hard=(asr-kd train --config "$conf/regularizer_hard.conf")
  local soft=(asr-kd distill --config "$conf/regularizer_soft.conf")
  regularizer_models=()
  regularizer_names=()
  asr-kd make-soft-targets --config "$conf/soft_targets.conf" --device "$device" --nj "$nj" \
    "$exp/frames/train" "${members[0]}" "$out/soft-single"
  read -ra fractions <<<"$train_fractions"
  for fraction in "${fractions[@]}"; do
    # As many updates for every share of the data, for hard and soft alike.
    epochs=$(awk -v part="$fraction" -v passes="$regularizer_passes" \
      'BEGIN { epochs = passes / part; print sprintf(epochs < 10 ? "%.0f" : "%.2g", epochs) + 0 }')
    for seed in "${regularizer_seeds[@]}"; do
      regularizer_run "hard" hard "${hard[@]}"
      regularizer_run "hard, early stopping" early "${hard[@]}" --early-stopping 8
      regularizer_run "soft, single model" single "${soft[@]}" --soft-targets "$out/soft-single"
      regularizer_run "soft, ensemble" ensemble "${soft[@]}" --soft-targets "$exp/soft/train"
    done
  done
  finish_jobs
  regularizer_report
}

# regularizer_run NAME KIND COMMAND ...: with the share of the data, passes and seed of run_experiment
regularizer_run() {
  local name=$1 kind=$2 model=$out/models/$2-$fraction-$seed
  shift 2
  # The cross-entropy of hard targets is lowest after a pass or two: the first looks are close together. Their accuracy
  # may dip there and rise again: early stopping waits for eight looks, eight times as many passes.
  job "$exp/log/regularizer-$kind-$fraction-$seed.log" "$@" \
    --device "$device" --seed "$seed" --train-fraction "$fraction" --fraction-seed "$seed" \
    --num-epochs "$epochs" --watch-growth 1.3 --labels "$exp/ali/train" "${dev[@]}" \
    --watch-frames "$exp/frames/test" --watch-labels "$exp/ali/test" --watch-train -- "$exp/frames/train" "$model"
  regularizer_models+=("$model")
  regularizer_names+=("$name")
}

regularizer_report() {
  local seed index evaluated=() fitted=()
  for seed in "${seeds_of_members[@]}"; do
    regularizer_models+=("$exp/members/$seed")
    regularizer_names+=("hard")
    job "$exp/log/regularizer-fitted-$seed.log" asr-kd evaluate --name hard --device "$device" \
      --frames "$exp/frames/train" --labels "$exp/ali/train" -- "$exp/members/$seed" "$out/fitted/$seed"
    fitted+=("$out/fitted/$seed")
  done
  for index in "${!regularizer_models[@]}"; do
    evaluated+=("$out/test/$(basename "${regularizer_models[index]}")")
    job "$exp/log/regularizer-test-$index.log" asr-kd evaluate --name "${regularizer_names[index]}" \
      --device "$device" --frames "$exp/frames/test" --labels "$exp/ali/test" \
      -- "${regularizer_models[index]}" "${evaluated[index]}"
  done
  finish_jobs
  asr-kd regularizer-report "${origin[@]}" --full hard --hard "hard, early stopping" \
    --evaluated "${evaluated[@]}" --fitted "${fitted[@]}" -- "${regularizer_models[@]}" "$out/report"
}
