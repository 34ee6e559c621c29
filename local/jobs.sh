# Commands side by side, at most $nj at a time (two on a GPU), each with a log of its own. Not functions of the shell:
# what these call would not be stopped with them.
# usage: job LOG COMMAND ...; job LOG COMMAND ...; finish_job LOG; finish_jobs
#        show_jobs LOG ...       finish_jobs, then what the jobs of these logs said
#        share_of JOBS [PLACE]   the cores that each of so many jobs, or the one at a place among them, may use
# shellcheck shell=bash

job_pids=()
job_logs=()
declare -A job_begins=()  # of each log, the byte at which its last job begins

job() {
  local log=$1
  shift
  while ((${#job_pids[@]} >= $(job_places))); do
    reap_job
  done
  mkdir -p "$(dirname "$log")"
  touch "$log"
  job_begins[$log]=$(($(wc -c <"$log") + 1))
  "$@" >>"$log" 2>&1 &
  job_pids+=($!)
  job_logs+=("$log")
}

# Each job on a GPU asks for memory as if it were alone, and two keep it busy.
job_places() {
  if [[ ${device:?} == cuda* ]] && ((${nj:?} > 2)); then
    echo 2
  else
    echo "$nj"
  fi
}

share_of() {
  local jobs=$1 place=${2:-0} places last
  places=$(job_places)
  last=$((jobs % places))
  if ((place >= jobs - last)); then
    jobs=$last  # when their turn comes there is room for more
  elif ((jobs > places)); then
    jobs=$places
  fi
  echo $((nj / jobs))
}

# Wait until the job of a log has ended; others go on. One that ended before, or was none, is not waited for.
finish_job() {
  while [[ " ${job_logs[*]} " == *" $1 "* ]]; do
    reap_job
  done
}

finish_jobs() {
  while ((${#job_pids[@]})); do
    reap_job
  done
}

show_jobs() {
  local log
  finish_jobs
  for log in "$@"; do
    said_in "$log" >&2
  done
}

said_in() {
  tail -c "+${job_begins[$1]}" "$1"
}

# Wait for one job to end. If it failed, show why, stop the others (they keep what they have done) and fail.
reap_job() {
  local ended="" status=0 index pid
  wait -n -p ended "${job_pids[@]}" 2>/dev/null || status=$?
  if [[ -z ${ended:-} ]]; then
    # One that bash has taken off its list already is not waited for, though bash remembers how it ended.
    for pid in "${job_pids[@]}"; do
      if ! kill -0 "$pid" 2>/dev/null; then
        ended=$pid status=0
        wait "$pid" || status=$?
        break
      fi
    done
  fi
  for index in "${!job_pids[@]}"; do
    if [[ ${job_pids[index]} == "${ended:-}" ]]; then
      if ((status)); then
        echo "error: failed, see ${job_logs[index]}:" >&2
        said_in "${job_logs[index]}" | tail -n 3 >&2
        unset "job_pids[index]"
        stop_jobs
        exit "$status"
      fi
      unset "job_pids[index]" "job_logs[index]"
      job_pids=("${job_pids[@]}")
      job_logs=("${job_logs[@]}")
      return 0
    fi
  done
  echo "error: a job was killed, one of these: ${job_logs[*]}" >&2
  stop_jobs
  exit 1
}

stop_jobs() {
  if ((${#job_pids[@]})); then
    kill -TERM "${job_pids[@]}" 2>/dev/null || true
    wait "${job_pids[@]}" 2>/dev/null || true
    job_pids=()
  fi
}
