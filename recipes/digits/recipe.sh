# Synthetic connected digits made by espeak-ng: no download, deterministic, as much speech as asked for.
# shellcheck shell=bash disable=SC2034  # variables are read by run.sh

member_seeds="1 2 3 4 5"
student_seeds="11 12"                  # not the members': a student must not start from a teacher's initial weights
students="distilled distilled_small"   # conf/<name>.conf each; the first one is bundled
transfer="train extra"                 # data sets the students learn from
transfer_passes=2                      # as many as distilled.conf has epochs
untranscribed="extra"
lexicon=recipes/digits/conf/lexicon.txt
package_extras=synthesis
default_protocol=""
protocol=""
folds=""
recipe_options=(member_seeds student_seeds)

use_protocol() { :; }

prepare_data() {
  recipes/digits/local/prepare_data.sh "$1" --config "${conf:?}/corpus.conf" --nj "${nj:?}"
}
