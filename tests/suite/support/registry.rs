//! A real registry on loopback (distribution's, as Debian packages it), stopped when dropped.

use std::{
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use offline::oci::Digest;
use tempfile::TempDir;

/// The one user of a registry with passwords.
pub(crate) const USER: &str = "me";
/// The user's password.
pub(crate) const PASSWORD: &str = "a-password";
/// bcrypt of [`PASSWORD`], as `htpasswd -B` writes it.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuubsRD.Ffj/ka0r3BpAjv57rF8oK.y5YW\n";

/// How a registry is set up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup {
    /// Wants the user's password.
    pub(crate) auth: bool,
    /// Speaks TLS with a certificate of an authority that nobody knows.
    pub(crate) tls: bool,
    /// Lets in only who has a certificate.
    pub(crate) client: bool,
}

/// A running registry.
pub(crate) struct Registry {
    process: Child,
    folder: TempDir,
    setup: Setup,
    /// Host and port.
    pub(crate) host: String,
}

impl Registry {
    pub(crate) fn start(setup: Setup) -> Self {
        Self::configured(setup, "")
    }

    /// One that tells a webhook what happens, with a secret.
    pub(crate) fn notifying(url: &str, secret: &str) -> Self {
        let headers = format!("headers: {{Authorization: ['Bearer {secret}']}}");
        let more = format!("notifications:\n  endpoints:\n  - {{name: watch, url: '{url}', {headers}, timeout: 2s, threshold: 3, backoff: 500ms}}\n");
        Self::configured(Setup::default(), &more)
    }

    /// One with TLS that lets in only who has a certificate of its own authority.
    pub(crate) fn wanting_certificates(known: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ca.pem", "ca.key", "server.pem", "server.key"] {
            fs::copy(known.folder.path().join(name), folder.path().join(name)).unwrap();
        }
        client_certificate(folder.path());
        Self::configured_in(folder, Setup { tls: true, client: true, ..Setup::default() }, "")
    }

    /// One with TLS whose certificate is an authority's own, as `openssl req -x509` makes it where nobody says more; `names` are whom it is for.
    pub(crate) fn self_signed(names: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.pem -days 2 -subj /CN=self";
        openssl(folder.path(), &format!("{arguments} -addext subjectAltName={names}"));
        Self::configured_in(folder, Setup { tls: true, ..Setup::default() }, "")
    }

    /// The server's own certificate.
    pub(crate) fn server_file(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// Certificate and key of a client.
    pub(crate) fn client_files(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("client/client.cert"), self.folder.path().join("client/client.key"))
    }

    fn configured(setup: Setup, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if setup.tls {
            certificates(folder.path());
        }
        Self::configured_in(folder, setup, more)
    }

    fn configured_in(folder: TempDir, setup: Setup, more: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            at("data")
        );
        if setup.tls {
            let clients = if setup.client { format!(", clientcas: [{}]", at("ca.pem")) } else { String::new() };
            writeln!(config, "  tls: {{certificate: {}, key: {}{clients}}}", at("server.pem"), at("server.key")).unwrap();
        }
        if setup.auth {
            fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
            writeln!(config, "auth:\n  htpasswd: {{realm: lab, path: {}}}", at("htpasswd")).unwrap();
        }
        config.push_str(more);
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry is there (Debian package docker-registry; tests/lab/build.sh installs it)");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        Self { process, folder, setup, host: format!("127.0.0.1:{port}") }
    }

    /// The certificate of the authority that signed the registry's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A docker config with a password for the registry.
    pub(crate) fn docker_config(&self, password: &str) -> PathBuf {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        let path = self.folder.path().join(format!("config-{password}.json"));
        fs::write(&path, serde_json::json!({"auths": {&self.host: {"auth": auth}}}).to_string()).unwrap();
        path
    }

    /// Pushes the image called `tag` of an OCI layout, with all platforms and its digests unchanged.
    pub(crate) fn push(&self, layout: &Path, tag: &str, name: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        if self.setup.client {
            skopeo.arg(format!("--dest-cert-dir={}", self.folder.path().join("client").display()));
        }
        if self.setup.auth {
            skopeo.arg(format!("--dest-creds={USER}:{PASSWORD}"));
        }
        skopeo.arg(format!("oci:{}:{tag}", layout.display())).arg(format!("docker://{}/{name}", self.host));
        let output = skopeo.output().expect("skopeo is there (Debian package skopeo)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The file in which the registry keeps a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join("data/docker/registry/v2/blobs/sha256").join(&digest.hex()[..2]).join(digest.hex()).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate for 127.0.0.1 by it.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| openssl(folder, arguments);
    fs::write(folder.join("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n").unwrap();
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=nobody");
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile ext");
}

/// A certificate of the authority for somebody who asks.
fn client_certificate(folder: &Path) {
    let openssl = |arguments: &str| openssl(folder, arguments);
    fs::create_dir(folder.join("client")).unwrap();
    fs::write(folder.join("ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n").unwrap();
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client/client.key -out client/client.csr -subj /CN=somebody");
    openssl("x509 -req -in client/client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client/client.cert -days 2 -extfile ext");
}
