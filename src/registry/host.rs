//! One registry host: its client with its own TLS options, who asks, and how much is asked at a time.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use oci_client::{
    Client, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
};
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::{
    Problem,
    credentials::Credentials,
    endpoint::{Endpoint, HostOptions, is_loopback},
    web::Web,
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
    /// The same host for what the client does not ask.
    pub(super) web: Web,
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
        let session = self.session().await?;
        let mut admitted = self.admitted.lock().await;
        if !admitted.contains(name.repository()) {
            let auth = session.credentials.auth();
            session.client.auth(name, &auth, RegistryOperation::Pull).await.map_err(|error| session.problem(error))?;
            admitted.insert(name.repository().to_owned());
        }
        Ok(session)
    }

    /// The session, made when it is first needed.
    pub(super) async fn session(&self) -> Result<&Session, Problem> {
        self.session.get_or_try_init(|| self.connect()).await
    }

    /// A session of its own for somebody whose account is not kept yet.
    pub(super) async fn session_without_account(&self) -> Result<Session, Problem> {
        self.connect_as(Credentials::default()).await
    }

    async fn connect(&self) -> Result<Session, Problem> {
        let (configs, host, account) = (self.configs.clone(), self.name.clone(), self.options.account.clone());
        // A credential helper is a process that is waited for.
        let found = tokio::task::spawn_blocking(move || Credentials::look_up(&configs, &host, account.as_deref())).await;
        self.connect_as(found.expect("looking up credentials does not panic").map_err(Problem::Credentials)?).await
    }

    async fn connect_as(&self, credentials: Credentials) -> Result<Session, Problem> {
        let mut plain = self.options.plain_http;
        let mut web = Web::new(&self.name, &self.options, plain)?;
        if !plain && self.options.ca_file.is_none() && self.options.client.is_none() && is_loopback(&self.name) {
            // On this machine registries without TLS are common; TLS is tried first, as docker does.
            if web.reached().await.is_err_and(|problem| may_be_plain(&problem)) {
                let other = Web::new(&self.name, &self.options, true)?;
                if other.reached().await.is_ok() {
                    (web, plain) = (other, true);
                }
            }
        }
        Ok(Session { client: client(&self.options, plain)?, web, credentials })
    }
}

/// Some servers say that they do not speak TLS, others just hang up.
fn may_be_plain(problem: &Problem) -> bool {
    matches!(problem, Problem::NotTls | Problem::Protocol(_))
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
