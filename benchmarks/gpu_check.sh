#!/usr/bin/env bash
# What a GPU has to tell us, in four stages of at most nine minutes each; a stage that is cut off goes on where it
# ended. Runs from the source tree, without a network.
#
#   OUT=results benchmarks/gpu_check.sh tests        the kernels as they really run, against the equation
#   OUT=results benchmarks/gpu_check.sh tune         the table of block sizes, by the clock
#   OUT=results benchmarks/gpu_check.sh attention    attention alone, beside torch's
#   OUT=results benchmarks/gpu_check.sh training     whole training steps, beside transformers
#
# --dry-run after the stage: tiny shapes on a CPU. Results are JSON files in $OUT, benchmarks/results/gpu if unset.
set -euo pipefail

stage=${1:?"tests, tune, attention or training"}
dry=${2:-}
cd "$(dirname "$0")/.."
out=${OUT:-benchmarks/results/gpu}
mkdir -p "$out"
python=${PYTHON:-python3}
table=minibert/kernels/attention/fused/table.json
export PYTHONPATH=$PWD:$PWD/benchmarks:$PWD/tests

if [ "$dry" = --dry-run ]; then
  export TRITON_INTERPRET=1
elif [ -n "$dry" ]; then
  echo "unknown option '$dry': use --dry-run or none" >&2
  exit 2
elif [ "$stage" = attention ] || [ "$stage" = training ]; then
  # What was tuned here is what is measured here.
  if [ -f "$out/table.json" ]; then cp "$out/table.json" "$table"; fi
fi

case $stage in
  tests)
    # pytest's 1 means that tests failed, which the file says too; 5, that all had passed before.
    code=0
    timeout 360 "$python" -m pytest -q -p gpu_report --report "$out/tests.json" benchmarks/gpu_tests.py || code=$?
    if [ "$code" -ne 5 ]; then exit "$code"; fi
    ;;
  tune)
    if [ -n "$dry" ]; then set -- --dry-run; else set -- --by clock --seconds 300; fi
    "$python" benchmarks/tune_attention.py "$@" --output "$out/table.json"
    ;;
  attention)
    "$python" benchmarks/attention.py --device cuda $dry --seconds 420 --output "$out/attention.json"
    ;;
  training)
    "$python" benchmarks/gpu_training.py $dry --seconds 300 --output "$out/training.json"
    ;;
  *)
    echo "unknown stage '$stage': use tests, tune, attention or training" >&2
    exit 2
    ;;
esac
