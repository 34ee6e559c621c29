# Specialists for the states a generalist confuses: what they add to it, and what one model keeps of them.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh

experiment_stop=6

# The generalist is the first member trained on until more updates bring little: a specialist is trained on, too, and
# should not be praised for that. "Trained on" is as many updates more as all specialists of a kind have together.
run_experiment() {
  local to=$exp/specialists log=$exp/log/specialists of_cluster cluster kind set seed
  local generalist=$to/generalist dustbin=() regularized=() fused=() plain=() others=()
  local start=(--labels "$exp/ali/train" "${dev[@]}" --device "$device" --generalist)
  local special=(asr-kd train-specialist --config "$conf/specialists.conf" "${start[@]}" "$generalist")

  asr-kd train-specialist --config "$conf/generalist.conf" "${start[@]}" "${members[0]}" -- "$exp/frames/train" "$generalist"
  asr-kd cluster-states --config "$conf/clusters.conf" --device "$device" --nj "$nj" \
    "$generalist" "$exp/frames/train" "$to/clusters"
  job "$log/trained-on.log" asr-kd train-specialist --config "$conf/trained_on.conf" "${start[@]}" "$generalist" \
    -- "$exp/frames/train" "$to/trained-on"
  for ((cluster = 0; cluster < $(number_of_clusters "$to/clusters"); cluster++)); do
    of_cluster=(--clusters "$to/clusters" --cluster "$cluster")
    dustbin+=("$to/dustbin/$cluster")
    regularized+=("$to/regularized/$cluster")
    job "$log/dustbin-$cluster.log" "${special[@]}" "${of_cluster[@]}" -- "$exp/frames/train" "$to/dustbin/$cluster"
    job "$log/regularized-$cluster.log" "${special[@]}" "${of_cluster[@]}" --regularize \
      -- "$exp/frames/train" "$to/regularized/$cluster"
  done
  finish_jobs
  for set in "${transfer_sets[@]}"; do
    fused+=("$to/soft/fused/$set")
    plain+=("$to/soft/plain/$set")
    asr-kd fuse-specialists --config "$conf/fused.conf" --device "$device" --nj "$nj" \
      --generalist "$generalist" --specialists "${regularized[@]}" -- "$exp/frames/$set" "$to/soft/fused/$set"
    asr-kd fuse-specialists --config "$conf/fused.conf" --device "$device" --nj "$nj" \
      --generalist "$generalist" -- "$exp/frames/$set" "$to/soft/plain/$set"
  done
  for seed in "${seeds_of_students[@]}"; do
    student_of "student of generalist" plain "$seed" "${plain[@]}"
    student_of "student of generalist + specialists" fused "$seed" "${fused[@]}"
  done
  finish_jobs
  asr-kd specialist-report "${origin[@]}" --device "$device" --nj "$nj" \
    --labels "$exp/ali/test" "${dev[@]}" --train-frames "$exp/frames/train" --train-labels "$exp/ali/train" \
    --generalist "$generalist" --specialists "${dustbin[@]}" --regularized "${regularized[@]}" \
    --others "first member=${members[0]}" "trained on=$to/trained-on" "${others[@]}" --ensemble "${members[@]}" \
    --distilled "${fused[0]}" --clusters "$to/clusters" -- "$exp/frames/test" "$to/report"
}

# student_of NAME DIR SEED SOFT_TARGETS ...: in the experiment that run_experiment works on
student_of() {
  local name=$1 dir=$to/students/$2-$3 seed=$3
  others+=("$name=$dir")
  job "$log/student-$2-$3.log" asr-kd distill --config "$conf/$specialists_student.conf" --device "$device" --seed "$seed" \
    --soft-targets "${@:4}" --labels "${labels[@]}" "${dev[@]}" -- "${frames[@]}" "$dir"
}

number_of_clusters() {
  python -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["clusters"]))' "$1/clusters.json"
}
