//! Where an image is asked for: mirrors, TLS and plain HTTP.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use super::Problem;
use crate::{
    oci::{Digest, Reference},
    proxy::Proxies,
};

/// How to reach one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOptions {
    /// Host and path to ask instead.
    pub mirror: Option<String>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// No TLS.
    pub plain_http: bool,
    /// PEM files with the certificate and the private key by which we say who we are.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Which proxies lead to hosts; those of the machine, filled in by [`super::Registries`].
    pub proxies: Proxies,
    /// Places that hold folders of certificates by host (`certs.d`), where nothing is said of them here; filled in too.
    pub certificates: Vec<PathBuf>,
    /// For which part of the host credentials are kept, as in `registry.example/team`; filled in as well.
    pub account: Option<String>,
}

/// The place at which an image is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host with port.
    pub(super) host: String,
    /// Path on the host.
    pub(super) repository: String,
    /// How to reach the host.
    pub(super) options: HostOptions,
}

impl Endpoint {
    /// Where `image` is asked for. What is said of a mirror itself goes before what is said of the registry that it stands for.
    pub(super) fn of(image: &Reference, options: &BTreeMap<String, HostOptions>) -> Result<Self, Problem> {
        let own = options.get(image.registry()).cloned().unwrap_or_default();
        let Some(mirror) = own.mirror.clone() else {
            return Ok(Self { host: image.registry().to_owned(), repository: image.repository().to_owned(), options: own });
        };
        let prefix = mirror.trim_end_matches('/');
        let host = prefix.split('/').next().unwrap_or_default();
        let moved = image.moved_to(prefix).map_err(|_| Problem::Mirror(mirror.clone()))?;
        // A word without dot or port would be read as a path on docker.io.
        if moved.registry() != host {
            return Err(Problem::Mirror(mirror));
        }
        let of_mirror = options.get(host).cloned().unwrap_or(HostOptions { mirror: None, ..own });
        Ok(Self { host: host.to_owned(), repository: moved.repository().to_owned(), options: of_mirror })
    }

    /// Where an image's manifest is below `/v2/`: by digest where there is one, else by tag (distribution-spec, "Pulling manifests").
    pub(super) fn manifest(&self, image: &Reference, digest: Option<&Digest>) -> String {
        match digest.or(image.digest()) {
            Some(digest) => format!("{}/manifests/{digest}", self.repository),
            None => format!("{}/manifests/{}", self.repository, image.tag().unwrap_or("latest")),
        }
    }

    /// Where a blob is below `/v2/` (distribution-spec, "Pulling blobs").
    pub(super) fn blob(&self, digest: &Digest) -> String {
        format!("{}/blobs/{digest}", self.repository)
    }

    /// Where a blob is put (distribution-spec, "Pushing blobs").
    pub(super) fn uploads(&self) -> String {
        format!("{}/blobs/uploads/", self.repository)
    }

    /// What a token for writing is asked for.
    pub(super) fn scope_to_push(&self) -> String {
        format!("repository:{}:pull,push", self.repository)
    }

    /// What a token for reading is asked for (distribution, docs/spec/auth/scope.md).
    pub(super) fn scope(&self) -> String {
        format!("repository:{}:pull", self.repository)
    }
}

/// Whether a host is this machine, where registries without TLS are common (moby, registry/config.go, `isCIDRMatch` of 127.0.0.0/8).
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_take_host_path_and_options() {
        let image: Reference = "nginx:1".parse().unwrap();
        let ca = Some(PathBuf::from("corp.pem"));
        let mirrored = HostOptions { mirror: Some("mirror.corp/hub".into()), ca_file: ca.clone(), ..HostOptions::default() };
        let mut options = BTreeMap::from([("docker.io".to_owned(), mirrored)]);
        let found = Endpoint::of(&image, &options).unwrap();
        assert_eq!((found.host.as_str(), found.repository.as_str()), ("mirror.corp", "hub/library/nginx"));
        assert_eq!(found.options.ca_file, ca);
        options.insert("mirror.corp".into(), HostOptions { plain_http: true, ..HostOptions::default() });
        assert!(Endpoint::of(&image, &options).unwrap().options.plain_http);
        options.insert("docker.io".into(), HostOptions { mirror: Some("word/hub".into()), ..HostOptions::default() });
        assert!(matches!(Endpoint::of(&image, &options), Err(Problem::Mirror(_))));
    }

    #[test]
    fn loopback_hosts() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.0.1", "[::1]:5000", "r.localhost:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["registry.dev:5000", "10.0.0.1:5000", "127.0.0.1.nip.io", "localhost.dev"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
