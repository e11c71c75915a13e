#!/usr/bin/env bash
# Export and import of a product's worth of images, each beside a peer in the same run.
#   bench/product.sh export      our export, signed, beside `crane pull` of the same images into one tar; without a store, with an empty one,
#                                and with one that has all layers, which is held against `cp` of the archive, without and with a flush of the copy,
#                                and both again with what they read on the disk and not in memory, as it is some time after the export before;
#                                with a key that keygen made without a password, with one that has one, and with an open one; `skopeo copy` of each image into
#                                one OCI layout, `hauler store sync` and `save` and `zarf package create`, signed, where they are on the PATH, and
#                                the floor, each layer once by `curl`, four at a time
#   bench/product.sh latency     the same without a store, with 50 ms between us and the registry (bench/delay.py)
#   bench/product.sh large GB    memory of an export and a verification of so much in layers of 1 GB
#   bench/product.sh verify      our verify beside sha256sum
#   bench/product.sh import I    our import into node I of a lab that it starts, beside `ctr images import` there; each on a disk made for it
# Needs the tools of tests/lab/build.sh, and root for `import`.
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

layers() { # each layer once
  for image in $(cat "$work/images"); do
    name=${image%@*} # HOST/REPOSITORY:TAG
    path=${name#*/}
    crane manifest --insecure "$name" | jq -r --arg at "http://${name%%/*}/v2/${path%:*}/blobs/" '.layers[].digest | . + " " + $at + .'
  done | sort -u -k1,1 | cut -d' ' -f2
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
  [ -f "$work/locked.key" ] || COSIGN_PASSWORD=password "$program" keygen -o "$work/locked" >/dev/null
  [ -f "$work/open.key" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/open.key"
}

haul() { # what hauler is told to take
  printf 'apiVersion: content.hauler.cattle.io/v1\nkind: Images\nmetadata: {name: product}\nspec:\n  images:\n'
  sed 's/@.*//; s/.*/    - {name: &}/' "$work/images"
}

pack() { # and zarf
  printf 'kind: ZarfPackageConfig\nmetadata: {name: product, version: "1.0", architecture: amd64}\ncomponents:\n  - name: images\n    required: true\n    images:\n'
  sed 's/@.*//; s/.*/      - &/' "$work/images"
}

asleep() { # takes files out of the system's memory
  sync "$@"
  for file; do dd if="$file" iflag=nocache count=0 status=none; done
}

timed() { # label command...
  local label=$1; shift
  /usr/bin/time -f "$label: %e s, %M KiB" "$@" >/dev/null
}

case ${1:-export} in
  export)
    registry; delivery; layers >"$work/layers"
    for _ in 1 2 3 4 5; do
      rm -rf "$work/product.tar" "$work/crane.tar" "$work/copy.tar" "$work/store"
      ours=("$program" -q export -f "$work/delivery.yaml" -o "$work/product.tar")
      timed "no store   " "${ours[@]}" --no-store --key "$work/offline.key"; rm "$work/product.tar"
      COSIGN_PASSWORD=password timed "password   " "${ours[@]}" --no-store --key "$work/locked.key"; rm "$work/product.tar"
      timed "open key   " "${ours[@]}" --no-store --key "$work/open.key"; rm "$work/product.tar"
      timed "empty store" "${ours[@]}" --store "$work/store" --key "$work/offline.key"; rm "$work/product.tar"
      timed "full, open " "${ours[@]}" --store "$work/store" --key "$work/open.key"; rm "$work/product.tar"
      timed "full store " "${ours[@]}" --store "$work/store" --key "$work/offline.key"
      timed "cp         " cp "$work/product.tar" "$work/copy.tar"
      timed "cp, flushed" bash -c 'cp "$0" "$1" && sync "$1"' "$work/product.tar" "$work/copy.tar"
      asleep "$work"/store/sha256/*; rm "$work/product.tar"
      timed "full, cold " "${ours[@]}" --store "$work/store" --key "$work/offline.key"
      asleep "$work/product.tar"; rm "$work/copy.tar"
      timed "cp, cold   " cp "$work/product.tar" "$work/copy.tar"
      timed "crane      " crane pull --insecure $(sed 's/@.*//' "$work/images") "$work/crane.tar"
      timed "skopeo     " bash -c 'for i; do skopeo copy -q --src-tls-verify=false "docker://$i" "oci:$0:${i##*/}"; done' "$work/skopeo" $(sed 's/@.*//' "$work/images")
      if command -v hauler >/dev/null; then
        mkdir "$work/hauler"; haul >"$work/hauler/images.yaml"
        timed "hauler sync" hauler store sync -s "$work/hauler/store" -f "$work/hauler/images.yaml" --platform linux/amd64 2>"$work/hauler/time"
        tail -1 "$work/hauler/time"
        (cd "$work/hauler"; timed "hauler save" hauler store save -s store -f product.tar.zst 2>time; tail -1 time)
      fi
      if command -v zarf >/dev/null; then
        mkdir "$work/zarf"; pack >"$work/zarf/zarf.yaml"
        (cd "$work/zarf"; export HOME=$work/zarf
          timed "zarf       " zarf package create . --confirm --skip-sbom --plain-http --no-color --signing-key "$work/offline.key" --signing-key-pass "" -o "$work/zarf" 2>time; tail -1 time)
      fi
      mkdir "$work/curl"
      timed "curl       " xargs -P4 -n1 -a "$work/layers" curl -fsSO --output-dir "$work/curl"
      rm -rf "$work/skopeo" "$work/hauler" "$work/zarf" "$work/curl"
    done
    ls -l "$work/product.tar" ;;
  latency)
    registry; delivery
    slow=$((port + 1))
    "$here/bench/delay.py" "$slow" "$port" 50 & delay_pid=$!
    trap 'kill $registry_pid $delay_pid' EXIT
    sleep 1
    sed "s/127.0.0.1:$port/127.0.0.1:$slow/" "$work/delivery.yaml" >"$work/slow.yaml"
    for _ in 1 2 3 4 5; do
      rm -f "$work/slow.tar" "$work/crane.tar"
      timed "ours " "$program" -q export -f "$work/slow.yaml" -o "$work/slow.tar" --key "$work/offline.key" --no-store
      timed "crane" crane pull --insecure $(sed "s/@.*//; s/:$port/:$slow/" "$work/images") "$work/crane.tar"
    done ;;
  large)
    work=$work/large; mkdir -p "$work"; : >"$work/images"
    "$here/bench/large.py" "$port" "${2:-10}" >"$work/images" & registry_pid=$!
    trap 'kill $registry_pid; rm -f "$work/large.tar"' EXIT
    until [ -s "$work/images" ]; do sleep .5; done
    delivery
    timed "export" "$program" -q export -f "$work/delivery.yaml" -o "$work/large.tar" --key "$work/offline.key" --no-store
    timed "verify" "$program" -q verify "$work/large.tar" --key "$work/offline.pub"
    ls -l "$work/large.tar" ;;
  verify)
    for _ in 1 2 3 4 5; do
      timed "verify   " "$program" -q verify "$work/product.tar" --key "$work/offline.pub"
      timed "sha256sum" sha256sum "$work/product.tar"
    done ;;
  import)
    node=${2:-2}; lab=$here/tests/lab/lab.sh
    export LAB=$work/lab LAB_NAME=offbench LAB_NET=172.31.79 LAB_API_PORT=6463 LAB_ETCD_PORT=2419
    trap 'umount -l "$LAB/node$node/containerd" 2>/dev/null || true; "$lab" down' EXIT
    "$lab" up 2 >/dev/null
    export KUBECONFIG=$LAB/admin.kubeconfig
    other=$((3 - node)); "$lab" stop-node "$other"; kubectl delete node "node$other" >/dev/null
    fresh() { # ext4 looks through what was deleted from it lately, for minutes: so each run gets a file system of its own
      umount -l "$LAB/node$node/containerd" 2>/dev/null || true # here first: whoever sees this mount counts as a part of the node
      "$lab" stop-node "$node"; sleep 1
      rm -rf "$LAB/node$node" "$work/disk"; mkdir -p "$LAB/node$node/containerd"
      truncate -s 8G "$work/disk"; mkfs.ext4 -q "$work/disk"
      # Direct: or else each write is copied into the page cache a second time, as on no real disk.
      device=$(losetup --find --show --direct-io=on "$work/disk")
      mount "$device" "$LAB/node$node/containerd"
      losetup --detach "$device" # once nothing is mounted from it
      "$lab" node "$node"; sleep 2
      for _ in $(seq 120); do kubectl get node "node$node" | grep -q ' Ready' && break; sleep .5; done
      sync; sleep 3
    }
    for _ in 1 2 3; do
      fresh; timed "ours  " "$program" -q install "$work/product.tar" --key "$work/offline.pub"
      timed "repeat" "$program" -q install "$work/product.tar" --key "$work/offline.pub"
      fresh; timed "ctr   " "$lab" ctr "$node" images import "$work/crane.tar"
      # Ours has all on the disk when it ends; ctr leaves what it unpacked to the kernel.
      timed "sync  " sync -f "$LAB/node$node/containerd"
    done ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
