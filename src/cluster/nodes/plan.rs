//! Before anything is touched: which nodes, what each of them gets, and in which image the agent can start there.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::ListParams};

use super::{AgentBinary, ImportOptions, NodeImage, NodesError, image::Work};
use crate::oci::Platform;

/// Which nodes are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NodeSelection {
    /// All Linux nodes.
    #[default]
    All,
    /// These, by name.
    Names(Vec<String>),
    /// Those that a label selector matches.
    Labels(String),
}

/// What will be done, node by node.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    /// The nodes, by name.
    pub nodes: Vec<NodePlan>,
}

/// What will be done on one node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its name.
    pub node: String,
    /// Its platform.
    pub platform: Platform,
    /// Its container runtime, as `containerd://2.1.0`.
    pub runtime: String,
    /// Images that may be there and in which the agent can start, likeliest first.
    pub bootstrap: Vec<String>,
    pub(super) agent: usize,
    pub(super) socket: Socket,
    pub(super) work: Work,
}

/// Where containerd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) folder: String,
    pub(super) file: String,
}

/// How many images are tried to start the agent in.
const CANDIDATES: usize = 6;

/// What sandboxes are usually made of, for nodes that do not say what they have: the kubelet lists only the 50 largest images.
const USUAL: [&str; 5] =
    ["registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.8", "rancher/mirrored-pause:3.6"];

pub(super) async fn plan(client: &Client, images: &[NodeImage], options: &ImportOptions) -> Result<ImportPlan, NodesError> {
    let mut plans = Vec::new();
    for node in select(client, &options.nodes).await? {
        let mut plan = plan_node(&node, images, &options.agents)?;
        if let Some(image) = &options.bootstrap_image {
            plan.bootstrap = vec![image.clone()];
        } else if !plan.bootstrap.iter().any(|i| is_pause(i)) {
            plan.bootstrap.extend(of_pods(client, &plan.node).await?);
            plan.bootstrap.extend(USUAL.iter().map(|&i| i.to_owned()));
            plan.bootstrap.truncate(CANDIDATES);
        }
        plans.push(plan);
    }
    Ok(ImportPlan { nodes: plans })
}

async fn select(client: &Client, selection: &NodeSelection) -> Result<Vec<Node>, NodesError> {
    let api: Api<Node> = Api::all(client.clone());
    let mut parameters = ListParams::default();
    if let NodeSelection::Labels(labels) = selection {
        parameters = parameters.labels(labels);
    }
    let mut nodes = api.list(&parameters).await.map_err(NodesError::api("listing the nodes"))?.items;
    nodes.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    if let NodeSelection::Names(names) = selection {
        if let Some(missing) = names.iter().find(|n| !nodes.iter().any(|node| node.metadata.name.as_ref() == Some(n))) {
            return Err(NodesError::NoSuchNode { node: missing.clone() });
        }
        nodes.retain(|node| node.metadata.name.as_ref().is_some_and(|n| names.contains(n)));
    } else {
        nodes.retain(|node| info(node).is_none_or(|i| i.operating_system.is_empty() || i.operating_system == "linux"));
    }
    if nodes.is_empty() {
        let selection = match selection {
            NodeSelection::All => "the cluster".to_owned(),
            NodeSelection::Names(names) => names.join(", "),
            NodeSelection::Labels(labels) => format!("`{labels}`"),
        };
        return Err(NodesError::NoNodes { selection });
    }
    Ok(nodes)
}

fn info(node: &Node) -> Option<&k8s_openapi::api::core::v1::NodeSystemInfo> {
    node.status.as_ref()?.node_info.as_ref()
}

fn plan_node(node: &Node, images: &[NodeImage], agents: &[AgentBinary]) -> Result<NodePlan, NodesError> {
    let name = node.metadata.name.clone().unwrap_or_default();
    ready(node, &name)?;
    let info = info(node).ok_or_else(|| NodesError::NotReady { node: name.clone(), reason: "it does not say what it is".to_owned() })?;
    let unsupported = |found: &str| NodesError::Unsupported { node: name.clone(), found: found.to_owned() };
    if info.operating_system != "linux" {
        return Err(unsupported(&info.operating_system));
    }
    if !info.container_runtime_version.starts_with("containerd://") {
        return Err(unsupported(&info.container_runtime_version));
    }
    let platform = Platform { architecture: info.architecture.clone(), os: "linux".to_owned(), variant: None, os_version: None };
    let agent = agents.iter().position(|a| a.platform.serves(&platform)).ok_or_else(|| {
        let have: Vec<String> = agents.iter().map(|a| a.platform.to_string()).collect();
        let have = if have.is_empty() { "no platform".to_owned() } else { have.join(", ") };
        NodesError::NoAgent { node: name.clone(), platform: platform.to_string(), have }
    })?;
    let work = Work::new(images, &platform, &name)?;
    Ok(NodePlan {
        runtime: info.container_runtime_version.clone(),
        bootstrap: of_status(node),
        socket: socket(node, &info.kubelet_version),
        node: name,
        platform,
        agent,
        work,
    })
}

fn ready(node: &Node, name: &str) -> Result<(), NodesError> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let reason = match conditions.iter().find(|c| c.type_ == "Ready") {
        Some(ready) if ready.status == "True" => return Ok(()),
        Some(ready) => {
            let [reason, message] = [&ready.reason, &ready.message].map(|t| t.clone().unwrap_or_default());
            format!("{reason}: {message}")
        }
        None => "it has never reported".to_owned(),
    };
    Err(NodesError::NotReady { node: name.to_owned(), reason })
}

