#!/usr/bin/env bash
# The transfer matrix: six corpora as sources, four as targets, 250 sentences (three seeds) and 1,000 (one): 102 trainings
# in two and a half hours of two cores; it resumes. Then the time of ranking ten sources on 1,000 sentences.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLINX_CORPORA="$(realpath "${CLINX_CORPORA:-../shared/corpora}")"
export CLINX_MODELS="$(realpath "${CLINX_MODELS:-../shared/models}")"
runs=runs/transfer-mini
.venv/bin/clinx study transfer transfer-mini --at_once 2 --output_dir "$runs"
for kind in json png; do cp "$runs/transfer.$kind" "benchmarks/results/transfer.$kind"; done
time .venv/bin/clinx rank-sources --target "$CLINX_CORPORA/meddocan/train" --max_sentences 1000 \
  --source_models "$runs"/sources/*/ "$runs"/{cantemist,pharmaconer}/1000/none/seed-1 "$runs"/meddocan/250/none/seed-{2,3}
