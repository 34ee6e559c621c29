# The stages of the MNIST recipe, in place of those of speech; sourced by run.sh.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh and the experiments

kinds_of_students="distilled distilled_mixed distilled_T4 no_3s no_3s_corrected only_7s_8s only_7s_8s_corrected T1 T20 T1000 matched_logits"

run_fold() {
  local exp=$2 labels dev members=() i seed student kind
  labels=$exp/ali/train
  dev=(--dev-frames "$exp/frames/dev" --dev-labels "$exp/ali/dev")
  local frames=("$exp/frames/train")
  local images=() hurry_big=() hurry_small=() hurry=() hurry_two=() grid=()
  if [[ $quick == true ]]; then
    images=(--train-images 10000)
    hurry_big=(--num-epochs 8)
    hurry_small=(--num-epochs 4)
    hurry=(--num-epochs 8)
    hurry_two=(--num-epochs 40 --batch-size 64)
    grid=(--temperatures 1 4 20 --hidden-dims 100 30 --seeds 11 --num-epochs 4)
  fi

  if at_stage 0 "images as frames, digits as labels"; then
    recipes/mnist/local/prepare_data.sh "$exp" --protocol "$protocol" "${images[@]}"
  fi
  for seed in "${seeds_of_members[@]}"; do
    members+=("$exp/members/$seed")
  done
  if at_stage 6 "the big net and, on hard targets, the small one"; then
    for seed in "${seeds_of_members[@]}"; do
      train_net big "$exp/members/$seed" "${hurry_big[@]}"
    done
    for seed in "${seeds_of_members[@]}"; do
      train_net small "$exp/small/$seed" "${hurry_small[@]}"
    done
    finish_jobs
  fi
  if at_stage 7 "the big nets' logits"; then
    for seed in "${seeds_of_members[@]}"; do
      job "$exp/log/soft-$seed.log" asr-kd make-soft-targets --config "$conf/soft_targets.conf" --device "$device" \
        "$exp/frames/train" "$exp/members/$seed" "$exp/soft/$seed"
    done
    finish_jobs
  fi
  if at_stage 8 "students: all digits, mixtures of them, without 3s, 7s and 8s alone, matching logits"; then
    for i in "${!seeds_of_students[@]}"; do
      teach distilled distilled "${hurry[@]}"
      teach distilled_mixed distilled_mixed "${hurry[@]}"
      teach distilled distilled_T4 "${hurry[@]}" --temperature 4
      teach distilled no_3s "${hurry[@]}" --leave-out-pdfs 3
      teach only_7s_8s only_7s_8s "${hurry_two[@]}"
      teach matched_logits matched_logits "${hurry[@]}"
      teach temperature_limits T1 "${hurry[@]}" --temperature 1
      teach temperature_limits T20 "${hurry[@]}" --temperature 20
      teach temperature_limits T1000 "${hurry[@]}" --temperature 1000
    done
    finish_jobs
    for student in "${seeds_of_students[@]}"; do
      correct no_3s --pdfs 3
      correct only_7s_8s --pdfs 7 8
    done
    finish_jobs
  fi
  if [[ -n $experiment ]]; then
    make_experiment
    return
  fi
  if at_stage 9 "temperature against width, chosen on images that no student saw"; then
    recipes/mnist/local/prepare_data.sh "$exp/held_out" --protocol held-out "${images[@]}"
    asr-kd make-soft-targets --config "$conf/soft_targets.conf" --device "$device" \
      "$exp/held_out/frames/train" "${members[0]}" "$exp/soft/held_out"
    asr-kd sweep --config "$conf/sweep.conf" "${grid[@]}" "${origin[@]}" --device "$device" --nj "$(job_places)" \
      --soft-targets "$exp/soft/held_out" --teachers "${members[0]}" --labels "$exp/held_out/ali/train" \
      --dev-frames "$exp/held_out/frames/dev" --dev-labels "$exp/held_out/ali/dev" \
      --test-frames "$exp/held_out/frames/test" --test-labels "$exp/held_out/ali/test" \
      -- "$exp/held_out/frames/train" "$exp/sweep"
  fi
  if at_stage 10 "evaluate on the test images"; then
    for seed in "${seeds_of_members[@]}"; do
      evaluate big big "$exp/members/$seed"
      evaluate small small "$exp/small/$seed"
    done
    for kind in $kinds_of_students; do
      for student in "${seeds_of_students[@]}"; do
        evaluate "$kind" "$kind" "$exp/students/$kind-$student"
      done
    done
    finish_jobs
  fi
}

# train_net CONF MODEL [OPTION ...]: with $seed, on hard targets
train_net() {
  local name=$1 model=$2
  shift 2
  job "$exp/log/$name-$seed.log" asr-kd train --config "$conf/$name.conf" "$@" --device "$device" --seed "$seed" \
    --labels "$labels" "${dev[@]}" -- "$exp/frames/train" "$model"
}

# teach CONF KIND [OPTION ...]: the $i-th student of a kind, from the $i-th big net
teach() {
  local name=$1 kind=$2 teacher=${seeds_of_members[i]} student=${seeds_of_students[i]}
  local stored=(--soft-targets "$exp/soft/$teacher")
  shift 2
  # Of a mixture the teacher must be asked.
  [[ $name != distilled_mixed ]] || stored=()
  job "$exp/log/$kind-$student.log" asr-kd distill --config "$conf/$name.conf" "$@" --device "$device" \
    --seed "$student" "${stored[@]}" --teachers "$exp/members/$teacher" \
    --labels "$labels" "${dev[@]}" -- "$exp/frames/train" "$exp/students/$kind-$student"
}

# correct KIND --pdfs CLASS ...: the biases of $student
correct() {
  local kind=$1
  shift
  job "$exp/log/$kind-$student.log" asr-kd correct-bias "$@" --device "$device" "${dev[@]}" \
    -- "$exp/students/$kind-$student" "$exp/students/${kind}_corrected-$student"
}

# evaluate SYSTEM CONF MODEL
evaluate() {
  local model=$3
  job "$exp/log/evaluate-$1-${model##*[-/]}.log" asr-kd evaluate --name "$1" --conf "$conf/$2.conf" --device "$device" \
    --frames "$exp/frames/test" --labels "$exp/ali/test" -- "$model" "$exp/evaluate/$1-${model##*[-/]}"
}

score_folds() {
  local evaluated=() kind title="the paper's section 3"
  [[ $quick == false ]] || title+=", quick form"
  for kind in big small; do
    evaluated+=("${seeds_of_members[@]/#/"$results_dir/evaluate/$kind-"}")
  done
  for kind in $kinds_of_students; do
    evaluated+=("${seeds_of_students[@]/#/"$results_dir/evaluate/$kind-"}")
  done
  if at_stage 11 "score and report"; then
    asr-kd score-frames "${origin[@]}" --title "$title" --baseline small --teacher big -- \
      "${evaluated[@]}" "$results_dir/score"
    if [[ $results_dir == recipes/$recipe/exp ]]; then
      cp "$results_dir/score/RESULTS.md" "$report"
      cp "$results_dir/sweep/report/RESULTS.md" "recipes/$recipe/SWEEP.md"
    fi
  fi
}
