#!/usr/bin/env bash
# A real Kubernetes on one Linux machine: etcd, kube-apiserver, controller-manager and scheduler on the host,
# and N nodes, each a kubelet with its own containerd in its own network and mount namespace, with no way out.
#   lab.sh up [N]          start with N nodes (default 2); odd nodes run containerd 1.6, even nodes containerd 2
#   lab.sh node I          add node I to a running lab (a node that joins late)
#   lab.sh stop-node I     kill node I's kubelet and containerd, its pods included; `node I` starts it again with the same disk
#   lab.sh ctr I ARGS      ctr -n k8s.io on node I
#   lab.sh exec I ARGS     any command in node I's namespaces
#   lab.sh down            stop everything and delete its state
#   lab.sh down-after PID  wait for the end of a process, then `down`
# The admin's kubeconfig: $LAB/admin.kubeconfig. Needs root.
# Several labs stand side by side if each has its own LAB (state), LAB_NAME (at most 11 letters: bridge, namespaces, cgroups),
# LAB_NET (first three numbers of its network), LAB_API_PORT and LAB_ETCD_PORT (it takes this port and the one below).
set -euo pipefail
LAB=${LAB:-/tmp/offline-lab}
BIN=${OFFLINE_LAB_CACHE:-$HOME/.cache/offline-lab}/bin
NAME=${LAB_NAME:-offlinelab}
NET=${LAB_NET:-172.31.77}
ETCD=${LAB_ETCD_PORT:-2399}
API=${LAB_API_PORT:-6443}
PAUSE=registry.k8s.io/pause:3.10
here=$(cd "$(dirname "$0")" && pwd)

certificates() {
  mkdir -p "$LAB/pki"; cd "$LAB/pki"
  [ -f ca.crt ] && return
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=lab-ca -days 3650 2>/dev/null
  openssl genrsa -out sa.key 2048 2>/dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  leaf() { # name subject subject-alternative-names
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
      -extfile <(printf '%s\n' "subjectAltName=${3:-DNS:none}" "extendedKeyUsage=serverAuth,clientAuth") 2>/dev/null
  }
  leaf apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NET.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  leaf admin /O=system:masters/CN=admin
  leaf controller-manager /CN=system:kube-controller-manager
  leaf scheduler /CN=system:kube-scheduler
  for i in 1 2 3 4 5 6 7 8; do leaf "node$i" "/O=system:nodes/CN=system:node:node$i" "IP:$NET.1$i,DNS:node$i"; done
  for u in admin controller-manager scheduler node{1..8}; do
    cat >"$LAB/$u.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://$NET.1:$API", certificate-authority: $LAB/pki/ca.crt}}]
users: [{name: user, user: {client-certificate: $LAB/pki/$u.crt, client-key: $LAB/pki/$u.key}}]
contexts: [{name: lab, context: {cluster: lab, user: user}}]
current-context: lab
Y
  done
}

background() { # name command...: started in its own process group, remembered by pid
  local name=$1; shift
  setsid nohup "$@" >"$LAB/log/$name.log" 2>&1 </dev/null &
  echo $! >"$LAB/pid/$name"
}

pause_image() { # a docker archive with one static program that waits
  [ -f "$LAB/pause.tar" ] && return
  local d; d=$(mktemp -d)
  printf '#include <signal.h>\n#include <unistd.h>\nstatic void stop(int s){_exit(0);}\nint main(void){signal(SIGTERM,stop);signal(SIGINT,stop);for(;;)pause();}\n' >"$d/pause.c"
  gcc -static -Os -s -o "$d/pause" "$d/pause.c"
  "$here/image.py" "$LAB/pause.tar" "$PAUSE" '["/pause"]' "$d/pause:pause"
  rm -r "$d"
}

