//! Other people's tools read what we write, and we read what they sign. A tool that is not there is skipped with a line that says so;
//! with `OFFLINE_LAB=1` its absence is a failure.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use offline::{
    archive::{self, Signer, Standing, Trust},
    ops::keygen::{self, KeygenOptions},
    progress::Silent,
    signing::{PrivateKey, PublicKey, TrustedKeys},
};

use crate::sample;

const PASSWORD: &str = "pässword";

/// The tool from the lab's folder, else from PATH.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let lab = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/offline-lab/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = lab.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert_ne!(std::env::var("OFFLINE_LAB").as_deref(), Ok("1"), "OFFLINE_LAB=1, and {name} is not installed");
        // Not eprintln: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is not installed");
    }
    found
}

/// Runs a command in a folder; its standard output, or both outputs as the error.
fn run(folder: &Path, tool: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(stdout) } else { Err(format!("{} {args:?}: {stdout}{}", tool.display(), String::from_utf8_lossy(&output.stderr))) }
}

/// A folder with `a.tar`, signed, what it unpacks to in `layout`, and the keys `ours.key` and `ours.pub`.
pub(crate) struct Work(tempfile::TempDir);

impl Work {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        keygen::run(&KeygenOptions { name: folder.path().join("ours"), password: PASSWORD.into() }).unwrap();
        let work = Self(folder);
        work.write(Some(&work.private("ours.key")));
        work
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn private(&self, name: &str) -> PrivateKey {
        PrivateKey::from_pem(&std::fs::read_to_string(self.path().join(name)).unwrap(), Some(&PASSWORD.into())).unwrap()
    }

    fn trust(&self, name: &str) -> Trust {
        let key = PublicKey::from_pem(&std::fs::read_to_string(self.path().join(name)).unwrap()).unwrap();
        Trust::Keys(Box::new(TrustedKeys::new(vec![key])))
    }

    fn write(&self, signer: Option<&dyn Signer>) {
        let path = self.path().join("a.tar");
        sample::build("1.0").write(&path, signer);
        tar::Archive::new(std::fs::File::open(path).unwrap()).unpack(self.path().join("layout")).unwrap();
    }

    pub(crate) fn run(&self, tool: &Path, args: &[&str]) -> String {
        self.try_run(tool, args).unwrap()
    }

    pub(crate) fn try_run(&self, tool: &Path, args: &[&str]) -> Result<String, String> {
        run(self.path(), tool, args)
    }
}

#[test]
fn cosign_accepts_our_signature_and_our_key() {
    let Some(cosign) = tool("cosign") else { return };
    let work = Work::new();
    let verify = ["verify-blob", "--key", "ours.pub", "--bundle", "layout/index.json.sigstore.json", "--insecure-ignore-tlog", "layout/index.json"];
    work.run(&cosign, &verify);
    // cosign opens our private key and signs with it.
    work.run(
        &cosign,
        &["sign-blob", "--key", "ours.key", "--bundle", "b.json", "--tlog-upload=false", "--use-signing-config=false", "-y", "layout/index.json"],
    );
    let verify_own = ["verify-blob", "--key", "ours.pub", "--bundle", "b.json", "--insecure-ignore-tlog", "layout/index.json"];
    work.run(&cosign, &verify_own);
    std::fs::write(work.path().join("layout/index.json"), "{}").unwrap();
    run(work.path(), &cosign, &verify).unwrap_err();
}

/// A signature that cosign made, put into an archive as it is.
struct Foreign(String);

