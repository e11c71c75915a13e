#!/usr/bin/env bash
# Installs and builds everything the tests need beyond the Rust and Go toolchains, once, into ${OFFLINE_LAB_CACHE:-~/.cache/offline-lab}.
#   build.sh           all of it: 25 to 30 minutes on two idle cores the first time, seconds after that
#   build.sh packages  only the Debian packages (needs root)
#   build.sh cluster   Kubernetes and containerd 2, from their Go modules
#   build.sh tools     helm 3 and 4, cosign, crane, regctl, tus-node-server: what other people would use
#   build.sh tus       only the last of these
#   build.sh sbom      spdx-tools and cyclonedx-python-lib, which judge documents
#   build.sh deny      cargo-deny
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${OFFLINE_LAB_CACHE:-$HOME/.cache/offline-lab}
bin=$cache/bin
mkdir -p "$bin"
K8S=1.34.4 CONTAINERD=v2.4.2 HELM3=v3.22.0 HELM4=v4.3.1 COSIGN=v3.1.3 CRANE=v0.22.1 REGCTL=v0.11.5 TUS_SERVER=2.4.5 TUS_STORE=2.1.1 SPDX=0.8.5 CYCLONEDX=11.12.0 PACKAGEURL=0.17.6
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

say() { printf '%s lab: %s\n' "$(date +%T)" "$*" >&2; }

packages() {
  local package missing=()
  for package in etcd-server etcd-client containerd runc containernetworking-plugins docker-registry skopeo podman docker.io \
    busybox-static iptables iproute2 openssl gnupg faketime shellcheck jq curl gcc libc6-dev python3 python3-venv; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  local mine= # none of these may start a service of its own
  if [ ! -e /usr/sbin/policy-rc.d ]; then printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; mine=1; fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
  [ -z "$mine" ] || rm /usr/sbin/policy-rc.d
}

kubernetes() { # its staging modules are replaced in go.mod, so it cannot be 'go install'ed
  [ -x "$bin/$1" ] && return
  say "building $1"
  local v=k8s.io/component-base/version
  (cd "$here" && go build -trimpath -ldflags "-s -w -X $v.gitVersion=v$K8S -X $v.gitMajor=1 -X $v.gitMinor=${K8S:2:2}" \
    -o "$bin/$1.new" "k8s.io/kubernetes/cmd/$1")
  mv "$bin/$1.new" "$bin/$1"
}

tool() { # name module@version [ldflags]
  [ -x "$bin/$1" ] && return
  say "building $1"
  local dir; dir=$(mktemp -d)
  GOBIN=$dir go install -trimpath -ldflags "-s -w ${3:-}" "$2"
  mv "$dir"/* "$bin/$1"; rmdir "$dir"
}

cluster() {
  local c
  for c in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do kubernetes "$c"; done
  tool containerd2 "github.com/containerd/containerd/v2/cmd/containerd@$CONTAINERD"
  tool containerd-shim-runc-v2 "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@$CONTAINERD"
  tool ctr2 "github.com/containerd/containerd/v2/cmd/ctr@$CONTAINERD"
}

tools() {
  local h=helm.sh/helm/v3 # as in the official build: without these, helm believes in Kubernetes v1.20
  tool helm3 "$h/cmd/helm@$HELM3" "-X $h/internal/version.version=$HELM3 -X $h/pkg/chartutil.k8sVersionMajor=1 -X $h/pkg/chartutil.k8sVersionMinor=37 -X $h/pkg/lint/rules.k8sVersionMajor=1 -X $h/pkg/lint/rules.k8sVersionMinor=37"
  tool helm4 "helm.sh/helm/v4/cmd/helm@$HELM4"
  tool cosign "github.com/sigstore/cosign/v3/cmd/cosign@$COSIGN"
  tool crane "github.com/google/go-containerregistry/cmd/crane@$CRANE"
  tool regctl "github.com/regclient/regclient/cmd/regctl@$REGCTL"
  tus
}

tus() { # the tus project's own server, where there is a node that runs it
  [ -e "$cache/tus/node_modules/@tus/server" ] && return
  command -v npm >/dev/null || { say "no npm: the tests against tus-node-server are skipped"; return; }
  say "installing tus-node-server"
  mkdir -p "$cache/tus"
  npm install --silent --no-audit --no-fund --prefix "$cache/tus" "@tus/server@$TUS_SERVER" "@tus/file-store@$TUS_STORE" >&2
}

sbom() {
  [ -x "$bin/sbom-python" ] && return
  say "installing spdx-tools and cyclonedx-python-lib"
  python3 -m venv "$cache/python"
  "$cache/python/bin/pip" install --quiet --disable-pip-version-check "spdx-tools==$SPDX" "cyclonedx-python-lib[json-validation]==$CYCLONEDX" "packageurl-python==$PACKAGEURL" >&2
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$cache/python/bin/python3" >"$bin/sbom-python"
  chmod +x "$bin/sbom-python"
}

deny() { # unoptimised: it is built once and runs for a second
  [ -x "$bin/cargo-deny" ] && return
  say "building cargo-deny"
  cargo install --quiet --locked --debug --no-track --root "$cache" cargo-deny
}

case ${1:-all} in
  all) packages; cluster; tools; sbom; deny ;;
  packages | cluster | tools | tus | sbom | deny) "$1" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
echo "$bin"
