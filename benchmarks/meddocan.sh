#!/usr/bin/env bash
# Strict F1 on meddocan/dev: the CLIN-X model beside the standard transformer tagger (Devlin et al. 2019), from the same
# encoder, notes, seed and number of updates. About 20 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLINX_CORPORA="$(realpath "${CLINX_CORPORA:-../shared/corpora}")"
export CLINX_MODELS="$(realpath "${CLINX_MODELS:-../shared/models}")"
dev="$CLINX_CORPORA/meddocan/dev"
for name in meddocan-mini meddocan-mini-baseline; do
  .venv/bin/clinx finetune "train/recipes/$name.yaml"
  .venv/bin/clinx predict --model "runs/$name/model" --input "$dev" --output "runs/$name/dev"
done
.venv/bin/clinx score --gold "$dev" --pred runs/meddocan-mini/dev --against runs/meddocan-mini-baseline/dev \
  --json benchmarks/results/meddocan.json
