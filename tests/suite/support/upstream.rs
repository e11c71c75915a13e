//! The registry that deliveries come from: Debian's docker-registry on loopback with basic auth, with or without TLS.

use std::{fs, path::Path, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{Daemon, free_port, root, run, tool};

/// The registry's user.
pub(crate) const USER: &str = "shop";
/// The user's password.
pub(crate) const PASSWORD: &str = "shop-secret";
/// The password as bcrypt, as htpasswd files hold it.
const HASHED: &str = "$2y$05$abcdefghijklmnopqrstuupWWLJqE5/y61HQFG18hM6.MJeOZb5nK";

/// A running registry.
pub(crate) struct Upstream {
    /// `127.0.0.1:PORT`.
    pub host: String,
    folder: TempDir,
    tls: bool,
    _daemon: Daemon,
}

impl Upstream {
    /// Plain HTTP, which clients allow on loopback.
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// TLS with a certificate that nobody knows; `ca()` has it.
    pub(crate) fn start_tls() -> Self {
        Self::with(true)
    }

    fn with(tls: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let (at, port) = (folder.path(), free_port());
        fs::write(at.join("htpasswd"), format!("{USER}:{HASHED}\n")).unwrap();
        let mut http = format!("http:\n  addr: 127.0.0.1:{port}\n");
        if tls {
            certificate(at);
            http = format!("{http}  tls: {{certificate: {0}/server.crt, key: {0}/server.key}}\n", at.display());
        }
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {0}/data}}, delete: {{enabled: true}}}}\n{http}auth: {{htpasswd: {{realm: shop, path: {0}/htpasswd}}}}\n",
            at.display()
        );
        fs::write(at.join("config.yml"), config).unwrap();
        let host = format!("127.0.0.1:{port}");
        fs::write(at.join("config.json"), serde_json::json!({"auths": {&host: {"auth": basic()}}}).to_string()).unwrap();
        let command = ["docker-registry", "serve", at.join("config.yml").to_str().unwrap()].map(str::to_owned);
        let daemon = Daemon::start(&command.each_ref().map(String::as_str), &at.join("log")).listening(port);
        Self { host, folder, tls, _daemon: daemon }
    }

    /// The folder with a `config.json` that knows the password: `DOCKER_CONFIG`.
    pub(crate) fn docker_config(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate authority, where there is TLS.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Pushes a docker archive.
    pub(crate) fn push(&self, archive: &Path, name: &str) {
        run(Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &format!("{USER}:{PASSWORD}")])
            .args([format!("docker-archive:{}", archive.display()), format!("docker://{}/{name}", self.host)]));
    }

    /// Makes an image from files and pushes it. Files are as for tests/lab/image.py.
    pub(crate) fn push_files(&self, name: &str, arch: &str, files: &[&str]) {
        let archive = self.folder.path().join(format!("{}.tar", name.replace(['/', ':'], "_")));
        let command = r#"["/bin/sh", "-c", "while sleep 1; do :; done"]"#;
        run(Command::new(root().join("tests/lab/image.py")).args(["--arch", arch]).arg(&archive).args([name, command]).args(files));
        self.push(&archive, name);
    }

    /// Makes a multi-platform image of images that are there; returns the digest of its index.
    pub(crate) fn push_index(&self, name: &str, members: &[&str]) -> String {
        let mut command = Command::new(tool("crane"));
        command.env("DOCKER_CONFIG", self.docker_config()).args(["index", "append", "-t", &format!("{}/{name}", self.host)]);
        for member in members {
            command.args(["-m", &format!("{}/{member}", self.host)]);
        }
        run(&mut command);
        self.digest(name)
    }

    /// The digest that a name has.
    pub(crate) fn digest(&self, name: &str) -> String {
        let mut command = Command::new(tool("crane"));
        command.env("DOCKER_CONFIG", self.docker_config()).args(["digest", &format!("{}/{name}", self.host)]);
        if self.tls {
            command.env("SSL_CERT_FILE", self.ca());
        }
        run(&mut command).trim().to_owned()
    }
}

fn basic() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"))
}

fn certificate(folder: &Path) {
    let openssl = |arguments: &str| run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    fs::write(folder.join("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n").unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=shop-ca -days 3");
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=registry");
    openssl("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 3 -extfile ext");
}
