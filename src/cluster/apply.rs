//! Bringing objects into the cluster and out of it.
//!
//! Server-side apply with Helm's field manager and force, as Helm 4 does by default (helm 4, pkg/kube/client.go); Helm 3 patches what it
//! finds three-way, so both go on from here. What Helm 3 wrote is first handed over (see `managed_fields`).

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Client,
    api::{Api, DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy},
};
use serde_json::{Value, json};

use super::{
    error::ClusterError,
    managed_fields::{MANAGER, migration},
    object::{Object, ObjectKey},
    readiness::{State, judge},
};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";
/// Requests at a time within a run of objects of one kind.
const AT_ONCE: usize = 8;
/// How long a new CRD may take until it serves (helm, pkg/action/install.go, `installCRDs`).
const ESTABLISHED: Duration = Duration::from_mins(1);
const GONE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(250);

/// The release that objects belong to.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Its name.
    pub release: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

impl Owner<'_> {
    /// Puts Helm's label and annotations on an object (helm, pkg/action/validate.go, `setMetadataVisitor`).
    pub fn stamp(&self, object: &mut Object) {
        for (field, key, value) in self.marks() {
            let metadata = &mut object.value_mut()["metadata"];
            if !metadata[field].is_object() {
                metadata[field] = json!({});
            }
            metadata[field][key] = Value::String(value.to_owned());
        }
    }

    fn marks(&self) -> [(&'static str, &'static str, &str); 3] {
        [("labels", MANAGED_BY, "Helm"), ("annotations", RELEASE_NAME, self.release), ("annotations", RELEASE_NAMESPACE, self.namespace)]
    }

    /// Why an object in the cluster is not this release's, in Helm's words (pkg/action/validate.go, `checkOwnership`).
    fn objection(&self, live: &Value) -> Option<String> {
        let objections: Vec<String> = self
            .marks()
            .into_iter()
            .filter_map(|(field, key, wanted)| {
                let what = if field == "labels" { "label" } else { "annotation" };
                match live["metadata"][field][key].as_str() {
                    None => Some(format!("{what} validation error: missing key \"{key}\": must be set to \"{wanted}\"")),
                    Some(found) if found != wanted => {
                        Some(format!("{what} validation error: key \"{key}\" must equal \"{wanted}\": current value is \"{found}\""))
                    }
                    Some(_) => None,
                }
            })
            .collect();
        (!objections.is_empty()).then(|| format!("invalid ownership metadata; {}", objections.join("; ")))
    }
}

/// Which of the objects exist. Those that `current` does not have must carry the owner's marks, else nothing may be written over them.
pub async fn existing(client: &Client, objects: &[Object], current: &[Object], owner: Owner<'_>) -> Result<BTreeSet<ObjectKey>, ClusterError> {
    let known: BTreeSet<&ObjectKey> = current.iter().map(Object::key).collect();
    let lookups = futures::stream::iter(objects).map(|object| async move { object.live(client).await.map(|live| (object, live)) });
    let found: Vec<(&Object, Option<Value>)> = lookups.buffered(AT_ONCE).try_collect().await?;
    let mut keys = BTreeSet::new();
    for (object, live) in found {
        let Some(live) = live else { continue };
        if !known.contains(object.key())
            && let Some(reason) = owner.objection(&live)
        {
            let (release, namespace) = (owner.release.to_owned(), owner.namespace.to_owned());
            return Err(ClusterError::Foreign { object: Box::new(object.key().clone()), release, namespace, reason });
        }
        keys.insert(object.key().clone());
    }
    Ok(keys)
}

/// Objects of the old manifest that the new one no longer has.
pub fn vanished<'a>(old: &'a [Object], new: &[Object]) -> Vec<&'a Object> {
    let kept: BTreeSet<&ObjectKey> = new.iter().map(Object::key).collect();
    old.iter().filter(|object| !kept.contains(object.key())).collect()
}

/// Applies objects in their order; objects of one kind that follow one another go side by side, as in Helm.
pub async fn apply(client: &Client, objects: &[Object]) -> Result<(), ClusterError> {
    for run in objects.chunk_by(|a, b| a.key().kind == b.key().kind) {
        let work = futures::stream::iter(run).map(|object| apply_one(client, object));
        work.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        for crd in run.iter().filter(|object| is_crd(object)) {
            wait_established(client, crd).await?;
        }
    }
    Ok(())
}

fn is_crd(object: &Object) -> bool {
    object.key().kind == "CustomResourceDefinition" && object.key().group == "apiextensions.k8s.io"
}

async fn apply_one(client: &Client, object: &Object) -> Result<(), ClusterError> {
    let (api, name) = (object.api(client), object.key().name.as_str());
    let wrap = |e| ClusterError::request("apply", object.key().to_string(), e);
    if let Some(live) = object.live(client).await?
        && let Some(patch) = migration(&live)
    {
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(wrap)?;
    }
    let params = PatchParams::apply(MANAGER).force();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match api.patch(name, &params, &Patch::Apply(object.value())).await {
            Ok(_) => return Ok(()),
            // The path of a kind that was defined a moment ago.
            Err(kube::Error::Api(status))
                if status.code == 404 && status.message.contains("could not find the requested resource") && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(POLL).await;
            }
            Err(error) => return Err(wrap(error)),
        }
    }
}

/// Creates an object as it is; it must not exist. For hooks, and for definitions from `crds/`.
pub(super) async fn create(client: &Client, object: &Object) -> Result<(), ClusterError> {
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let created = object.api(client).create(&params, &object.dynamic()?).await;
    created.map(|_| ()).map_err(|e| ClusterError::request("create", object.key().to_string(), e))
}

