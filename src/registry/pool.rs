//! All registries of a run.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    BlobSink, Documents, HostOptions, Image, Problem, Reach, RegistryError,
    blob::{self, Memory},
    credentials::Scopes,
    endpoint::Endpoint,
    gather,
    host::{Host, Patience, in_time},
    web::Wanted,
};
use crate::{
    oci::{Descriptor, Digest, MANIFEST_MAX, ManifestKind, Platform, Reference, media_type},
    proxy::Proxies,
};

/// Requests at a time over all hosts.
const OVERALL: usize = 8;
/// All at once, in one header: some registries look only at the first one.
const ACCEPTED: &str = concat!(
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
);

/// Registries, each with options and a client of its own.
pub struct Registries {
    options: BTreeMap<String, HostOptions>,
    configs: Vec<PathBuf>,
    /// Parts of hosts for which credentials are kept.
    scopes: OnceLock<Scopes>,
    proxies: Proxies,
    certificates: Vec<PathBuf>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    patience: Patience,
    overall: Arc<Semaphore>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registries").field("options", &self.options).finish_non_exhaustive()
    }
}

/// An image in a registry.
#[derive(Debug, Clone)]
pub struct RemoteImage {
    /// The name by which it was asked for.
    pub reference: Reference,
    /// What it consists of.
    pub content: Image,
}

/// The right to ask a host, given up when dropped.
#[derive(Debug)]
pub struct Turn {
    _held: [OwnedSemaphorePermit; 2],
}

/// A reference with the place where it is asked for.
pub(super) struct Target<'a> {
    pub(super) image: &'a Reference,
    pub(super) endpoint: Endpoint,
    pub(super) host: Arc<Host>,
}

impl Registries {
    /// Registries that are reached as `options` say, by host; credentials come from docker's config.json, where it exists.
    pub fn new(options: BTreeMap<String, HostOptions>, docker_config: Option<PathBuf>) -> Self {
        Self {
            options,
            configs: docker_config.into_iter().collect(),
            scopes: OnceLock::new(),
            proxies: Proxies::default(),
            certificates: Vec::new(),
            hosts: Mutex::default(),
            patience: Patience::default(),
            overall: Arc::new(Semaphore::new(OVERALL)),
        }
    }

    /// Looks credentials up in one more file of docker's form, after docker's own: helm keeps such a file.
    #[must_use]
    pub fn and_credentials_of(mut self, config: Option<PathBuf>) -> Self {
        self.configs.extend(config);
        self
    }

    /// Reached through these proxies, and with the certificates and the credentials of these files too, of which the last ones are looked into last.
    #[must_use]
    pub fn reached(mut self, reach: &Reach) -> Self {
        self.configs = reach.first.iter().cloned().chain(self.configs).chain(reach.last.iter().cloned()).collect();
        self.proxies = reach.proxies.clone();
        self.certificates.clone_from(&reach.certificates);
        self
    }

    /// With another patience than usual.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Resolves a reference: the descriptor and the very bytes of its index or manifest.
    pub async fn resolve(&self, image: &Reference) -> Result<(Descriptor, Bytes), RegistryError> {
        let target = self.target(image, "resolve")?;
        let bytes = self.manifest(&target, None).await.map_err(|problem| target.error("resolve", None, problem))?;
        let kind = ManifestKind::parse(&bytes, None).map_err(|source| {
            let problem = super::ImageError::Manifest { digest: Digest::of(&bytes).to_string(), source };
            target.error("resolve", None, problem.into())
        })?;
        let (said, default) = match &kind {
            ManifestKind::Manifest(manifest) => (manifest.media_type.as_deref(), media_type::OCI_MANIFEST),
            ManifestKind::Index(index) => (index.media_type.as_deref(), media_type::OCI_INDEX),
        };
        Ok((Descriptor::of(said.unwrap_or(default), &bytes), bytes))
    }

    /// Resolves a reference, and gets the documents of all wanted platforms; every one of them must be there.
    pub async fn image(&self, image: &Reference, wanted: &[Platform]) -> Result<RemoteImage, RegistryError> {
        let (root, bytes) = self.resolve(image).await?;
        let target = self.target(image, "read")?;
        let source = Remote { registries: self, target: &target };
        let content = gather(root, bytes, wanted, &source).await.map_err(|problem| target.error("read", None, problem))?;
        Ok(RemoteImage { reference: image.clone(), content })
    }

    /// Waits until a layer of the image may be pulled. Turns come in the order in which they were first waited for, each host's by itself.
    pub async fn layer_turn(&self, image: &Reference) -> Result<Turn, RegistryError> {
        Ok(self.turn(&self.target(image, "pull")?.host).await)
    }

