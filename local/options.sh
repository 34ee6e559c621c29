# Options of a recipe: every variable that is set before parse_options is called is an option of that name.
# usage: parse_options "${names[@]}" -- "$@"    sets the variables from --name VALUE or --name=VALUE
# A variable that is "false" is a switch: --name alone makes it "true".
# words_without NAME ... -- "$@": prints the command's words, a space before each, without the options of these names.
# shellcheck shell=bash

parse_options() {
  local -a known=()
  while [[ $1 != -- ]]; do
    known+=("$1")
    shift
  done
  shift
  local name value switch
  while (($#)); do
    if [[ $1 != --* ]]; then
      echo "error: unexpected argument '$1' (see --help)" >&2
      return 2
    fi
    name=${1#--}
    switch=${name//-/_}
    if [[ $name == *=* ]]; then
      value=${name#*=}
      name=${name%%=*}
      shift
    elif [[ " ${known[*]} " == *" $switch "* && ${!switch:-} == false ]]; then
      value=true
      shift
    elif (($# >= 2)); then
      value=$2
      shift 2
    else
      echo "error: --$name needs a value" >&2
      return 2
    fi
    name=${name//-/_}
    if [[ " ${known[*]} " != *" $name "* ]]; then
      echo "error: unknown option '--${name//_/-}'; options: ${known[*]/#/--}" | tr _ - >&2
      return 2
    fi
    printf -v "$name" '%s' "$value"
  done
}

words_without() {
  local left_out=" " flag
  while [[ $1 != -- ]]; do
    left_out+="--$1 "
    shift
  done
  shift
  while (($#)); do
    flag=${1%%=*}
    if [[ $left_out == *" ${flag//_/-} "* ]]; then
      [[ $1 == *=* || $# -lt 2 ]] || shift
    else
      printf ' %q' "$1"
    fi
    shift
  done
}
