#!/usr/bin/env bash
# Exports, verifies and inspects this delivery, with no network but the package registries that cargo needs. Everything goes to ./out.
set -euo pipefail
cd "$(dirname "$0")"
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do # what agents for nodes are built for; without, this machine's own libc
  rustup target add "$target" >/dev/null 2>&1 || echo "no $target here: the agent is built for this machine's architecture only"
done
cargo build --release --manifest-path ../../Cargo.toml
program=$(cd ../../target/release && pwd)/kubectl-offline
mkdir -p out && rm -f out/*
export COSIGN_PASSWORD=${COSIGN_PASSWORD:-}
set -x
"$program" keygen -o out/offline
"$program" export -f delivery.yaml -o out/quickstart.tar --key out/offline.key
"$program" verify out/quickstart.tar --key out/offline.pub
"$program" inspect out/quickstart.tar --key out/offline.pub
