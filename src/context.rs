//! What the process was started with: the only reader of environment variables.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{proxy::Proxies, redact::Secret, registry::Reach};

/// The environment, read once.
#[derive(Debug, Clone)]
pub struct Context {
    home: Option<PathBuf>,
    docker_config: Option<PathBuf>,
    /// Podman's file of credentials: `REGISTRY_AUTH_FILE`.
    registry_auth: Option<PathBuf>,
    /// Where podman keeps them otherwise: `XDG_RUNTIME_DIR`.
    runtime: Option<PathBuf>,
    kubeconfig: Option<OsString>,
    cache: Option<PathBuf>,
    config: Option<PathBuf>,
    gnupg: Option<PathBuf>,
    helm: HelmVariables,
    /// Context that helm was told by `--kube-context`; helm passes it on only so.
    pub helm_context: Option<String>,
    /// Namespace of releases where no flag says one, from `HELM_NAMESPACE`.
    pub helm_namespace: Option<String>,
    /// Password of a private key, from `COSIGN_PASSWORD` as cosign reads it. Never printed.
    key_password: Option<Password>,
    /// What senders of webhooks must know, from `KUBECTL_OFFLINE_WATCH_SECRET`. Never printed.
    watch_secret: Option<Password>,
    /// A bearer token for web servers with archives, from `KUBECTL_OFFLINE_TOKEN`. Never printed.
    token: Option<Password>,
    /// Where docker listens, from `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Where containerd listens, from `CONTAINERD_ADDRESS`.
    pub containerd_address: Option<String>,
    /// In which of containerd's namespaces images are, from `CONTAINERD_NAMESPACE`.
    pub containerd_namespace: Option<String>,
    /// Proxy settings as other programs read them.
    pub proxy: ProxyVariables,
    /// The time that documents bear, from `SOURCE_DATE_EPOCH` (reproducible-builds.org, specs/source-date-epoch).
    pub source_date_epoch: Option<String>,
    /// `NO_COLOR` is set (no-color.org).
    pub no_color: bool,
    /// The process runs in a pod: `KUBERNETES_SERVICE_HOST` is set.
    pub in_cluster: bool,
}

/// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in either case of letters.
#[derive(Debug, Clone, Default)]
pub struct ProxyVariables {
    /// Proxy for https.
    pub https: Option<String>,
    /// Proxy for http.
    pub http: Option<String>,
    /// Hosts that are reached directly.
    pub none: Option<String>,
}

/// Where helm keeps its files (helm, pkg/helmpath and pkg/cli/environment.go).
#[derive(Debug, Clone, Default)]
struct HelmVariables {
    config_home: Option<PathBuf>,
    repositories: Option<PathBuf>,
    registries: Option<PathBuf>,
}

