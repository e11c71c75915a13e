#!/usr/bin/env bash
# Fuzzes what reads charts: run.sh [SECONDS for each target, 120] [SEED]. Needs nothing but the compiler; tests/suite/fuzz.rs has the targets.
set -euo pipefail
cd "$(dirname "$0")/.."
seed=${2:-$(date +%s%N)}
echo "seed $seed"
OFFLINE_FUZZ_MILLISECONDS=$((${1:-120} * 1000)) OFFLINE_FUZZ_SEED=$seed \
  cargo test ${FUZZ_PROFILE---release} --test suite fuzz:: -- --nocapture --test-threads="${FUZZ_THREADS:-$(nproc)}"