/// Creates the definitions of `crds/` that are not there, and waits until they serve. Those that exist stay as they are
/// (helm, pkg/action/install.go, `installCRDs`).
pub async fn create_crds(client: &Client, crds: &[Object]) -> Result<(), ClusterError> {
    for crd in crds {
        match create(client, crd).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    for crd in crds {
        wait_established(client, crd).await?;
    }
    Ok(())
}

async fn wait_established(client: &Client, crd: &Object) -> Result<(), ClusterError> {
    let started = tokio::time::Instant::now();
    loop {
        let state = crd.live(client).await?.map_or(State::Waiting("it is not there".into()), |live| judge(crd.key(), &live));
        let state = match state {
            State::Ready => return Ok(()),
            State::Waiting(state) if started.elapsed() < ESTABLISHED => state,
            State::Waiting(state) => return Err(ClusterError::Timeout { object: Box::new(crd.key().clone()), waited: started.elapsed(), state, pods: vec![] }),
            State::Failed(state) => return Err(ClusterError::Failed { object: Box::new(crd.key().clone()), state, pods: vec![] }),
        };
        tracing::debug!(crd = %crd.key(), state, "waiting");
        tokio::time::sleep(POLL).await;
    }
}

/// Whether a namespace is there. Without the right to look, it is taken to be.
pub async fn namespace_exists(client: &Client, name: &str) -> Result<bool, ClusterError> {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.get_opt(name).await {
        Ok(found) => Ok(found.is_some()),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
        Err(error) => Err(ClusterError::request("read", format!("Namespace/{name}"), error)),
    }
}

/// Creates a namespace as `helm --create-namespace` does (label `name`), where it is not there.
pub async fn ensure_namespace(client: &Client, name: &str) -> Result<(), ClusterError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let subject = || format!("Namespace/{name}");
    if namespace_exists(client, name).await? {
        return Ok(());
    }
    let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}});
    let namespace: Namespace = serde_json::from_value(document).map_err(|e| ClusterError::BadObject { subject: subject(), reason: e.to_string() })?;
    match api.create(&PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }, &namespace).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
        Err(error) => return Err(ClusterError::request("create", subject(), error)),
    }
    // Pods are refused until the controller manager has made this account.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    for _ in 0..40 {
        if accounts.get_opt("default").await.is_ok_and(|account| account.is_some()) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Deletes a namespace that this run created, with everything in it.
pub async fn delete_namespace(client: &Client, name: &str) -> Result<(), ClusterError> {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(ClusterError::request("delete", format!("Namespace/{name}"), error)),
    }
}

/// Deletes objects in the given order, those excepted that ask to be kept. What is not there is no error. Tells which were kept.
pub async fn delete<'a>(client: &Client, objects: impl IntoIterator<Item = &'a Object>) -> Result<Vec<ObjectKey>, ClusterError> {
    let mut kept = Vec::new();
    for object in objects {
        let Some(live) = live_or_none(client, object).await? else { continue };
        let keeps = |value: &Value| value["metadata"]["annotations"][RESOURCE_POLICY].as_str().is_some_and(|p| p.trim().eq_ignore_ascii_case("keep"));
        if keeps(&live) || keeps(object.value()) {
            kept.push(object.key().clone());
            continue;
        }
        delete_one(client, object).await?;
    }
    Ok(kept)
}

/// A kind whose definition is gone has no objects.
async fn live_or_none(client: &Client, object: &Object) -> Result<Option<Value>, ClusterError> {
    match object.live(client).await {
        Err(error) if error.is_not_found() => Ok(None),
        other => other,
    }
}

/// Deletes one object, whatever its resource policy: to take back what this run made.
pub async fn remove(client: &Client, object: &Object) -> Result<(), ClusterError> {
    delete_one(client, object).await
}

pub(super) async fn delete_one(client: &Client, object: &Object) -> Result<(), ClusterError> {
    let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match object.api(client).delete(&object.key().name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(ClusterError::request("delete", object.key().to_string(), error)),
    }
}

/// Waits until objects are gone.
pub async fn wait_gone<'a>(client: &Client, objects: impl IntoIterator<Item = &'a Object>) -> Result<(), ClusterError> {
    let started = tokio::time::Instant::now();
    for object in objects {
        while live_or_none(client, object).await?.is_some() {
            if started.elapsed() > GONE {
                let state = "it is being deleted, and something holds it (finalizers?)".to_owned();
                return Err(ClusterError::Timeout { object: Box::new(object.key().clone()), waited: started.elapsed(), state, pods: vec![] });
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::discovery::tests::sample, *};

    fn object(name: &str) -> Object {
        Object::resolve(&sample(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}), "shop").unwrap()
    }

    #[test]
    fn stamps_and_recognises_its_own() {
        let owner = Owner { release: "web", namespace: "shop" };
        let mut mine = object("a");
        assert!(owner.objection(mine.value()).unwrap().starts_with(
            "invalid ownership metadata; label validation error: missing key \"app.kubernetes.io/managed-by\": must be set to \"Helm\"; annotation validation error: missing key"
        ));
        owner.stamp(&mut mine);
        assert_eq!(owner.objection(mine.value()), None);
        let other = Owner { release: "db", namespace: "shop" };
        assert_eq!(
            other.objection(mine.value()).unwrap(),
            "invalid ownership metadata; annotation validation error: key \"meta.helm.sh/release-name\" must equal \"db\": current value is \"web\""
        );
    }

    #[test]
    fn what_vanished_is_what_the_new_manifest_lacks() {
        let old = [object("a"), object("b")];
        let names: Vec<_> = vanished(&old, &[object("b"), object("c")]).into_iter().map(|o| o.key().to_string()).collect();
        assert_eq!(names, ["ConfigMap/shop/a"]);
    }
}
