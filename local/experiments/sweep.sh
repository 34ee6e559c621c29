# Temperatures and weights: a student for each, and which differences are more than chance.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh

experiment_stop=6

run_experiment() {
  asr-kd sweep --config "$conf/sweep.conf" --device "$device" --nj "$(job_places)" "${origin[@]}" \
    --teachers "${members[@]}" --labels "${labels[@]}" "${dev[@]}" \
    --test-frames "$exp/frames/test" --test-labels "$exp/ali/test" -- "${frames[@]}" "$exp/sweep"
}
