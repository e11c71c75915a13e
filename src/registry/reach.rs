//! What of a machine is needed to reach registries, besides docker's config.

use std::path::PathBuf;

use crate::proxy::Proxies;

/// Proxies, certificates, and further files with credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Which proxies lead to hosts.
    pub proxies: Proxies,
    /// Files of docker's form that go before docker's own: the one that `REGISTRY_AUTH_FILE` names.
    pub first: Vec<PathBuf>,
    /// Files that come after it: podman's auth.json.
    pub last: Vec<PathBuf>,
    /// Places with folders of certificates by host, as podman and docker have them (`certs.d`); the first that has one for a host decides.
    pub certificates: Vec<PathBuf>,
}
