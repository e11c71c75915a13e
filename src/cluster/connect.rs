//! Connecting as kubectl does.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{AuthInfo, Kubeconfig, KubeconfigError},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tower::{buffer::BufferLayer, retry::RetryLayer};

use crate::proxy::ProxyRules;

use super::{
    again::Again,
    error::{ClusterError, root_cause},
};

/// How long the first answer of an API server may take, the connection included.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
/// Requests that wait to be sent, at most.
const UNDER_WAY: usize = 1024;

/// Which cluster, and as whom: what flags and the environment say. `context` fills it in.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// Kubeconfig files in the order of `KUBECONFIG`; the first to say something wins. Files that do not exist are passed over.
    pub kubeconfigs: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// Another URL for the API server (`--kube-apiserver`, `HELM_KUBEAPISERVER`).
    pub server: Option<String>,
    /// A bearer token in place of the user's credentials (`HELM_KUBETOKEN`).
    pub token: Option<String>,
    /// Another file with the server's authority (`HELM_KUBECAFILE`).
    pub ca_file: Option<PathBuf>,
    /// Another name that the server's certificate must have (`HELM_KUBETLS_SERVER_NAME`).
    pub tls_server_name: Option<String>,
    /// Take any certificate (`HELM_KUBEINSECURE_SKIP_TLS_VERIFY`).
    pub insecure: bool,
    /// Act as another user (`--as`).
    pub impersonate: Option<String>,
    /// Act as a member of these groups (`--as-group`).
    pub impersonate_groups: Vec<String>,
    /// Whether we run inside a pod (`KUBERNETES_SERVICE_HOST` is set); used where no kubeconfig exists.
    pub in_cluster: bool,
    /// `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
}

/// A cluster that answered.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    server: String,
    context: String,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).field("context", &self.context).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects, and asks the server for its version so that a dead or foreign one is noticed here.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ClusterError> {
        let (config, context) = configure(options)?;
        let server = config.cluster_url.to_string();
        let namespace = config.default_namespace.clone();
        let fail = |error: kube::Error| explain(&server, &context, &error);
        let client = client_of(config).map_err(fail)?;
        match tokio::time::timeout(FIRST_ANSWER, client.apiserver_version()).await {
            Ok(Ok(_)) => Ok(Self { client, server, context, namespace }),
            // `/version` may be closed to the account; that is an answer too.
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Ok(Self { client, server, context, namespace }),
            Ok(Err(error)) => Err(fail(error)),
            Err(_) => {
                let reason = format!("no answer within {} s", FIRST_ANSWER.as_secs());
                Err(ClusterError::Unreachable { server, context, reason })
            }
        }
    }

    /// The client for requests of one's own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The context used; `in-cluster` inside a pod.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The namespace where none is said.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// A client that asks again where a connection ended before the answer.
pub(super) fn client_of(config: Config) -> Result<Client, kube::Error> {
    // A service that is asked again has to be one that can be had twice.
    Ok(ClientBuilder::try_from(config)?.with_layer(&BufferLayer::new(UNDER_WAY)).with_layer(&RetryLayer::new(Again::new())).build())
}

fn configure(options: &ConnectOptions) -> Result<(Config, String), ClusterError> {
    let kubeconfig = read_kubeconfigs(&options.kubeconfigs)?;
    let (mut config, context) = match kubeconfig {
        Some(kubeconfig) => from_kubeconfig(&kubeconfig, options)?,
        None if options.server.is_some() => (Config::new(uri("--kube-apiserver", options.server.as_deref().unwrap_or_default())?), "none".to_owned()),
        None if options.in_cluster => in_cluster()?,
        None => return Err(no_cluster(&options.kubeconfigs)),
    };
    override_with(&mut config, options)?;
    config.connect_timeout = Some(CONNECT);
    // kube would ask a dead server 15 times over some minutes.
    config.default_retry = false;
    Ok((config, context))
}

fn no_cluster(paths: &[PathBuf]) -> ClusterError {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let reason = if paths.is_empty() { "there is no kubeconfig".to_owned() } else { format!("{} does not exist", paths.join(" and ")) };
    ClusterError::NoCluster { reason }
}

