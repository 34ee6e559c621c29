# The paper's section 3 on MNIST's images of digits: an image is a frame without context.
#   --protocol paper   train on all 60,000 images, test on the 10,000 test images (default)
#   --protocol dev     train on 50,000, test on the other 10,000 training images: where every setting was chosen
#   --protocol held-out   train on 50,000, choose on the other 10,000, test on the test images: for --experiment specialists
#   --quick            all stages in minutes: fewer images, epochs and seeds, and figures accordingly
# shellcheck shell=bash disable=SC2034  # variables are read by run.sh

member_seeds="1 2 3"                   # of the big net and of the small one on hard targets
student_seeds="11 12 13"               # of the students; the i-th learns from the i-th big net
students="distilled"
transfer="train"
untranscribed=""
default_protocol=paper
protocol=paper
folds=""
quick=false
pipeline=recipes/mnist/pipeline.sh
specialists_student=fused_student
recipe_options=(member_seeds student_seeds protocol quick)

use_protocol() {
  case $protocol in
    paper | dev | held-out) ;;
    *)
      echo "error: no protocol '$protocol'; there are: paper dev held-out" >&2
      return 2
      ;;
  esac
  case ${experiment:-} in
    "" | ledger) ;;
    specialists)
      if [[ $protocol != held-out ]]; then
        echo "error: --experiment specialists chooses on images that no net has learnt: add --protocol held-out" >&2
        return 2
      fi
      ;;
    *)
      echo "error: mnist has --experiment ledger and specialists; its own stages vary temperatures and transfer sets" >&2
      return 2
      ;;
  esac
  if [[ -n ${experiment:-} && $quick == true ]]; then
    echo "error: --quick has the recipe's own stages; leave it out for an --experiment" >&2
    return 2
  fi
  if [[ $quick == true ]]; then
    results_dir+=/quick
    read -r member_seeds _ <<<"$member_seeds"
    read -r student_seeds _ <<<"$student_seeds"
  fi
  if [[ ${experiment:-} != specialists ]] && (($(wc -w <<<"$student_seeds") > $(wc -w <<<"$member_seeds"))); then
    echo "error: --student-seeds '$student_seeds': the i-th student learns from the i-th big net, so --member-seeds" \
      "must name as many; it has '$member_seeds'" >&2
    return 2
  fi
}