up() {
  down # what an earlier run left behind
  mkdir -p "$LAB"/{log,pid,etcd}
  certificates; pause_image
  ip link add "$NAME" type bridge 2>/dev/null || true
  ip addr add "$NET.1/24" dev "$NAME" 2>/dev/null || true
  ip link set "$NAME" up
  background etcd etcd --data-dir "$LAB/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:$ETCD --advertise-client-urls http://127.0.0.1:$ETCD \
    --listen-peer-urls http://127.0.0.1:$((ETCD - 1)) --initial-advertise-peer-urls http://127.0.0.1:$((ETCD - 1)) --initial-cluster default=http://127.0.0.1:$((ETCD - 1))
  background apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD" --secure-port="$API" --bind-address="$NET.1" --advertise-address="$NET.1" \
    --tls-cert-file="$LAB/pki/apiserver.crt" --tls-private-key-file="$LAB/pki/apiserver.key" --client-ca-file="$LAB/pki/ca.crt" \
    --kubelet-client-certificate="$LAB/pki/admin.crt" --kubelet-client-key="$LAB/pki/admin.key" --kubelet-certificate-authority="$LAB/pki/ca.crt" \
    --kubelet-preferred-address-types=InternalIP --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --allow-privileged=true \
    --service-account-key-file="$LAB/pki/sa.pub" --service-account-signing-key-file="$LAB/pki/sa.key" --service-account-issuer=https://kubernetes.default.svc \
    ${LAB_APISERVER_FLAGS:-}
  for _ in $(seq 240); do
    "$BIN/kubectl" --kubeconfig "$LAB/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1 && break; sleep .25
  done
  background controller-manager "$BIN/kube-controller-manager" --secure-port=0 --kubeconfig "$LAB/controller-manager.kubeconfig" --leader-elect=false \
    --service-account-private-key-file="$LAB/pki/sa.key" --root-ca-file="$LAB/pki/ca.crt" --use-service-account-credentials
  background scheduler "$BIN/kube-scheduler" --secure-port=0 --kubeconfig "$LAB/scheduler.kubeconfig" --leader-elect=false
  local i
  for i in $(seq "${1:-2}"); do node "$i"; done
  for i in $(seq "${1:-2}"); do
    for _ in $(seq 240); do
      "$BIN/kubectl" --kubeconfig "$LAB/admin.kubeconfig" get node "node$i" 2>/dev/null | grep -q ' Ready' && break; sleep .25
    done
  done
  for _ in $(seq 240); do # pods are refused until the controller manager has made this account
    "$BIN/kubectl" --kubeconfig "$LAB/admin.kubeconfig" get serviceaccount default >/dev/null 2>&1 && break; sleep .25
  done
  "$BIN/kubectl" --kubeconfig "$LAB/admin.kubeconfig" get nodes -o wide
}

