//! Objects as they are to be in the cluster.

use std::fmt;

use kube::{
    Client,
    api::{Api, DynamicObject},
    core::ApiResource,
};
use serde_json::Value;

use super::{discovery::Catalog, error::ClusterError};

/// Which object. Its text is `Deployment/shop/web`, or `ClusterRole/web` without a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Group of its API; empty for the core.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, where its kind has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

/// An object with the place where the cluster keeps it.
#[derive(Debug, Clone)]
pub struct Object {
    key: ObjectKey,
    api: ApiResource,
    value: Value,
}

impl Object {
    /// Finds the place of a document. Objects whose kind has namespaces and that name none belong to `namespace`.
    pub fn resolve(catalog: &Catalog, value: Value, namespace: &str) -> Result<Self, ClusterError> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let subject = format!("{kind}/{name}");
        if api_version.is_empty() || kind.is_empty() {
            return Err(ClusterError::BadObject { subject, reason: "it has no apiVersion or no kind".into() });
        }
        if name.is_empty() {
            return Err(ClusterError::BadObject { subject, reason: "it has no metadata.name".into() });
        }
        let Some(found) = catalog.resolve(&api_version, &kind) else { return Err(ClusterError::UnknownKind { subject, api_version, kind }) };
        let own = Some(text("/metadata/namespace")).filter(|n| !n.is_empty());
        let namespace = found.namespaced.then(|| own.unwrap_or_else(|| namespace.to_owned()));
        let key = ObjectKey { group: found.api.group.clone(), kind, namespace, name };
        let mut object = Self { key, api: found.api.clone(), value };
        object.set_namespace();
        Ok(object)
    }

    /// Objects of kinds without namespaces must not name one in their path, and those with one must name theirs.
    fn set_namespace(&mut self) {
        if let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_object_mut) {
            match &self.key.namespace {
                Some(namespace) => metadata.insert("namespace".into(), Value::String(namespace.clone())),
                None => metadata.remove("namespace"),
            };
        }
    }

    /// Which object.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The document.
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Plural name of its kind and its group, as rights name them.
    pub(crate) fn resource(&self) -> (&str, &str) {
        (&self.api.group, &self.api.plural)
    }

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.key.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.api),
            None => Api::all_with(client.clone(), &self.api),
        }
    }

    pub(super) async fn live(&self, client: &Client) -> Result<Option<Value>, ClusterError> {
        let wrap = |e| ClusterError::request("read", self.key.to_string(), e);
        match self.api(client).get(&self.key.name).await {
            Ok(object) => as_value(&self.key, &object).map(Some),
            // Where even the kind is still to come (its definition is part of the release), the server answers in plain text.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(wrap(error)),
        }
    }

    /// As a document of kube's, for POST and PUT.
    pub(super) fn dynamic(&self) -> Result<DynamicObject, ClusterError> {
        serde_json::from_value(self.value.clone()).map_err(|e| ClusterError::BadObject { subject: self.key.to_string(), reason: e.to_string() })
    }
}

/// What the cluster answered, as JSON.
pub(super) fn as_value(key: &ObjectKey, object: &DynamicObject) -> Result<Value, ClusterError> {
    serde_json::to_value(object).map_err(|e| ClusterError::BadObject { subject: key.to_string(), reason: e.to_string() })
}

/// Takes `List`s apart, as Helm's builder does (k8s.io/cli-runtime, resource/visitor.go, `FlattenListVisitor`).
pub fn flatten(documents: Vec<Value>) -> Vec<Value> {
    documents
        .into_iter()
        .flat_map(|mut document| {
            let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match document.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) if is_list => flatten(items),
                Some(items) => {
                    document["items"] = items;
                    vec![document]
                }
                None if document.is_null() => vec![],
                None => vec![document],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::discovery::tests::sample, *};

    #[test]
    fn finds_the_namespace() {
        let object = |value| Object::resolve(&sample(), value, "shop");
        let web = object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})).unwrap();
        assert_eq!(web.key().to_string(), "Deployment/shop/web");
        assert_eq!(web.value()["metadata"]["namespace"], "shop");
        let other = object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "namespace": "y"}})).unwrap();
        assert_eq!((other.key().to_string().as_str(), other.value().pointer("/metadata/namespace")), ("Namespace/x", None));
        let error = object(json!({"apiVersion": "acme.io/v1", "kind": "Shop", "metadata": {"name": "s"}})).unwrap_err();
        assert_eq!(error.to_string(), "the cluster does not know the kind Shop of acme.io/v1, which Shop/s has");
        assert!(object(json!({"kind": "Shop"})).is_err());
    }

    #[test]
    fn lists_are_taken_apart() {
        let documents =
            flatten(vec![json!({"kind": "List", "items": [{"kind": "A"}, {"kind": "BList", "items": [{"kind": "B"}]}]}), Value::Null, json!({"kind": "C"})]);
        let kinds: Vec<_> = documents.iter().map(|d| d["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }
}
