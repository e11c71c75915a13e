#!/usr/bin/env bash
# Export and import of a product's worth of images, each beside a peer in the same run.
#   bench/product.sh export      our export, signed, beside `crane pull` of the same images into one tar
#   bench/product.sh verify      our verify beside sha256sum
#   bench/product.sh import      our import into node 1 and 2 beside `ctr images import`, on fresh disks
# Needs the tools of tests/lab/build.sh, and for `import` a running lab with nothing of the product on its nodes.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=${BENCH_DIR:-$(mktemp -d)}
cache=${OFFLINE_LAB_CACHE:-$HOME/.cache/offline-lab}
export PATH=$cache/bin:$PATH COSIGN_PASSWORD=
program=${OFFLINE_BIN:-$here/target/release/kubectl-offline}
port=${BENCH_PORT:-5099}

registry() {
  mkdir -p "$work/registry"
  cat >"$work/registry.yml" <<Y
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: 127.0.0.1:$port}
Y
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  registry_pid=$!
  trap 'kill $registry_pid' EXIT
  for _ in $(seq 50); do curl -fs "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep .1; done
  [ -f "$work/images" ] || "$here/bench/images.py" "127.0.0.1:$port" >"$work/images"
}

delivery() {
  cat >"$work/delivery.yaml" <<Y
apiVersion: offline/v1
kind: Delivery
metadata: {name: product, version: "1.0"}
spec:
  images:
$(sed 's/@.*//; s/.*/  - {ref: &}/' "$work/images")
Y
  [ -f "$work/offline.key" ] || "$program" keygen -o "$work/offline" >/dev/null
}

timed() { # label command...
  local label=$1; shift
  /usr/bin/time -f "$label: %e s, %M KiB" "$@" >/dev/null
}

case ${1:-export} in
  export)
    registry; delivery
    for _ in 1 2 3 4 5; do
      rm -f "$work/product.tar" "$work/crane.tar"
      timed "export" "$program" -q export -f "$work/delivery.yaml" -o "$work/product.tar" --key "$work/offline.key"
      timed "crane " crane pull --insecure $(sed 's/@.*//' "$work/images") "$work/crane.tar"
    done
    ls -l "$work/product.tar" ;;
  verify)
    for _ in 1 2 3 4 5; do
      timed "verify   " "$program" -q verify "$work/product.tar" --key "$work/offline.pub"
      timed "sha256sum" sha256sum "$work/product.tar"
    done ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