    /// Streams a layer into a sink, from where the sink stands; done, the sink holds the bytes of the layer's digest.
    pub async fn layer(&self, image: &Reference, layer: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), RegistryError> {
        let turn = self.layer_turn(image).await?;
        self.layer_in_turn(turn, image, layer, sink).await
    }

    /// The same for who has waited already.
    pub async fn layer_in_turn(&self, turn: Turn, image: &Reference, layer: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), RegistryError> {
        let target = self.target(image, "pull")?;
        let pulled = blob::pull(&target, layer, sink).await.map_err(|problem| target.error("pull", Some(&layer.digest), problem));
        drop(turn);
        pulled
    }

    pub(super) fn target<'a>(&self, image: &'a Reference, action: &'static str) -> Result<Target<'a>, RegistryError> {
        let endpoint = Endpoint::of(image, &self.options).map_err(|problem| RegistryError {
            action,
            subject: image.to_string(),
            host: image.registry().to_owned(),
            problem: Box::new(problem),
        })?;
        let host = self.host_of(&endpoint);
        Ok(Target { image, endpoint, host })
    }

    /// A registry itself, whatever its mirror is.
    pub(super) fn host(&self, registry: &str) -> Arc<Host> {
        let options = self.options.get(registry).cloned().unwrap_or_default();
        self.host_of(&Endpoint { host: registry.to_owned(), repository: String::new(), options })
    }

    fn host_of(&self, endpoint: &Endpoint) -> Arc<Host> {
        let mut endpoint = endpoint.clone();
        endpoint.options.proxies = self.proxies.clone();
        endpoint.options.certificates.clone_from(&self.certificates);
        endpoint.options.account = self.scopes.get_or_init(|| Scopes::of(&self.configs)).of_repository(&endpoint.host, &endpoint.repository);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // A mirror that stands for two registries may have two sets of options; they get a client each.
        let key = format!("{} {:?}", endpoint.host, endpoint.options);
        hosts.entry(key).or_insert_with(|| Arc::new(Host::new(&endpoint, self.configs.clone(), self.patience))).clone()
    }

    /// The bytes of a manifest or an index; size and time are bounded.
    pub(super) async fn manifest(&self, target: &Target<'_>, digest: Option<&Digest>) -> Result<Bytes, Problem> {
        let (path, scope) = (target.endpoint.manifest(target.image, digest), target.endpoint.scope());
        let wanted = digest.or(target.image.digest());
        let ask = || async {
            let bytes = in_time(self.manifest_once(target, &path, &scope)).await?;
            match wanted {
                Some(wanted) if Digest::of(&bytes) != *wanted => Err(Problem::Digest { wanted: wanted.clone(), found: Digest::of(&bytes) }),
                _ => Ok(bytes),
            }
        };
        target.host.patiently(ask).await
    }

    async fn manifest_once(&self, target: &Target<'_>, path: &str, scope: &str) -> Result<Bytes, Problem> {
        let _turn = self.turn(&target.host).await;
        let session = target.host.session().await?;
        let wanted = Wanted { accept: Some(ACCEPTED), ..Wanted::all(session.web.at(path)?, scope) };
        let answer = session.web.get(&wanted, &session.credentials).await?;
        target.host.has_answered();
        session.web.read(answer, MANIFEST_MAX, &session.credentials).await
    }

    pub(super) async fn blob(&self, target: &Target<'_>, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Problem> {
        let _turn = self.turn(&target.host).await;
        blob::pull(target, blob, sink).await
    }

    /// Waits for a turn. First the host's: whoever waits for a busy host takes nothing away from the others.
    pub(super) async fn turn(&self, host: &Host) -> Turn {
        let own = host.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        host.rested().await;
        Turn { _held: [own, self.overall.clone().acquire_owned().await.expect("the semaphore is never closed")] }
    }
}

impl Target<'_> {
    pub(super) fn error(&self, action: &'static str, part: Option<&Digest>, problem: Problem) -> RegistryError {
        let subject = match part {
            Some(digest) => format!("{digest} of {}", self.image),
            None => self.image.to_string(),
        };
        RegistryError { action, subject, host: self.endpoint.host.clone(), problem: Box::new(problem) }
    }
}

/// The documents of one image in a registry.
struct Remote<'a> {
    registries: &'a Registries,
    target: &'a Target<'a>,
}

impl Documents for Remote<'_> {
    type Error = Problem;

    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, Problem> {
        if media_type::is_index(&descriptor.media_type) || media_type::is_manifest(&descriptor.media_type) {
            return self.registries.manifest(self.target, Some(&descriptor.digest)).await;
        }
        let mut memory = Memory::default();
        self.registries.blob(self.target, descriptor, &mut memory).await?;
        Ok(memory.0.into())
    }
}