impl Signer for Foreign {
    fn sign(&self, _: &[u8]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}

#[test]
fn we_accept_cosigns_signature_and_key() {
    let Some(cosign) = tool("cosign") else { return };
    let work = Work::new();
    work.run(&cosign, &["generate-key-pair", "--output-key-prefix", "theirs"]);
    work.run(
        &cosign,
        &["sign-blob", "--key", "theirs.key", "--bundle", "b.json", "--tlog-upload=false", "--use-signing-config=false", "-y", "layout/index.json"],
    );
    let bundle = std::fs::read_to_string(work.path().join("b.json")).unwrap();
    let open = |trust: &str| archive::open(&work.path().join("a.tar")).unwrap().verify(&work.trust(trust), &Silent);
    work.write(Some(&Foreign(bundle)));
    let archive = open("theirs.pub").unwrap();
    let theirs = work.private("theirs.key");
    assert!(matches!(archive.standing(), Standing::Signed { by, .. } if by.fingerprint == theirs.public().fingerprint()));
    assert!(open("ours.pub").is_err());
    // Their key, our signature, their check.
    work.write(Some(&theirs));
    open("theirs.pub").unwrap();
    work.run(&cosign, &["verify-blob", "--key", "theirs.pub", "--bundle", "layout/index.json.sigstore.json", "--insecure-ignore-tlog", "layout/index.json"]);
}

#[test]
fn cosigns_ed25519_signature_is_accepted() {
    let (Some(cosign), Some(openssl)) = (tool("cosign"), tool("openssl")) else { return };
    let work = Work::new();
    work.run(&openssl, &["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]);
    work.run(&cosign, &["import-key-pair", "--key", "ed.pem", "--output-key-prefix", "ed"]);
    work.run(&cosign, &["sign-blob", "--key", "ed.key", "--bundle", "b.json", "--tlog-upload=false", "--use-signing-config=false", "-y", "layout/index.json"]);
    work.write(Some(&Foreign(std::fs::read_to_string(work.path().join("b.json")).unwrap())));
    archive::open(&work.path().join("a.tar")).unwrap().verify(&work.trust("ed.pub"), &Silent).unwrap();
    // And the other way round.
    work.write(Some(&work.private("ed.key")));
    work.run(&cosign, &["verify-blob", "--key", "ed.pub", "--bundle", "layout/index.json.sigstore.json", "--insecure-ignore-tlog", "layout/index.json"]);
}

#[test]
fn openssl_makes_keys_that_we_read_and_agrees_on_fingerprints() {
    let Some(openssl) = tool("openssl") else { return };
    let work = Work::new();
    work.run(&openssl, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sec1.pem"]);
    work.run(&openssl, &["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "pkcs8.pem"]);
    work.run(&openssl, &["pkey", "-in", "sec1.pem", "-pubout", "-out", "pub.pem"]);
    work.run(&openssl, &["pkey", "-in", "sec1.pem", "-pubout", "-outform", "der", "-out", "pub.der"]);
    let fingerprint = offline::oci::Digest::of(&std::fs::read(work.path().join("pub.der")).unwrap()).to_string();
    for name in ["sec1.pem", "pkcs8.pem"] {
        assert_eq!(work.private(name).public().fingerprint(), fingerprint, "{name}");
    }
    let public = PublicKey::from_pem(&std::fs::read_to_string(work.path().join("pub.pem")).unwrap()).unwrap();
    assert_eq!(public.fingerprint(), fingerprint);
    assert_eq!(public.to_pem(), std::fs::read_to_string(work.path().join("pub.pem")).unwrap());
}

#[test]
fn skopeo_reads_the_archive() {
    let Some(skopeo) = tool("skopeo") else { return };
    let work = Work::new();
    let out = work.run(&skopeo, &["inspect", "oci-archive:a.tar:registry.dev:5000/team/one:1.0"]);
    assert!(out.contains("\"amd64\""), "{out}");
    let out = work.run(&skopeo, &["inspect", "--override-arch", "amd64", "oci-archive:a.tar:ghcr.io/x/two:2"]);
    assert!(out.contains("\"amd64\""), "{out}");
    let out = work.run(&skopeo, &["inspect", "docker-archive:a.tar:docker.io/library/two:latest"]);
    assert!(out.contains("\"amd64\""), "{out}");
    // Every digest stays what it was.
    work.run(&skopeo, &["copy", "-q", "--insecure-policy", "--preserve-digests", "oci-archive:a.tar:registry.dev:5000/team/one:1.0", "dir:copied"]);
}

/// A process that ends with the test: asked first, so that it ends its own children, then told.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !ready() {
        assert!(std::time::Instant::now() < deadline, "{what} does not start");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

const NAMES: [&str; 3] = ["registry.dev:5000/team/one:1.0", "docker.io/library/two:latest", "ghcr.io/x/two:2"];

/// Imports with a containerd of its own, which needs root but no rights over the machine's one.
fn containerd_imports(containerd: &str, ctr: &str) {
    let (Some(containerd), Some(ctr)) = (tool(containerd), tool(ctr)) else { return };
    let work = Work::new();
    let at = |name: &str| work.path().join(name).display().to_string();
    let config = format!(
        "version = 2\nroot = '{}'\nstate = '{}'\ndisabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt']\n[grpc]\naddress = '{}'\n",
        at("root"),
        at("state"),
        at("sock")
    );
    std::fs::write(work.path().join("config.toml"), config).unwrap();
    let _daemon = start(Command::new(containerd).args(["--config", &at("config.toml")]));
    let ctr = |args: &[&str]| run(work.path(), &ctr, &[&["--address", &at("sock"), "--namespace", "test"], args].concat());
    wait_for("containerd", || ctr(&["version"]).is_ok());
    ctr(&["images", "import", "--no-unpack", "--platform", "linux/amd64", "a.tar"]).unwrap();
    let names = ctr(&["images", "ls", "-q"]).unwrap();
    assert_eq!(names.lines().collect::<std::collections::BTreeSet<_>>(), NAMES.into(), "{names}");
}

#[test]
fn containerd_1_imports_the_archive() {
    containerd_imports("containerd", "ctr");
}

#[test]
fn containerd_2_imports_the_archive() {
    containerd_imports("containerd2", "ctr2");
}

#[test]
fn docker_loads_the_archive() {
    let (Some(dockerd), Some(docker)) = (tool("dockerd"), tool("docker")) else { return };
    let work = Work::new();
    let at = |name: &str| work.path().join(name).display().to_string();
    let host = format!("unix://{}", at("sock"));
    let options = ["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid"), "-H", &host];
    let quiet = ["--iptables=false", "--bridge=none", "--storage-driver=vfs"];
    let _daemon = start(Command::new(dockerd).args(options).args(quiet).current_dir(work.path()));
    let docker = |args: &[&str]| run(work.path(), &docker, &[&["-H", &host], args].concat());
    wait_for("dockerd", || docker(&["version"]).is_ok());
    docker(&["load", "-q", "-i", "a.tar"]).unwrap();
    let names = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).unwrap();
    // Docker leaves out what is its own.
    assert!(NAMES.iter().all(|name| names.contains(name.trim_start_matches("docker.io/library/"))), "{names}");
}

#[test]
fn crane_pushes_the_unpacked_folder_to_a_registry() {
    let Some(crane) = tool("crane") else { return };
    let work = Work::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let registry = format!("127.0.0.1:{port}");
    let _serve = start(Command::new(&crane).args(["registry", "serve", "--address", &registry]));
    wait_for("the registry", || std::net::TcpStream::connect(&registry).is_ok());
    // crane pushes the folder as one index. It wants everything that is referred to, left-out platforms as well.
    let path = work.path().join("whole.tar");
    sample::build_whole("1.0").write(&path, None);
    tar::Archive::new(std::fs::File::open(&path).unwrap()).unpack(work.path().join("whole")).unwrap();
    let all = format!("{registry}/all:1.0");
    work.run(&crane, &["push", "whole", &all, "--index"]);
    work.run(&crane, &["pull", "--format", "oci", &all, "pulled"]);
    if let Some(skopeo) = tool("skopeo") {
        let to = format!("docker://{registry}/one:1.0");
        let from = "oci-archive:a.tar:registry.dev:5000/team/one:1.0";
        work.run(&skopeo, &["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests", from, &to]);
        let archive = archive::open(&work.path().join("a.tar")).unwrap().verify(&work.trust("ours.pub"), &Silent).unwrap();
        let digest = &archive.image(&"registry.dev:5000/team/one:1.0".parse().unwrap()).unwrap().digest;
        assert_eq!(work.run(&crane, &["digest", &format!("{registry}/one:1.0")]).trim(), digest.as_str());
        work.run(&crane, &["validate", "--remote", &format!("{registry}/one:1.0")]);
    }
}

#[test]
fn regctl_reads_the_unpacked_folder() {
    let Some(regctl) = tool("regctl") else { return };
    let work = Work::new();
    let tags = work.run(&regctl, &["tag", "ls", "ocidir://layout"]);
    assert!(tags.contains("team/one:1.0") || tags.contains("1.0"), "{tags}");
}

#[test]
fn podman_loads_the_archive() {
    let Some(podman) = tool("podman") else { return };
    let work = Work::new();
    let store = ["--root", "store", "--runroot", "run", "--storage-driver", "vfs"];
    let podman = |args: &[&str]| work.run(&podman, &[&store, args].concat());
    podman(&["load", "-q", "-i", "a.tar"]);
    let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(NAMES.iter().all(|name| names.contains(name)), "{names}");
}
