#!/usr/bin/env bash
# Attacks the optimised program with hostile charts and tells the time and memory of each, then fuzzes what reads charts and archives:
# run.sh [SECONDS for each target, 120] [SEED]. Needs nothing but the compiler; tests/suite/hostile_charts.rs, hostile_corpus.rs, fuzz.rs and fuzz_archives.rs have what is run.
set -euo pipefail
cd "$(dirname "$0")/.."
seed=${2:-$(date +%s%N)}
echo "seed $seed"
# One at a time, so that the times mean something.
cargo test ${FUZZ_PROFILE---release} --test suite hostile_c -- --nocapture --test-threads=1
OFFLINE_FUZZ_MILLISECONDS=$((${1:-120} * 1000)) OFFLINE_FUZZ_SEED=$seed \
  cargo test ${FUZZ_PROFILE---release} --test suite fuzz -- --nocapture --test-threads="${FUZZ_THREADS:-$(nproc)}"