fn read_kubeconfigs(paths: &[PathBuf]) -> Result<Option<Kubeconfig>, ClusterError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let wrap = |source| ClusterError::Kubeconfig { path: path.clone(), source: Box::new(source) };
        match Kubeconfig::read_from(path) {
            Ok(next) => {
                merged = Some(match merged {
                    Some(first) => first.merge(next).map_err(wrap)?,
                    None => next,
                });
            }
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrap(error)),
        }
    }
    Ok(merged)
}

/// The namespace of the kubeconfig's context; none where there is no such thing. Nothing is connected.
pub fn kubeconfig_namespace(options: &ConnectOptions) -> Option<String> {
    let kubeconfig = read_kubeconfigs(&options.kubeconfigs).ok()??;
    let name = options.context.as_ref().or(kubeconfig.current_context.as_ref())?;
    let context = kubeconfig.contexts.iter().find(|context| &context.name == name)?.context.as_ref()?;
    context.namespace.clone().filter(|namespace| !namespace.is_empty())
}

fn in_cluster() -> Result<(Config, String), ClusterError> {
    let config = Config::incluster().map_err(|e| ClusterError::NoCluster { reason: format!("this looks like a pod, but {e}") })?;
    Ok((config, "in-cluster".to_owned()))
}

fn uri(subject: &str, text: &str) -> Result<http::Uri, ClusterError> {
    text.parse().map_err(|e: http::uri::InvalidUri| ClusterError::Config { subject: subject.to_owned(), reason: format!("`{text}` is no URL: {e}") })
}

/// Puts the pieces of a kubeconfig together. kube's own way would read proxies from the environment, wrongly.
fn from_kubeconfig(kubeconfig: &Kubeconfig, options: &ConnectOptions) -> Result<(Config, String), ClusterError> {
    let name = options.context.clone().or(kubeconfig.current_context.clone().filter(|c| !c.is_empty()));
    let name = name.ok_or_else(|| ClusterError::NoCluster { reason: "the kubeconfig has no current-context, and no --context was given".into() })?;
    let known = || kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    let context = kubeconfig.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.clone());
    let context = context.ok_or_else(|| ClusterError::NoCluster { reason: format!("the kubeconfig has no context `{name}`, only: {}", known()) })?;
    let cluster_name = options.cluster.as_ref().unwrap_or(&context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|c| &c.name == cluster_name).and_then(|c| c.cluster.clone());
    let cluster = cluster.ok_or_else(|| ClusterError::NoCluster { reason: format!("context `{name}` names cluster `{cluster_name}`, which is not there") })?;
    let subject = format!("cluster {cluster_name}");
    let bad = |reason: String| ClusterError::Config { subject: subject.clone(), reason };

    let server = options.server.as_deref().or(cluster.server.as_deref()).ok_or_else(|| bad("it has no server".into()))?;
    let server = uri(&subject, server)?;
    let rules = ProxyRules { https: options.https_proxy.as_deref(), http: options.http_proxy.as_deref(), none: options.no_proxy.as_deref() };
    let proxy = rules.choose(&server, cluster.proxy_url.as_deref()).map(|proxy| uri("the proxy", proxy)).transpose()?;

    let mut config = Config::new(server);
    config.proxy_url = proxy;
    config.default_namespace = context.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    if let Some(pem) = authority(&cluster).map_err(&bad)? {
        config.root_cert = Some(certificates(&pem).map_err(&bad)?);
    }
    config.auth_info = user(kubeconfig, options.user.as_ref().or(context.user.as_ref()));
    if let Some(exec) = &mut config.auth_info.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some((&cluster).try_into().map_err(|e: KubeconfigError| bad(e.to_string()))?);
    }
    Ok((config, name))
}

/// client-go does not fail on a user that is not there, so neither do we.
fn user(kubeconfig: &Kubeconfig, name: Option<&String>) -> AuthInfo {
    name.and_then(|name| kubeconfig.auth_infos.iter().find(|u| &u.name == name)).and_then(|u| u.auth_info.clone()).unwrap_or_default()
}

