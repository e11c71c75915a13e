//! Certificates: servers whose own certificate is trusted, and the folders of podman and docker; against a real registry, with curl and skopeo as judges.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use offline::{
    oci::{Digest, Reference},
    registry::{HostOptions, Problem, Reach, Registries, RegistryError},
};

use crate::{
    registry::Layout,
    support::{
        Program,
        registry::{Registry, Setup},
    },
};

async fn resolve(registries: &Registries, image: &str) -> Result<Digest, RegistryError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    registries.resolve(&image.parse::<Reference>().unwrap()).await.map(|(root, _)| root.digest)
}

async fn with_ca(registry: &Registry, ca_file: &Path) -> Result<Digest, RegistryError> {
    let options = HostOptions { ca_file: Some(ca_file.into()), ..HostOptions::default() };
    resolve(&Registries::new(BTreeMap::from([(registry.host.clone(), options)]), None), &format!("{}/app:1", registry.host)).await
}

/// Whether curl, which stands for OpenSSL, and skopeo, which stands for Go, take the server.
fn taken(registry: &Registry, ca_file: &Path) -> [bool; 2] {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(ca_file, folder.path().join("ca.crt")).unwrap();
    let curl = Command::new("curl").args(["-s", "--noproxy", "*", "--cacert"]).arg(ca_file).arg(format!("https://{}/v2/", registry.host)).output().unwrap();
    let skopeo = Command::new("skopeo").args(["list-tags", "--cert-dir"]).arg(folder.path()).arg(format!("docker://{}/app", registry.host)).output().unwrap();
    [curl, skopeo].map(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_present_an_authoritys_own_certificate_that_is_named() {
    let (registry, other, layout) = (Registry::self_signed("IP:127.0.0.1"), Registry::self_signed("IP:127.0.0.1"), Layout::new());
    registry.push(layout.path(), "app", "app:1");
    assert_eq!(taken(&registry, &registry.server_file()), [true, true]);
    assert_eq!(with_ca(&registry, &registry.server_file()).await.unwrap_or_else(|error| panic!("{error}")), layout.index);
    // Among others too.
    let both = other.server_file().with_file_name("both.pem");
    fs::write(&both, [fs::read(other.server_file()).unwrap(), fs::read(registry.server_file()).unwrap()].concat()).unwrap();
    assert_eq!(with_ca(&registry, &both).await.unwrap(), layout.index);
    // Another one that calls itself the same is another one.
    assert_eq!(taken(&registry, &other.server_file()), [false, false]);
    with_ca(&registry, &other.server_file()).await.unwrap_err();
    let image = format!("{}/app:1", registry.host);
    let error = resolve(&Registries::new(BTreeMap::new(), None), &image).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::UntrustedCertificate(_) | Problem::Certificate(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_must_be_the_servers_name_all_the_same() {
    let registry = Registry::self_signed("DNS:other.dev");
    assert_eq!(taken(&registry, &registry.server_file()), [false, false]);
    let error = with_ca(&registry, &registry.server_file()).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::Certificate(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_with_a_wrong_file_is_told() {
    let registry = Registry::self_signed("IP:127.0.0.1");
    let text = registry.server_file().with_file_name("text.pem");
    fs::write(&text, "hello").unwrap();
    let error = with_ca(&registry, &text).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::CaFile { .. }) && error.to_string().contains("it holds no PEM certificate"), "{error}");
}

/// A registry that wants certificates, and a folder that is somebody's home.
struct Known {
    home: tempfile::TempDir,
    registry: Registry,
    _first: Registry,
    layout: Layout,
}

impl Known {
    fn new() -> Self {
        let first = Registry::start(Setup { tls: true, ..Setup::default() });
        let registry = Registry::wanting_certificates(&first);
        let layout = Layout::new();
        registry.push(layout.path(), "app", "app:1");
        Self { home: tempfile::tempdir().unwrap(), registry, _first: first, layout }
    }

    /// The folder of the host in one of the places.
    fn folder(&self, place: &str) -> PathBuf {
        let folder = self.home.path().join(place).join(&self.registry.host);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Everything that is needed, in a folder.
    fn fill(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.registry.client_files();
        fs::copy(self.registry.ca_file(), folder.join("ca.crt")).unwrap();
        fs::copy(certificate, folder.join(format!("{name}.cert"))).unwrap();
        fs::copy(key, folder.join(format!("{name}.key"))).unwrap();
    }

    async fn ours(&self, options: HostOptions) -> Result<Digest, RegistryError> {
        let certificates = [PODMAN, "containers", "docker"].map(|place| self.home.path().join(place)).to_vec();
        let options = BTreeMap::from([(self.registry.host.clone(), options)]);
        let registries = Registries::new(options, None).reached(&Reach { certificates, ..Reach::default() });
        resolve(&registries, &format!("{}/app:1", self.registry.host)).await
    }

    /// What skopeo says.
    fn skopeo(&self) -> Result<(), String> {
        let mut command = Command::new("skopeo");
        command.args(["list-tags", &format!("docker://{}/app", self.registry.host)]).env_clear().env("HOME", self.home.path());
        let output = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// Where podman and skopeo look first.
const PODMAN: &str = ".config/containers/certs.d";

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_podman_and_docker_are_used() {
    for place in [PODMAN, "containers", "docker"] {
        let known = Known::new();
        let error = known.ours(HostOptions::default()).await.unwrap_err();
        assert!(matches!(*error.problem, Problem::UntrustedCertificate(_)), "{error:?}");
        known.fill(&known.folder(place), "client");
        assert_eq!(known.ours(HostOptions::default()).await.unwrap_or_else(|error| panic!("{place}: {error}")), known.layout.index);
        if place != PODMAN {
            continue;
        }
        known.skopeo().unwrap();
        // As it is used: by the program, from somebody's home.
        let program = Program::new(known.home.path());
        let listed = program.run(&["registry", "tags", &format!("{}/app", known.registry.host)]).ok();
        assert!(listed.stdout.contains('1'), "{}", listed.stdout);
        fs::remove_file(known.folder(place).join("client.key")).unwrap();
        program.run(&["registry", "tags", &format!("{}/app", known.registry.host)]).says("there is only the certificate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_folder_of_a_host_decides_and_a_delivery_before_it() {
    let known = Known::new();
    let (first, second) = (known.folder(PODMAN), known.folder("containers"));
    known.fill(&second, "client");
    // An empty folder is one.
    let error = known.ours(HostOptions::default()).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::UntrustedCertificate(_)), "{error:?}");
    known.skopeo().unwrap_err();
    // Half of it from the folder, half from the delivery.
    let (certificate, key) = known.registry.client_files();
    fs::copy(known.registry.ca_file(), first.join("ca.crt")).unwrap();
    assert!(known.ours(HostOptions::default()).await.is_err() && known.skopeo().is_err(), "nobody says who we are");
    let named = HostOptions { client: Some((certificate.clone(), key.clone())), ..HostOptions::default() };
    assert_eq!(known.ours(named).await.unwrap(), known.layout.index);
    fs::rename(first.join("ca.crt"), first.join("ca.txt")).unwrap();
    known.fill(&first, "client");
    let named = HostOptions { ca_file: Some(known.registry.client_files().0), ..HostOptions::default() };
    known.ours(named).await.expect_err("the delivery names another authority");
    // Of several the one that the server knows the issuer of.
    let other = Registry::self_signed("IP:127.0.0.1");
    fs::copy(other.server_file(), first.join("a.cert")).unwrap();
    fs::copy(other.server_file().with_file_name("server.key"), first.join("a.key")).unwrap();
    known.skopeo().unwrap();
    assert_eq!(known.ours(HostOptions::default()).await.unwrap_or_else(|error| panic!("{error}")), known.layout.index);
    // Half a pair, and a key of another certificate.
    fs::remove_file(first.join("a.key")).unwrap();
    let error = known.ours(HostOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("there is only the certificate; an authority's is called *.crt"), "{error}");
    assert!(known.skopeo().unwrap_err().contains("missing key"));
    fs::copy(&key, first.join("a.key")).unwrap();
    let error = known.ours(HostOptions::default()).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::ClientCertificate { .. }), "{error}");
    assert!(known.skopeo().is_err());
}
