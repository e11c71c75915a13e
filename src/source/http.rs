//! Getting a document over HTTP(S), with bounds on size, time, redirects and attempts.
//!
//! Credentials go to the very origin that they were given for, and nowhere else. What began with TLS stays with TLS.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{
    Client, ClientBuilder, Identity, Response, StatusCode, Url,
    header::{ACCEPT, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use zeroize::Zeroizing;

use super::fetch_error::{FetchError, FetchProblem, shown};
use crate::{
    io::read_capped,
    proxy::Proxies,
    redact::Secret,
    registry::{self, HostOptions, is_loopback},
    tls,
};

/// As many as Go's client follows, which is Helm's (net/http, `defaultCheckRedirect`).
const REDIRECTS: usize = 10;
const ATTEMPTS: u32 = 4;
/// The largest PEM file that is read.
const PEM_MAX: u64 = 4 << 20;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) connect: Duration,
    /// Without a byte.
    pub(super) stall: Duration,
    /// For one attempt, however slowly it drips.
    pub(super) attempt: Duration,
    /// Before the second attempt; doubles.
    pub(super) pause: Duration,
    /// At most, whatever a server asks for.
    pub(super) pause_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(15), stall: seconds(60), attempt: seconds(300), pause: Duration::from_millis(500), pause_max: seconds(30) }
    }
}

/// A user and a password.
pub(super) type Account = (String, Secret<String>);

/// How one chart repository is reached: what helm's repositories.yaml, or the command line, says of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    /// The repository; credentials and certificates are for its scheme, host and port.
    pub(super) origin: Option<Url>,
    pub(super) account: Option<Account>,
    /// Credentials go to every host that the repository names.
    pub(super) pass_credentials: bool,
    /// A person named this URL with `http`.
    pub(super) plain_http: bool,
    pub(super) tls: Tls,
}

/// Certificates of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) insecure: bool,
}

/// What a server says about a document's version (RFC 9110, section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// What a server answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// The document that the validators belong to still holds.
    NotModified,
    /// The document.
    Document(Bytes, Validators),
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    pub(super) access: &'a Access,
    /// Most bytes of the answer.
    pub(super) max: u64,
    /// Of a document that is here already.
    pub(super) known: Option<&'a Validators>,
}

