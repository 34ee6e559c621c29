# Make and enter the environment: .venv with the package and those of its extras (setup.cfg) that are needed installed.
# Sourced by run.sh and tests/run.sh.
# usage: prepare_environment ROOT [EXTRA ...]; usable_cores
# shellcheck shell=bash

prepare_environment() {
  local root=$1 extras package
  shift
  extras=$(IFS=, && echo "$*")
  package=$root${extras:+[$extras]}
  if [[ -z "${VIRTUAL_ENV:-}" || "${VIRTUAL_ENV}" == "$root/.venv" ]]; then
    if ! is_installed "$root" "$@"; then
      echo "installing asr_kd${extras:+[$extras]} in $root/.venv (a few minutes the first time)" >&2
      find_python
      # One whose making was interrupted has no pip.
      "$root/.venv/bin/python" -m pip --version &>/dev/null || "$python" -m venv "$root/.venv"
      "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$package" >&2
      (($# == 0)) || touch "${@/#/$root/.venv/installed-}"
    fi
    PATH="$root/.venv/bin:$PATH"
    export PATH
  fi
  if ! command -v asr-kd >/dev/null || [[ $(cd / && installed_root) != "$root" ]]; then
    echo "error: the active environment ${VIRTUAL_ENV:-$root/.venv} lacks the asr_kd of $root; run: pip install -e '$package'" >&2
    return 1
  fi
  # Stages run side by side as processes; each uses as many threads as its options say.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
}

# Whether .venv has the package and these extras as setup.cfg asks for them; each extra has left a file of its own.
is_installed() {
  local root=$1 stamp
  shift
  for stamp in "$root/.venv/bin/asr-kd" "${@/#/$root/.venv/installed-}"; do
    [[ -e $stamp && ! $root/setup.cfg -nt $stamp ]] || return 1
  done
}

# Where the package that the active environment imports lies; PYTHONPATH counts.
installed_root() {
  python -c 'import pathlib, asr_kd; print(pathlib.Path(asr_kd.__file__).resolve().parents[1])' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      python=$candidate
      return 0
    fi
  done
  echo "error: no Python 3.10 or newer found; install one or set PYTHON" >&2
  return 1
}

# The cores this process may use, which under a scheduler are fewer than the machine has.
usable_cores() {
  env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN
}
