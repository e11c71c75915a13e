//! The namespace of imports: made where it is missing, shared by runs at the same time, deleted by the one that finds it empty.
//!
//! One run may find it empty while another begins. Whoever begins puts its Secrets there first and then changes the namespace ([`claim`]); whoever
//! ends deletes it only as it was before it looked inside ([`remove_if_empty`]). So either the deletion fails, or the one who begins sees it.

use std::time::Duration;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Client, Error as KubeError, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;

use super::{NodesError, bootstrap::RUN};
use crate::cluster::MANAGED;

/// Without it pod security admission refuses privileged pods (pod-security-admission, policy levels).
const PRIVILEGED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "privileged");
/// How often a deletion is tried against others who change the namespace.
const ATTEMPTS: usize = 5;

/// Makes the namespace where it is missing. False: there is one, and it is about to vanish.
pub(super) async fn ensure(client: &Client, name: &str) -> Result<bool, NodesError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let labels = [MANAGED, PRIVILEGED].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let namespace = Namespace { metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }, ..Namespace::default() };
    match api.create(&PostParams::default(), &namespace).await {
        Ok(_) => {}
        Err(KubeError::Api(status)) if status.code == 409 => {
            let found = api.get_opt(name).await.map_err(NodesError::api(format!("reading namespace {name}")))?;
            let Some(found) = found.filter(|found| found.metadata.deletion_timestamp.is_none()) else { return Ok(false) };
            if found.metadata.labels.as_ref().and_then(|l| l.get(PRIVILEGED.0)).map(String::as_str) != Some(PRIVILEGED.1) {
                let patch = json!({"metadata": {"labels": {PRIVILEGED.0: PRIVILEGED.1}}});
                api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                    .map_err(NodesError::api(format!("labelling namespace {name} for privileged pods")))?;
            }
        }
        Err(e) => return Err(NodesError::api(format!("making namespace {name}"))(e)),
    }
    account(client, name).await;
    Ok(true)
}

/// Pods are refused until a controller has made the namespace's account. If it never does the Job's events tell.
async fn account(client: &Client, namespace: &str) {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    for _ in 0..100 {
        if matches!(api.get_opt("default").await, Ok(Some(_)) | Err(_)) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Changes the namespace, so that who has found it empty before does not delete it. False: that is already done.
pub(super) async fn claim(client: &Client, name: &str, run: &str) -> Result<bool, NodesError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let patch = json!({"metadata": {"annotations": {RUN: run}}});
    let claimed = match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        // An account that may make namespaces but not change them can still look.
        Err(KubeError::Api(status)) if status.code == 403 => api.get_metadata(name).await,
        claimed => claimed,
    };
    match claimed {
        Ok(found) => Ok(found.metadata.deletion_timestamp.is_none()),
        Err(KubeError::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(NodesError::api(format!("claiming namespace {name}"))(error)),
    }
}

/// Whether something was refused because its namespace is being deleted (apiserver, admission plugin `NamespaceLifecycle`), or is gone.
pub(super) fn is_vanishing(error: &NodesError) -> bool {
    let NodesError::Api { source, .. } = error else { return false };
    let KubeError::Api(status) = &**source else { return false };
    let terminating = || status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
    (status.code == 403 && terminating()) || status.code == 404
}

/// Deletes the namespace if it is ours and nothing is in it.
pub(super) async fn remove_if_empty(client: &Client, name: &str) -> Result<(), NodesError> {
    let api: Api<Namespace> = Api::all(client.clone());
    for _ in 0..ATTEMPTS {
        let Some(found) = api.get_opt(name).await.map_err(NodesError::api(format!("reading namespace {name}")))? else { return Ok(()) };
        let ours = found.metadata.labels.as_ref().and_then(|l| l.get(MANAGED.0)).map(String::as_str) == Some(MANAGED.1);
        if !ours || found.metadata.deletion_timestamp.is_some() || !is_empty(client, name).await? {
            return Ok(());
        }
        let as_seen = Preconditions { resource_version: found.metadata.resource_version, uid: found.metadata.uid };
        match api.delete(name, &DeleteParams { preconditions: Some(as_seen), ..DeleteParams::default() }).await {
            Ok(_) => return Ok(()),
            // Somebody has changed it meanwhile, or was faster.
            Err(KubeError::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(e) => return Err(NodesError::api(format!("deleting namespace {name}"))(e)),
        }
    }
    Ok(())
}

async fn is_empty(client: &Client, namespace: &str) -> Result<bool, NodesError> {
    // The cluster itself puts that one into every namespace.
    let foreign = names::<ConfigMap>(client, namespace).await?.into_iter().filter(|name| name != "kube-root-ca.crt").count();
    Ok(foreign + names::<Pod>(client, namespace).await?.len() + names::<Job>(client, namespace).await?.len() + names::<Secret>(client, namespace).await?.len()
        == 0)
}

/// The first few.
async fn names<T>(client: &Client, namespace: &str) -> Result<Vec<String>, NodesError>
where
    T: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<T> = Api::namespaced(client.clone(), namespace);
    let found = api.list_metadata(&ListParams::default().limit(5)).await.map_err(NodesError::api(format!("reading namespace {namespace}")))?;
    Ok(found.items.into_iter().filter_map(|item| item.metadata.name).collect())
}
