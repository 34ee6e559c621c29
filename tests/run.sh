#!/usr/bin/env bash
# Set up the environment as ./run.sh does, then check style, types, layers and shell, and run the tests.
#
#   ./tests/run.sh [argument of pytest ...]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source local/environment.sh
prepare_environment "$root" synthesis test

ruff check .
ruff format --check .
mypy
lint-imports --config setup.cfg
shellcheck --external-sources run.sh tests/run.sh .ci/run local/*.sh local/experiments/*.sh recipes/*/*.sh recipes/*/local/*.sh
# One process a core: the tests that train networks use one thread each.
pytest --numprocesses "$(usable_cores)" "$@"
