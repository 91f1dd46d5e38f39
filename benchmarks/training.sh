#!/usr/bin/env bash
# The defaults of training beside those before them, on two corpora with three seeds: batches of 256, for the same time
# as those of 512 and as the paper's training; then layer-wise decay and the paper's training, for as many updates. 24
# trainings take an hour of two cores, and 24 further ones half an hour; the last six, of the paper's training, were not all
# made and are not in the figures: an update takes four times as long. It resumes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLINX_CORPORA="$(realpath "${CLINX_CORPORA:-../shared/corpora}")"
export CLINX_MODELS="$(realpath "${CLINX_MODELS:-../shared/models}")"
.venv/bin/clinx study compare benchmarks/training.yaml --equal time --at_once 2 --output_dir runs/training
.venv/bin/clinx study compare benchmarks/training-updates.yaml --at_once 2 --output_dir runs/training-updates
for study in training training-updates; do
  for kind in json png; do cp "runs/$study/compare.$kind" "benchmarks/results/$study.$kind"; done
done
