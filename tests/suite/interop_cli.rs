//! Other people's tools read what the program wrote: from the tar as it is, and from the untarred folder.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    quickstart::export,
    support::{Daemon, PASSWORD, USER, Upstream, eventually, finish, lab, run, tool},
};

const IMAGE: &str = "quickstart.example/hello:1.0";

fn untar(archive: &str, folder: &Path) -> std::path::PathBuf {
    let layout = folder.join("layout");
    fs::create_dir(&layout).unwrap();
    run(Command::new("tar").arg("-C").arg(&layout).args(["-xf", archive]));
    layout
}

#[test]
fn skopeo_reads_and_copies() {
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    for source in [format!("oci-archive:{archive}:{IMAGE}"), format!("docker-archive:{archive}:{IMAGE}")] {
        let told = run(Command::new("skopeo").args(["inspect", &source]));
        assert!(told.contains("amd64"), "{told}");
        let registry = Upstream::start();
        let target = format!("docker://{}/copied:1.0", registry.host);
        run(Command::new("skopeo").args(["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &format!("{USER}:{PASSWORD}"), &source, &target]));
        assert!(registry.digest("copied:1.0").starts_with("sha256:"));
    }
}

#[test]
fn crane_and_regctl_read_the_folder() {
    let folder = TempDir::new().unwrap();
    let layout = untar(&export(folder.path()), folder.path());
    let registry = Upstream::start();
    let config = registry.docker_config();
    let target = format!("{}/crane", registry.host);
    run(Command::new(tool("crane")).env("DOCKER_CONFIG", config).args(["push", "--index"]).arg(&layout).arg(&target));
    // regctl's tags hold no `/`, so the image is named by its digest.
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let named = |entry: &&serde_json::Value| entry["annotations"]["org.opencontainers.image.ref.name"] == IMAGE;
    let digest = index["manifests"].as_array().unwrap().iter().find(named).unwrap()["digest"].as_str().unwrap().to_owned();
    let source = format!("ocidir://{}@{digest}", layout.display());
    let told = run(Command::new(tool("regctl")).env("HOME", folder.path()).args(["image", "config", &source]));
    assert!(told.contains("amd64"), "{told}");
}

#[test]
fn podman_loads_it() {
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let podman = |args: &[&str]| {
        run(Command::new("podman")
            .args(["--root", &at("root"), "--runroot", &at("run"), "--tmpdir", &at("tmp"), "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(args))
    };
    podman(&["load", "-q", "-i", &archive]);
    let images = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(images.lines().any(|line| line == IMAGE), "{images}");
}

#[test]
fn docker_loads_it() {
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let socket = format!("unix://{}", at("docker.sock"));
    let args = [
        "dockerd",
        "--data-root",
        &at("data"),
        "--exec-root",
        &at("exec"),
        "--pidfile",
        &at("pid"),
        "-H",
        &socket,
        "--iptables=false",
        "--bridge=none",
        "--storage-driver",
        "vfs",
    ];
    let daemon = Daemon::start(&args, &folder.path().join("log"));
    let docker = |args: &[&str]| finish(Command::new("docker").env("HOME", folder.path()).args(["-H", &socket]).args(args));
    eventually(60, || if docker(&["version"]).code == 0 { Ok(()) } else { Err(fs::read_to_string(folder.path().join("log")).unwrap_or_default()) });
    docker(&["load", "-i", &archive]).ok();
    let images = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    assert!(images.lines().any(|line| line == IMAGE), "{images}");
    drop(daemon);
}

#[test]
fn cluster_ctr_imports_it() {
    let Some(lab) = lab() else { return };
    let _nodes = lab.share();
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    for node in [1, 2] {
        let on = |args: &[&str]| run(&mut lab.script(&[&["exec", &node.to_string()], args].concat()));
        let ctr = if node == 1 { "ctr".to_owned() } else { tool("ctr2").to_str().unwrap().to_owned() };
        on(&[&ctr, "-n", "interop", "images", "import", &archive]);
        let images = on(&[&ctr, "-n", "interop", "images", "ls", "-q"]);
        assert_eq!(images.lines().filter(|line| *line == IMAGE).count(), 1, "node {node}: {images}");
        on(&[&ctr, "-n", "interop", "images", "rm", IMAGE]);
    }
}
