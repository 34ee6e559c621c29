# The ensemble ledger: what the members gain together, from how many of them, and what the students took of it.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with run.sh

experiment_stop=8

run_experiment() {
  local kind seed student_dirs=()
  for kind in "${student_kinds[@]}"; do
    for seed in "${seeds_of_students[@]}"; do
      student_dirs+=("$exp/students/$kind-$seed")
    done
  done
  asr-kd ensemble-report --device "$device" --nj "$nj" "${origin[@]}" \
    --frames "$exp/frames/test" --labels "$exp/ali/test" --student "${student_dirs[@]}" \
    -- "${members[@]}" "$exp/ledger/report"
}
