# Connected digits joined from FSDD's recordings of six people.
#   --protocol official   new recordings of the training speakers (default)
#   --protocol held-out   speakers never heard before: three folds of two, pooled
# shellcheck shell=bash disable=SC2034  # variables are read by run.sh

member_seeds="1 2 3 4 5"
student_seeds="11 12"                  # not the members': a student must not start from a teacher's initial weights
students="distilled distilled_small"   # conf/<name>.conf each; the first one is bundled
transfer="train extra"                 # data sets the students learn from
untranscribed="extra"
transfer_passes=4                      # as many as distilled.conf has epochs
lexicon=recipes/fsdd/conf/lexicon.txt
package_extras=synthesis
default_protocol=official
protocol=official
folds=""
recipe_options=(member_seeds student_seeds protocol)

use_protocol() {
  case $protocol in
    official) ;;
    held-out) folds="1 2 3" ;;
    *)
      echo "error: no protocol '$protocol'; there are: official held-out" >&2
      return 2
      ;;
  esac
}

prepare_data() {
  local data=$1 fold=$2
  local options=(--config "${conf:?}/corpus.conf" --protocol "$protocol")
  [[ -z $fold ]] || options+=(--fold "$fold")
  recipes/fsdd/local/prepare_data.sh "$data" "${options[@]}"
}
