//! What the pods of a namespace run.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client, api::ListParams};

use super::ClusterError;
use crate::oci::Digest;

/// A container that runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningImage {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// The image as the pod names it.
    pub image: String,
    /// The digest that the runtime resolved it to, where it says one.
    pub digest: Option<Digest>,
}

/// Pods that are asked for at a time.
const PAGE: u32 = 500;

/// The images of all pods of a namespace, by pod and container. What admission put into pods is among them.
pub async fn running_images(client: &Client, namespace: &str) -> Result<Vec<RunningImage>, ClusterError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = pods.list(&page).await.map_err(|error| ClusterError::request("list the pods of", namespace, error))?;
        list.items.iter().for_each(|pod| of_pod(pod, &mut found));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}

fn of_pod(pod: &Pod, found: &mut Vec<RunningImage>) {
    let (Some(name), Some(spec)) = (&pod.metadata.name, &pod.spec) else { return };
    let status = pod.status.as_ref();
    let statuses: Vec<&ContainerStatus> =
        [status.and_then(|s| s.container_statuses.as_ref()), status.and_then(|s| s.init_container_statuses.as_ref())].into_iter().flatten().flatten().collect();
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        let Some(image) = &container.image else { continue };
        let told = statuses.iter().find(|status| status.name == container.name);
        let digest = told.and_then(|status| status.image_id.rsplit_once('@')).and_then(|(_, digest)| digest.parse().ok());
        found.push(RunningImage { pod: name.clone(), container: container.name.clone(), image: image.clone(), digest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_pods_and_digests_the_runtimes() {
        let digest = Digest::of(b"x");
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web-1"},
            "spec": {"containers": [{"name": "web", "image": "nginx:1"}], "initContainers": [{"name": "wait", "image": "busybox"}]},
            "status": {"containerStatuses": [{"name": "web", "image": "docker.io/library/nginx:1", "imageID": format!("docker.io/library/nginx@{digest}"), "ready": true, "restartCount": 0}]},
        }))
        .unwrap();
        let mut found = Vec::new();
        of_pod(&pod, &mut found);
        let short: Vec<_> = found.iter().map(|one| (one.container.as_str(), one.image.as_str(), one.digest.clone())).collect();
        assert_eq!(short, [("web", "nginx:1", Some(digest)), ("wait", "busybox", None)]);
    }
}