/// Where containerd listens on this node: what the node says, else what its distribution is known for.
fn socket(node: &Node, kubelet: &str) -> Socket {
    // kubeadm writes it down (kubeadm, constants.AnnotationKubeadmCRISocket).
    let said = node.metadata.annotations.as_ref().and_then(|a| a.get("kubeadm.alpha.kubernetes.io/cri-socket"));
    let microk8s = node.metadata.labels.as_ref().is_some_and(|l| l.contains_key("microk8s.io/cluster"));
    let path = match said.map(|s| s.trim_start_matches("unix://")) {
        Some(path) if path.starts_with('/') => path,
        _ if kubelet.contains("+k3s") || kubelet.contains("+rke2") => "/run/k3s/containerd/containerd.sock",
        _ if kubelet.contains("+k0s") => "/run/k0s/containerd.sock",
        _ if microk8s => "/var/snap/microk8s/common/run/containerd.sock",
        _ => "/run/containerd/containerd.sock",
    };
    let (folder, file) = path.rsplit_once('/').unwrap_or(("/run/containerd", "containerd.sock"));
    Socket { folder: folder.to_owned(), file: file.to_owned() }
}

fn is_pause(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().is_some_and(|name| name.contains("pause"))
}

/// What the node says it has: pause images first, then the small ones.
fn of_status(node: &Node) -> Vec<String> {
    let images = node.status.as_ref().and_then(|s| s.images.as_deref()).unwrap_or_default();
    let mut found: Vec<(bool, i64, String)> = images
        .iter()
        .filter_map(|image| {
            // By tag rather than by digest: imported images have no name by digest.
            let names = image.names.as_deref().unwrap_or_default();
            let name = names.iter().find(|n| !n.contains('@')).or_else(|| names.first())?;
            (!name.contains("<none>")).then(|| (!is_pause(name), image.size_bytes.unwrap_or(i64::MAX), name.clone()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, name)| name).take(CANDIDATES - 2).collect()
}

/// Images of pods that run on the node; first those that needed no credentials, since the kubelet may insist on seeing them again (KEP-2535).
async fn of_pods(client: &Client, node: &str) -> Result<Vec<String>, NodesError> {
    let api: Api<Pod> = Api::all(client.clone());
    let parameters = ListParams::default().fields(&format!("spec.nodeName={node},status.phase=Running")).limit(100);
    let pods = api.list(&parameters).await.map_err(NodesError::api(format!("listing the pods on node {node}")))?.items;
    let mut found: Vec<(bool, String)> = pods
        .iter()
        .filter_map(|pod| pod.spec.as_ref())
        .flat_map(|spec| {
            let secret = spec.image_pull_secrets.as_ref().is_some_and(|s| !s.is_empty());
            spec.containers.iter().filter_map(move |c| c.image.clone().map(|image| (secret, image)))
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(|(_, image)| image).take(2).collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn node(patch: &[(&str, Value)]) -> Node {
        let mut value = json!({"metadata": {"name": "n1"}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "images": [{"names": ["r/large:1"], "sizeBytes": 900}, {"names": ["registry.k8s.io/pause@sha256:ab", "registry.k8s.io/pause:3.10"], "sizeBytes": 999},
                {"names": ["r/small:1"], "sizeBytes": 5}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": "containerd://2.1.0", "kubeletVersion": "v1.34.0",
                "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}});
        for (pointer, new) in patch {
            *value.pointer_mut(pointer).unwrap() = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn agents() -> Vec<AgentBinary> {
        vec![AgentBinary { platform: Platform::linux_amd64(), loader: Bytes::new(), agent: Bytes::new() }]
    }

    #[test]
    fn pause_first_then_the_smallest() {
        let plan = plan_node(&node(&[]), &[], &agents()).unwrap();
        assert_eq!(plan.bootstrap, ["registry.k8s.io/pause:3.10", "r/small:1", "r/large:1"]);
        assert_eq!(plan.socket, Socket { folder: "/run/containerd".into(), file: "containerd.sock".into() });
    }

    #[test]
    fn nodes_that_cannot_be_served_are_named_before_anything_is_done() {
        for (pointer, value, want) in [
            ("/status/conditions/0/status", json!("Unknown"), "node `n1` is not ready"),
            ("/status/conditions/0/type", json!("Other"), "node `n1` is not ready: it has never reported"),
            ("/status/nodeInfo/operatingSystem", json!("windows"), "node `n1` runs windows"),
            ("/status/nodeInfo/containerRuntimeVersion", json!("cri-o://1.30"), "node `n1` runs cri-o://1.30"),
            ("/status/nodeInfo/architecture", json!("riscv64"), "node `n1` is linux/riscv64, and there is no agent for that; there are agents for linux/amd64"),
        ] {
            let error = plan_node(&node(&[(pointer, value)]), &[], &agents()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn sockets_of_the_distributions() {
        for (version, want) in [
            ("v1.34.1+k3s1", "/run/k3s/containerd"),
            ("v1.33.0+rke2r1", "/run/k3s/containerd"),
            ("v1.31.0+k0s", "/run/k0s"),
            ("v1.30.0-eks", "/run/containerd"),
        ] {
            assert_eq!(socket(&node(&[]), version).folder, want);
        }
        let mut said = node(&[]);
        said.metadata.annotations = Some([("kubeadm.alpha.kubernetes.io/cri-socket".to_owned(), "unix:///var/x/c.sock".to_owned())].into());
        assert_eq!(socket(&said, "v1"), Socket { folder: "/var/x".into(), file: "c.sock".into() });
    }
}