fn authority(cluster: &kube::config::Cluster) -> Result<Option<Vec<u8>>, String> {
    use base64::Engine as _;
    if let Some(data) = cluster.certificate_authority_data.as_deref().filter(|d| !d.is_empty()) {
        let pem = base64::engine::general_purpose::STANDARD.decode(data.trim());
        return pem.map(Some).map_err(|e| format!("certificate-authority-data is no base64: {e}"));
    }
    match cluster.certificate_authority.as_deref().filter(|f| !f.is_empty()) {
        Some(file) => std::fs::read(file).map(Some).map_err(|e| format!("cannot read certificate-authority {file}: {e}")),
        None => Ok(None),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).map(|c| c.map(|c| c.to_vec())).collect();
    match certificates {
        Ok(list) if list.is_empty() => Err("the certificate authority holds no certificate".into()),
        other => other.map_err(|e| format!("the certificate authority is no PEM: {e}")),
    }
}

fn override_with(config: &mut Config, options: &ConnectOptions) -> Result<(), ClusterError> {
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    if let Some(token) = &options.token {
        config.auth_info = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
    }
    if let Some(file) = &options.ca_file {
        let bad = |reason| ClusterError::Config { subject: format!("the authority {}", file.display()), reason };
        let pem = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
        config.root_cert = Some(certificates(&pem).map_err(bad)?);
    }
    if options.tls_server_name.is_some() {
        config.tls_server_name.clone_from(&options.tls_server_name);
    }
    config.accept_invalid_certs |= options.insecure;
    if options.impersonate.is_some() {
        config.auth_info.impersonate.clone_from(&options.impersonate);
    }
    if !options.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    Ok(())
}

/// Tells the ways apart in which a first request fails.
fn explain(server: &str, context: &str, error: &kube::Error) -> ClusterError {
    let (server, context) = (server.to_owned(), context.to_owned());
    let reason = root_cause(error);
    match error {
        kube::Error::Api(status) if status.code == 401 => ClusterError::Unauthorized { server, context, reason: status.message.clone() },
        kube::Error::Auth(_) => ClusterError::Unauthorized { server, context, reason: error.to_string() },
        kube::Error::Api(status) => ClusterError::Unreachable { server, context, reason: format!("it answers {} {}", status.code, status.message) },
        _ if chain_mentions(error, "certificate") => ClusterError::Certificate { server, context, reason },
        _ => ClusterError::Unreachable { server, context, reason },
    }
}

fn chain_mentions(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    std::iter::successors(Some(error), |e| e.source()).any(|e| e.to_string().contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str) -> (tempfile::TempDir, ConnectOptions) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: shop}}}}]\n\
             clusters: [{{name: k, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        let missing = dir.path().join("missing");
        (dir, ConnectOptions { kubeconfigs: vec![missing, path], ..ConnectOptions::default() })
    }

    #[test]
    fn picks_context_namespace_and_proxy() {
        let (_dir, mut options) = kubeconfig("https://10.0.0.1:6443");
        options.https_proxy = Some("http://proxy.corp:3128".into());
        let (config, context) = configure(&options).unwrap();
        assert_eq!((context.as_str(), config.default_namespace.as_str()), ("c", "shop"));
        assert!(config.proxy_url.is_some() && !config.default_retry);
        options.no_proxy = Some("10.0.0.0/8".into());
        assert!(configure(&options).unwrap().0.proxy_url.is_none());
        options.context = Some("d".into());
        assert!(configure(&options).unwrap_err().to_string().contains("no context `d`, only: c"));
    }

    #[test]
    fn says_which_kubeconfig_is_missing() {
        let options = ConnectOptions { kubeconfigs: vec!["/nowhere/config".into()], ..ConnectOptions::default() };
        assert_eq!(configure(&options).unwrap_err().to_string(), "no cluster is known: /nowhere/config does not exist");
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_at_once() {
        let (_dir, options) = kubeconfig("http://127.0.0.1:1");
        let started = std::time::Instant::now();
        let error = Cluster::connect(&options).await.unwrap_err();
        assert!(matches!(&error, ClusterError::Unreachable { reason, .. } if reason.contains("refused")), "{error}");
        assert!(error.to_string().contains("http://127.0.0.1:1/ (context c)"), "{error}");
        assert!(started.elapsed() < CONNECT);
    }
}