/// All web servers of a run.
pub(super) struct Web {
    options: BTreeMap<String, HostOptions>,
    docker_configs: Vec<PathBuf>,
    proxies: Proxies,
    timing: Timing,
    clients: Mutex<HashMap<String, Client>>,
    accounts: tokio::sync::Mutex<HashMap<String, Option<Account>>>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Web {
    pub(super) fn new(options: BTreeMap<String, HostOptions>, docker_configs: Vec<PathBuf>, timing: Timing) -> Self {
        Self { options, docker_configs, proxies: Proxies::default(), timing, clients: Mutex::default(), accounts: tokio::sync::Mutex::default() }
    }

    /// Reached through these proxies.
    pub(super) fn through(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Gets a document; what may pass by itself is tried again.
    pub(super) async fn get(&self, ask: Ask<'_>) -> Result<Answer, FetchError> {
        let failed = |problem: FetchProblem| FetchError { url: shown(ask.url), problem: Box::new(problem) };
        let mut attempt = 1;
        loop {
            let tried = tokio::time::timeout(self.timing.attempt, self.follow(ask)).await;
            match tried.unwrap_or(Err(FetchProblem::Stalled(self.timing.attempt.as_secs()))) {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    let own = self.timing.pause * 2_u32.pow(attempt - 1);
                    tokio::time::sleep(problem.wait().unwrap_or(own).min(self.timing.pause_max)).await;
                    attempt += 1;
                }
                answer => return answer.map_err(failed),
            }
        }
    }

    async fn follow(&self, ask: Ask<'_>) -> Result<Answer, FetchProblem> {
        let mut url = self.mirrored(ask.url)?;
        let first = host(&url);
        for _ in 0..=REDIRECTS {
            self.permitted(&url, ask.access)?;
            // What docker's config has is for the host that a person named, never for one that a server names.
            let named = ask.access.covers(ask.url) && host(&url) == first;
            let account = self.account(&url, ask.access, named).await?;
            let user = account.as_ref().map(|(user, _)| user.clone());
            let response = self.send(&url, ask, account).await?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED {
                return Ok(Answer::NotModified);
            }
            if let Some(to) = status.is_redirection().then(|| response.headers().get(LOCATION)).flatten() {
                let to = to.to_str().ok().and_then(|to| url.join(to).ok()).ok_or(FetchProblem::BadRedirect)?;
                if url.scheme() == "https" && to.scheme() != "https" {
                    return Err(FetchProblem::Downgrade(shown(&to)));
                }
                url = to;
                continue;
            }
            if status != StatusCode::OK {
                return Err(refused(status, response.headers(), user));
            }
            let validators = validators(response.headers());
            return Ok(Answer::Document(self.read(response, ask.max).await?, validators));
        }
        Err(FetchProblem::Redirects(REDIRECTS))
    }

    async fn send(&self, url: &Url, ask: Ask<'_>, account: Option<Account>) -> Result<Response, FetchProblem> {
        let client = self.client(url, ask.access)?;
        let mut request = client.get(url.clone()).header(ACCEPT, "application/gzip, application/octet-stream, */*;q=0.5");
        if let Some((user, password)) = account {
            request = request.basic_auth(user, Some(password.expose()));
        }
        if let Some(known) = ask.known {
            for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        request.send().await.map_err(|error| FetchProblem::of(&error, self.timing.stall.as_secs()))
    }

    async fn read(&self, response: Response, max: u64) -> Result<Bytes, FetchProblem> {
        if response.content_length().is_some_and(|length| length > max) {
            return Err(FetchProblem::TooLarge(max));
        }
        let mut stream = response.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| FetchProblem::of(&error, self.timing.stall.as_secs()))?;
            if (bytes.len() + chunk.len()) as u64 > max {
                return Err(FetchProblem::TooLarge(max));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    /// The mirror's URL, where one stands for the host.
    fn mirrored(&self, url: &Url) -> Result<Url, FetchProblem> {
        let Some(mirror) = self.options.get(&host(url)).and_then(|options| options.mirror.as_ref()) else { return Ok(url.clone()) };
        let name = mirror.split('/').next().unwrap_or_default();
        let plain = self.options.get(name).is_some_and(|options| options.plain_http) || (is_loopback(name) && url.scheme() == "http");
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let text = format!("{}://{mirror}{}{query}", if plain { "http" } else { "https" }, url.path());
        Url::parse(&text).map_err(|_| FetchProblem::Url(mirror.clone()))
    }

    /// Without TLS only where that was said, or on this machine.
    fn permitted(&self, url: &Url, access: &Access) -> Result<(), FetchProblem> {
        let host = host(url);
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_loopback(&host) || self.options.get(&host).is_some_and(|options| options.plain_http) => Ok(()),
            "http" if access.plain_http && access.covers(url) => Ok(()),
            "http" => Err(FetchProblem::PlainHttp(host)),
            _ => Err(FetchProblem::Url(shown(url))),
        }
    }

    /// The repository's own credentials, else what docker's config has for the host.
    async fn account(&self, url: &Url, access: &Access, named: bool) -> Result<Option<Account>, FetchProblem> {
        if access.account.is_some() && (access.pass_credentials || access.covers(url)) {
            return Ok(access.account.clone());
        }
        if !named {
            return Ok(None);
        }
        let host = host(url);
        let mut known = self.accounts.lock().await;
        if let Some(account) = known.get(&host) {
            return Ok(account.clone());
        }
        let (configs, name) = (self.docker_configs.clone(), host.clone());
        // A credential helper is a process that is waited for.
        let found = tokio::task::spawn_blocking(move || registry::account(&configs, &name)).await;
        let found = found.expect("looking up credentials does not panic").map_err(FetchProblem::Credentials)?;
        known.insert(host, found.clone());
        Ok(found)
    }

    fn client(&self, url: &Url, access: &Access) -> Result<Client, FetchProblem> {
        let mut tls = if access.covers(url) || access.pass_credentials { access.tls.clone() } else { Tls::default() };
        if tls.ca_file.is_none() {
            tls.ca_file = self.options.get(&host(url)).and_then(|options| options.ca_file.clone());
        }
        if let (None, Some((cert, key))) = (&tls.cert_file, self.options.get(&host(url)).and_then(|options| options.client.clone())) {
            (tls.cert_file, tls.key_file) = (Some(cert), Some(key));
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{tls:?}");
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = tls.client(self.timing, self.proxies.clone())?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl Access {
    /// Whether a URL is of the origin that this is about.
    fn covers(&self, url: &Url) -> bool {
        self.origin.as_ref().is_some_and(|own| own.scheme() == url.scheme() && host(own) == host(url))
    }
}

impl Tls {
    fn client(&self, timing: Timing, proxies: Proxies) -> Result<Client, FetchProblem> {
        let agent = concat!("kubectl-offline/", env!("CARGO_PKG_VERSION"));
        let builder = Client::builder().user_agent(agent).redirect(Policy::none()).connect_timeout(timing.connect).read_timeout(timing.stall);
        let builder = if self.insecure { self.believing(builder)? } else { self.checking(builder)? };
        registry::through(builder, proxies).build().map_err(|error| FetchProblem::Transport { text: error.to_string(), transient: false })
    }

    fn checking(&self, builder: ClientBuilder) -> Result<ClientBuilder, FetchProblem> {
        let mut tls = tls::Tls::default();
        if let Some(path) = &self.ca_file {
            tls.trust(path)?;
        }
        if let (Some(certificate), Some(key)) = (&self.cert_file, &self.key_file) {
            tls.identify(certificate, key)?;
        }
        Ok(tls.put(builder)?)
    }

    /// Whoever answers is believed.
    fn believing(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, FetchProblem> {
        if let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) {
            let mut pem = Zeroizing::new(read_capped(key, PEM_MAX)?);
            pem.push(b'\n');
            pem.extend(read_capped(cert, PEM_MAX)?);
            let identity = Identity::from_pem(&pem).map_err(|error| FetchProblem::CaFile { path: cert.clone(), reason: error.to_string() })?;
            builder = builder.identity(identity);
        }
        Ok(builder.tls_danger_accept_invalid_certs(true))
    }
}

/// Host with the port, where that is not the scheme's own.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn refused(status: StatusCode, headers: &HeaderMap, user: Option<String>) -> FetchProblem {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FetchProblem::Refused { status: status.as_u16(), user },
        StatusCode::NOT_FOUND | StatusCode::GONE => FetchProblem::NotFound,
        _ => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
            FetchProblem::Status { status: status.as_u16(), wait: seconds.map(Duration::from_secs) }
        }
    }
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    /// A server that says something to each connection and then goes on saying it, slowly.
    fn server(says: &'static [u8], drips: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request);
                    let _ = stream.write_all(says);
                    while stream.write_all(drips).is_ok() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        });
        url
    }

