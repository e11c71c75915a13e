//! What the cluster remembers of a delivery besides its releases: the version that nothing older may follow.
//!
//! It is a Secret beside the releases, so that it needs no rights that they do not need, and goes when their namespace goes. It stays where
//! releases are uninstalled, and where their oldest revisions are forgotten.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Client,
    api::{Api, PostParams},
};

use super::{MANAGED, error::ClusterError};

const TYPE: &str = "offline.dev/delivery.v1";
const VERSION: &str = "version";
/// How often it is tried against others who write at the same time.
const ATTEMPTS: usize = 5;

/// What one namespace remembers of one delivery.
pub struct Memory {
    api: Api<Secret>,
    name: String,
    subject: String,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.subject).finish()
    }
}

impl Memory {
    /// That of a delivery in a namespace of one of its apps.
    pub fn of(client: &Client, namespace: &str, delivery: &str) -> Self {
        let name = format!("offline.delivery.{delivery}");
        Self { api: Api::namespaced(client.clone(), namespace), subject: format!("Secret/{namespace}/{name}"), name }
    }

    /// The version that was installed last, where one is remembered.
    pub async fn version(&self) -> Result<Option<String>, ClusterError> {
        Ok(self.read().await?.and_then(|secret| remembered(&secret)))
    }

    /// Remembers a version.
    pub async fn keep(&self, version: &str) -> Result<(), ClusterError> {
        let parameters = PostParams { field_manager: Some(MANAGED.1.into()), ..PostParams::default() };
        let mut attempt = 1;
        loop {
            let done = match self.read().await? {
                Some(secret) if remembered(&secret).is_some_and(|known| known == version) => return Ok(()),
                Some(secret) => self.api.replace(&self.name, &parameters, &self.written(version, secret.metadata.resource_version)).await,
                None => self.api.create(&parameters, &self.written(version, None)).await,
            };
            match done {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(ClusterError::request("write", self.subject.clone(), error)),
            }
        }
    }

    async fn read(&self) -> Result<Option<Secret>, ClusterError> {
        self.api.get_opt(&self.name).await.map_err(|e| ClusterError::request("read", self.subject.clone(), e))
    }

    fn written(&self, version: &str, resource_version: Option<String>) -> Secret {
        let labels = BTreeMap::from([(MANAGED.0.to_owned(), MANAGED.1.to_owned())]);
        let metadata = ObjectMeta { name: Some(self.name.clone()), labels: Some(labels), resource_version, ..ObjectMeta::default() };
        let data = BTreeMap::from([(VERSION.to_owned(), ByteString(version.as_bytes().to_vec()))]);
        Secret { metadata, type_: Some(TYPE.into()), data: Some(data), ..Secret::default() }
    }
}

fn remembered(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(VERSION)?;
    String::from_utf8(bytes.0.clone()).ok()
}