node() {
  local i=$1 d=$LAB/node$1 containerd=containerd ctr=ctr path
  path=$(tr ':' '\n' <<<"$PATH" | grep -vxF "$BIN" | paste -sd:) # each containerd finds its own shim first, whatever the caller's PATH
  ((i % 2)) || { containerd=$BIN/containerd2; ctr=$BIN/ctr2; path=$BIN:$path; }
  mkdir -p "$d"/{run,containerd,kubelet,netns,cni-conf,cni-state,pod-logs,container-logs}
  ip netns add "$NAME$i" 2>/dev/null || true
  if ! ip -n "$NAME$i" link show eth0 >/dev/null 2>&1; then
    ip link del "${NAME}v$i" 2>/dev/null || true # a dead node's end may linger
    ip link add "${NAME}v$i" type veth peer name eth0 netns "$NAME$i"
    ip link set "${NAME}v$i" master "$NAME" up
    ip -n "$NAME$i" addr add "$NET.1$i/24" dev eth0
    ip -n "$NAME$i" link set eth0 up; ip -n "$NAME$i" link set lo up
  fi
  if ((i % 2)); then cat >"$d/containerd.toml" <<T
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
T
  else cat >"$d/containerd.toml" <<T
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$PAUSE"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
T
  fi
  cat >"$d/cni-conf/10-lab.conflist" <<J
{"cniVersion":"0.4.0","name":"lab","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
J
  cat >"$d/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NET.1$i
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$NAME$i
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
clusterDNS: [10.96.0.10]
resolvConf: ""
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $LAB/pki/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: $LAB/pki/node$i.crt
tlsPrivateKeyFile: $LAB/pki/node$i.key
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: ${LAB_IMAGE_GC_HIGH:-99}
imageGCLowThresholdPercent: ${LAB_IMAGE_GC_LOW:-98}
imageMinimumGCAge: ${LAB_IMAGE_GC_MIN_AGE:-2m}
Y
  local c
  for c in /sys/fs/cgroup/*/; do [ -e "$c/cgroup.procs" ] && mkdir -p "$c/$NAME$i"; done
  if [ -d "/sys/fs/cgroup/cpuset/$NAME$i" ]; then
    cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset/$NAME$i/cpuset.cpus"
    cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset/$NAME$i/cpuset.mems"
  fi
  ip link set "$NAME" up; for n in 1 2 3 4 5 6 7 8; do # pods of one node reach pods of another
    [ "$n" = "$i" ] || { ip -n "$NAME$i" route replace "10.88.$n.0/24" via "$NET.1$n" 2>/dev/null || true; }
  done
  cat >"$d/boot.sh" <<B
set -e
export PATH=$path
mount --make-rprivate /
sysctl -qw net.ipv4.ip_forward=1
bind() { mkdir -p "\$2"; mount --bind "\$1" "\$2"; }
bind $d/run /run/containerd; bind $d/containerd /var/lib/containerd; bind $d/kubelet /var/lib/kubelet; bind $d/cni-conf /etc/cni/net.d
bind $d/cni-state /var/lib/cni; bind $d/netns /run/netns; bind $d/pod-logs /var/log/pods; bind $d/container-logs /var/log/containers
mount --make-rshared /
echo \$\$ >$d/pid
$containerd -c $d/containerd.toml >$LAB/log/containerd$i.log 2>&1 &
for _ in \$(seq 120); do $ctr version >/dev/null 2>&1 && break; sleep .25; done
$ctr -n k8s.io images ls -q | grep -qx $PAUSE || $ctr -n k8s.io images import $LAB/pause.tar >/dev/null
for _ in \$(seq 240); do [ -z "\$(ss -Hltn 'sport = :10250')" ] && break; sleep .25; done # an earlier kubelet that still ends
exec $BIN/kubelet --config=$d/kubelet.yaml --kubeconfig=$LAB/node$i.kubeconfig --hostname-override=node$i --node-ip=$NET.1$i --root-dir=/var/lib/kubelet
B
  background "node$i" nsenter --net="/run/netns/$NAME$i" unshare -m bash "$d/boot.sh"
}

inside() { local i=$1; shift; nsenter -t "$(cat "$LAB/node$i/pid")" -m -n -- "$@"; }
stop_node() {
  local i=$1 p
  rm -f "$LAB/pid/node$i"
  for p in $(ip netns pids "$NAME$i" 2>/dev/null); do kill -9 "$p" 2>/dev/null || true; done
  for p in $(grep -lsF "/$NAME$i/" /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3); do kill -9 "$p" 2>/dev/null || true; done
  for p in $(grep -lsF -- "$LAB/node$i/" /proc/[0-9]*/mountinfo 2>/dev/null | cut -d/ -f3); do
    # a mount below the node in this very namespace (a test disk) makes nobody a part of the node
    [ "$(readlink "/proc/$p/ns/mnt" 2>/dev/null)" = "$(readlink /proc/self/ns/mnt)" ] || kill -9 "$p" 2>/dev/null || true
  done
  # a process that ends still holds its ports until its last thread is gone
  for _ in $(seq 100); do [ -n "$(ip netns pids "$NAME$i" 2>/dev/null)" ] || break; sleep .1; done
}
down() {
  local f i
  for i in 1 2 3 4 5 6 7 8; do [ -d "$LAB/node$i" ] && stop_node "$i"; ip link del "${NAME}v$i" 2>/dev/null || true; ip netns del "$NAME$i" 2>/dev/null || true; done
  for f in "$LAB"/pid/*; do [ -f "$f" ] && { kill -9 -- "-$(cat "$f")" 2>/dev/null || true; rm -f "$f"; }; done
  ip link del "$NAME" 2>/dev/null || true
  sleep 1
  rm -rf "$LAB/etcd" "$LAB"/node[1-8]
}

case ${1:-} in
  up) up "${2:-2}" ;;
  node) node "$2" ;;
  stop-node) stop_node "$2" ;;
  ctr) i=$2; shift 2; if ((i % 2)); then inside "$i" ctr -n k8s.io "$@"; else inside "$i" "$BIN/ctr2" -n k8s.io "$@"; fi ;;
  exec) i=$2; shift 2; inside "$i" "$@" ;;
  down) down ;;
  down-after) while kill -0 "$2" 2>/dev/null; do sleep .5; done; down ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
