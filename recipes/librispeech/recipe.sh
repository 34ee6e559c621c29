# LibriSpeech: read English, a vocabulary of tens of thousands of words, states in context.
#   --parts 47      47 speakers, from $ASR_KD_CORPORA/librispeech47 (the default where that is)
#   --parts mini    Mini LibriSpeech (OpenSLR 31), downloaded (the default elsewhere)
#   --parts 100     train-clean-100; --parts 960 all of LibriSpeech (OpenSLR 12), downloaded
#   --extend-lexicon false   of part 47: without words that the lexicon lacks (what says them is for Linux on x86 alone)
#   --units sentencepiece|char, --vocab-size V   without the lexicon, in an --exp-dir of its own
# Speech at six more speeds and all features take about 1.1 GB of disk for an hour of train.
# shellcheck shell=bash disable=SC2034  # variables are read by run.sh

member_seeds="1 2 3 4"
student_seeds="11"                     # not the members': a student must not start from a teacher's initial weights
students="distilled distilled_small"   # conf/<name>.conf each; the first one is bundled
train_sets="train perturbed"           # perturbed: train at other speeds
transfer="train perturbed extra"       # data sets the students learn from
untranscribed="extra"                  # train at four speeds that the members do not hear
rescored="ensemble distilled"          # their lists take about twice as long as the best words alone
regularizer_passes=1.5                 # in batches of 1,024: twice the updates of a member
default_protocol=""
protocol=""
folds=""
parts=""
recipe_options=(member_seeds student_seeds parts extend_lexicon)

use_protocol() {
  [[ -n $parts || ! -f ${data_dir:?}/parts ]] || parts=$(<"$data_dir/parts")
  if [[ -z $parts ]]; then
    [[ -d ${ASR_KD_CORPORA:-}/librispeech47 ]] && parts=47 || parts=mini
  fi
  lexicon=${data_dir:?}/lexicon.txt
  if [[ $parts == 47 ]]; then
    lm_text=$data_dir/lm_text.gz
    [[ ${units:?} != phones || ${extend_lexicon:?} == false ]] || package_extras=g2p
    return
  fi
  package_extras=corpora
  # These have n-gram models of words; those of pieces or characters come from train's transcripts.
  if [[ ${units:?} == phones ]]; then
    arpa=$data_dir/lm.arpa.gz
    arpa_large=$data_dir/lm_large.arpa.gz
  fi
}

prepare_data() {
  recipes/librispeech/local/prepare_data.sh "$parts" "${nj:?}" "$1"
}