    fn web() -> Web {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ms = Duration::from_millis;
        let timing = Timing { connect: ms(500), stall: ms(150), attempt: ms(400), pause: ms(1), pause_max: ms(5) };
        Web::new(BTreeMap::new(), Vec::new(), timing)
    }

    #[tokio::test]
    async fn slow_servers_are_given_up() {
        let access = Access::default();
        for (says, drips) in [
            (b"".as_slice(), b"".as_slice()),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b""),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        ] {
            let (url, started) = (server(says, drips), Instant::now());
            let error = web().get(Ask { url: &url, access: &access, max: 1 << 20, known: None }).await.unwrap_err();
            assert!(matches!(*error.problem, FetchProblem::Stalled(_)), "{error}");
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    }

    #[tokio::test]
    async fn more_than_is_wanted_is_not_read() {
        let access = Access::default();
        for says in [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".as_slice(), b"HTTP/1.1 200 OK\r\n\r\n"] {
            let url = server(says, b"xxxxxxxxxxxxxxxx");
            let error = web().get(Ask { url: &url, access: &access, max: 20, known: None }).await.unwrap_err();
            assert!(matches!(*error.problem, FetchProblem::TooLarge(20)), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_says_so() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url: Url = format!("http://me:secret@127.0.0.1:{port}/x?token=1").parse().unwrap();
        let error = web().get(Ask { url: &url, access: &Access::default(), max: 20, known: None }).await.unwrap_err().to_string();
        assert!(error.contains("refused") && !error.contains("secret") && !error.contains("token"), "{error}");
    }

    #[test]
    fn credentials_are_for_one_origin() {
        let origin: Url = "https://charts.corp/stable".parse().unwrap();
        let access = Access { origin: Some(origin), account: Some(("me".into(), "s3cret".into())), ..Access::default() };
        for (url, covered) in [
            ("https://charts.corp/web.tgz", true),
            ("https://charts.corp:443/web.tgz", true),
            ("https://charts.corp:8443/web.tgz", false),
            ("http://charts.corp/web.tgz", false),
            ("https://charts.corp.evil/web.tgz", false),
            ("https://cdn.charts.corp/web.tgz", false),
        ] {
            assert_eq!(access.covers(&url.parse().unwrap()), covered, "{url}");
        }
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
