//! One registry host: its client with its own TLS options, who asks, and how much is asked at a time.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use oci_client::{
    Client, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::{
    Problem,
    credentials::Credentials,
    endpoint::{Endpoint, HostOptions, is_loopback},
};
use crate::io::read_capped_text;

/// No byte for so long, and a transfer counts as stalled.
pub(super) const STALL: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(15);
/// Requests to one host at a time; registries limit connections per address.
const PER_HOST: usize = 6;
/// The largest file of certificate authorities that is read.
const CA_MAX: u64 = 4 << 20;

/// A host and the connection to it, made when it is first needed.
pub(super) struct Host {
    name: String,
    options: HostOptions,
    configs: Vec<PathBuf>,
    session: OnceCell<Session>,
    /// Repositories for which the registry has let us in.
    admitted: Mutex<HashSet<String>>,
    /// Bounds the requests at a time.
    pub(super) slots: Semaphore,
}

/// A client that can be used, and for whom.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) credentials: Credentials,
}

impl Session {
    /// Tells what went wrong with a request of this session.
    pub(super) fn problem(&self, error: oci_client::errors::OciDistributionError) -> Problem {
        Problem::of(error, self.credentials.user(), STALL.as_secs())
    }
}

impl Host {
    pub(super) fn new(endpoint: &Endpoint, configs: Vec<PathBuf>) -> Self {
        Self {
            name: endpoint.host.clone(),
            options: endpoint.options.clone(),
            configs,
            session: OnceCell::new(),
            admitted: Mutex::new(HashSet::new()),
            slots: Semaphore::new(PER_HOST),
        }
    }

    /// The session, after the registry has let us in for the repository.
    ///
    /// `oci-client` drops the reason when a token is refused inside a request, so the first token is asked for explicitly.
    pub(super) async fn admitted(&self, name: &oci_client::Reference) -> Result<&Session, Problem> {
        let session = self.session.get_or_try_init(|| self.connect(name)).await?;
        let mut admitted = self.admitted.lock().await;
        if !admitted.contains(name.repository()) {
            let auth = session.credentials.auth();
            session.client.auth(name, &auth, RegistryOperation::Pull).await.map_err(|error| session.problem(error))?;
            admitted.insert(name.repository().to_owned());
        }
        Ok(session)
    }

    async fn connect(&self, name: &oci_client::Reference) -> Result<Session, Problem> {
        let (configs, host) = (self.configs.clone(), self.name.clone());
        // A credential helper is a process that is waited for.
        let found = tokio::task::spawn_blocking(move || Credentials::look_up(&configs, &host)).await;
        let credentials = found.expect("looking up credentials does not panic").map_err(Problem::Credentials)?;
        let client = client(&self.options, self.options.plain_http)?;
        if self.options.plain_http || self.options.ca_file.is_some() || !is_loopback(&self.name) {
            return Ok(Session { client, credentials });
        }
        // On this machine registries without TLS are common; TLS is tried first, as docker does.
        let tried = client.auth(name, &RegistryAuth::Anonymous, RegistryOperation::Pull).await;
        let plain = tried.is_err_and(|error| matches!(Problem::of(error, None, 0), Problem::NotTls));
        // The trial has stored an anonymous login, which a client keeps; so either way a new one.
        Ok(Session { client: self::client(&self.options, plain)?, credentials })
    }
}

fn client(options: &HostOptions, plain: bool) -> Result<Client, Problem> {
    let extra_root_certificates = match &options.ca_file {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let config = ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        extra_root_certificates,
        read_timeout: Some(STALL),
        connect_timeout: Some(CONNECT),
        user_agent: concat!("kubectl-offline/", env!("CARGO_PKG_VERSION")),
        platform_resolver: None,
        ..ClientConfig::default()
    };
    // `Client::new` would fall back to a client without our certificates.
    Client::try_from(config).map_err(|error| match &options.ca_file {
        Some(path) => Problem::CaFile { path: path.display().to_string(), reason: error.to_string() },
        None => Problem::Protocol(error),
    })
}

/// The certificates of a PEM file, one by one: the client reads only the first of each.
fn certificates(path: &Path) -> Result<Vec<Certificate>, Problem> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = read_capped_text(path, CA_MAX)?;
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(BEGIN) {
        let Some(end) = rest[start..].find(END) else { break };
        let block = &rest[start..start + end + END.len()];
        found.push(Certificate { encoding: CertificateEncoding::Pem, data: format!("{block}\n").into_bytes() });
        rest = &rest[start + end + END.len()..];
    }
    if found.is_empty() {
        return Err(Problem::CaFile { path: path.display().to_string(), reason: "it holds no PEM certificate".into() });
    }
    Ok(found)
}
