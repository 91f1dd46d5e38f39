#!/usr/bin/env bash
# The ablation on MEDDOCAN (38 models), then one model for the price of one: the soup of the five members, and a student
# of their ensemble that also reads 200 notes without annotations. About an hour and a half on two quiet cores (an
# estimate); it resumes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLINX_CORPORA="$(realpath "${CLINX_CORPORA:-../shared/corpora}")"
export CLINX_MODELS="$(realpath "${CLINX_MODELS:-../shared/models}")"
recipe=train/recipes/ablation-mini.yaml
runs=runs/ablation-mini
.venv/bin/clinx study ablation "$recipe" --output_dir "$runs"
.venv/bin/clinx finetune "$recipe" --splits 5 --split_kind random --soup --output_dir "$runs/random"
.venv/bin/clinx finetune "$recipe" --distill "$runs/random/model" --output_dir "$runs/student" \
  --unlabelled "$CLINX_CORPORA/meddocan/train" --max_unlabelled_documents 200
cp "$runs/ablation.json" benchmarks/results/ablation.json
cp "$runs/ablation.png" benchmarks/results/ablation.png
for one in "random/soup-test" "student/test" "all/seed-1/test"; do
  .venv/bin/clinx score --gold "$runs/random/gold.jsonl" --pred "$runs/$one.jsonl" --against "$runs/random/test.jsonl" \
    --json "benchmarks/results/ablation-$(dirname "$one" | sed "s/random/soup/; s|/.*||").json"
done