#[derive(Clone)]
struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Context {
    /// Reads the environment of this process.
    pub fn from_env() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let either = |name: &str| text(name).or_else(|| text(&name.to_lowercase()));
        Self {
            home: env::var_os("HOME").or_else(|| env::var_os("USERPROFILE")).filter(|h| !h.is_empty()).map(PathBuf::from),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth: path("REGISTRY_AUTH_FILE"),
            runtime: path("XDG_RUNTIME_DIR"),
            cache: path("KUBECTL_OFFLINE_CACHE").or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("kubectl-offline"))),
            config: path("XDG_CONFIG_HOME"),
            gnupg: env::var_os("GNUPGHOME").map(PathBuf::from),
            helm: HelmVariables {
                config_home: path("HELM_CONFIG_HOME"),
                repositories: path("HELM_REPOSITORY_CONFIG"),
                registries: path("HELM_REGISTRY_CONFIG"),
            },
            docker_host: text("DOCKER_HOST"),
            containerd_address: text("CONTAINERD_ADDRESS"),
            containerd_namespace: text("CONTAINERD_NAMESPACE"),
            kubeconfig: env::var_os("KUBECONFIG").filter(|k| !k.is_empty()),
            helm_context: text("HELM_KUBECONTEXT"),
            helm_namespace: text("HELM_NAMESPACE"),
            key_password: env::var("COSIGN_PASSWORD").ok().map(Password),
            watch_secret: text("KUBECTL_OFFLINE_WATCH_SECRET").map(Password),
            token: text("KUBECTL_OFFLINE_TOKEN").map(Password),
            proxy: ProxyVariables { https: either("HTTPS_PROXY"), http: either("HTTP_PROXY"), none: either("NO_PROXY") },
            source_date_epoch: text("SOURCE_DATE_EPOCH"),
            no_color: env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()),
            in_cluster: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }

    /// Docker's config.json, where it would be.
    pub fn docker_config(&self) -> Option<PathBuf> {
        let folder = self.docker_config.clone().or_else(|| self.home.as_ref().map(|h| h.join(".docker")))?;
        Some(folder.join("config.json"))
    }

    /// Proxies, podman's files of credentials (containers-auth.json(5)), and where certificates are kept by host. What `REGISTRY_AUTH_FILE` names goes
    /// before docker's file.
    pub fn reach(&self) -> Reach {
        let runtime = self.runtime.as_ref().map(|folder| folder.join("containers/auth.json"));
        let config = self.config.clone().or_else(|| Some(self.home.as_ref()?.join(".config")));
        let ProxyVariables { https, http, none } = self.proxy.clone();
        Reach {
            proxies: Proxies { https, http, none },
            first: self.registry_auth.iter().cloned().collect(),
            last: runtime.into_iter().chain(config.as_ref().map(|folder| folder.join("containers/auth.json"))).collect(),
            certificates: self.certificates(config.as_deref()),
        }
    }

    /// Podman's places in podman's order, which ends with docker's (containers-certs.d(5)); before that the place of a docker without root (moby,
    /// daemon/pkg/registry/config.go, `CertsDir`).
    fn certificates(&self, config: Option<&Path>) -> Vec<PathBuf> {
        let podman = self.home.as_ref().map(|home| home.join(".config/containers/certs.d"));
        let rootless = config.map(|folder| folder.join("docker/certs.d"));
        podman.into_iter().chain(["/etc/containers/certs.d".into()]).chain(rootless).chain(["/etc/docker/certs.d".into()]).collect()
    }

    /// Where downloads are kept: `KUBECTL_OFFLINE_CACHE`, else by the XDG base directory specification.
    pub fn cache(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(|| Some(self.home.as_ref()?.join(".cache/kubectl-offline")))
    }

    /// Helm's repositories.yaml, where it would be.
    pub fn helm_repositories(&self) -> Option<PathBuf> {
        self.helm.repositories.clone().or_else(|| Some(self.helm_config()?.join("repositories.yaml")))
    }

    /// Helm's file of registry credentials, where it would be.
    pub fn helm_registries(&self) -> Option<PathBuf> {
        self.helm.registries.clone().or_else(|| Some(self.helm_config()?.join("registry/config.json")))
    }

    /// Keys of those who may sign charts, where helm looks for them (helm, `defaultKeyring`).
    pub fn keyring(&self) -> Option<PathBuf> {
        let folder = self.gnupg.clone().or_else(|| self.home.as_ref().map(|home| home.join(".gnupg")))?;
        Some(folder.join("pubring.gpg"))
    }

    /// `lazypath.configPath`: on macOS and Windows Helm has a place of its own for it.
    fn helm_config(&self) -> Option<PathBuf> {
        let folder = if cfg!(target_os = "macos") {
            "Library/Preferences"
        } else if cfg!(windows) {
            "AppData/Roaming"
        } else {
            ".config"
        };
        let given = self.helm.config_home.clone().or_else(|| self.config.as_ref().map(|config| config.join("helm")));
        given.or_else(|| Some(self.home.as_ref()?.join(folder).join("helm")))
    }

    /// The files of `KUBECONFIG`, else `~/.kube/config`, as kubectl looks for them (client-go, loader.go).
    pub fn kubeconfig(&self) -> Vec<PathBuf> {
        match &self.kubeconfig {
            Some(list) => env::split_paths(list).filter(|p| !p.as_os_str().is_empty()).collect(),
            None => self.home.iter().map(|h| h.join(Path::new(".kube/config"))).collect(),
        }
    }

    /// What senders of webhooks must know, where the environment has it.
    pub fn watch_secret(&self) -> Option<&str> {
        self.watch_secret.as_ref().map(|p| p.0.as_str())
    }

    /// Keys that are trusted by a name, where they would be (XDG base directory specification).
    pub fn trust_folder(&self) -> Option<PathBuf> {
        let config = self.config.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(config.join("kubectl-offline/trust"))
    }

    /// What a variable holds that a person named as the place of a key, `env://NAME`.
    pub fn key_variable(&self, name: &str) -> Option<Secret<String>> {
        env::var(name).ok().filter(|value| !value.is_empty()).map(Secret::new)
    }

    /// A token for web servers with archives, where the environment has one.
    pub fn token(&self) -> Option<Secret<String>> {
        self.token.as_ref().map(|p| Secret::from(p.0.as_str()))
    }

    /// The password for private keys, where the environment has one.
    pub fn key_password(&self) -> Option<&str> {
        self.key_password.as_ref().map(|p| p.0.as_str())
    }
}
