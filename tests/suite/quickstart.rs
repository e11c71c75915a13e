//! examples/quickstart, as the README runs it: no network on the one side, two nodes on the other.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{Program, eventually, lab, root, run};

/// Exports the quickstart in a folder; returns the archive's path. The key pair is offline.key and offline.pub.
pub(crate) fn export(folder: &Path) -> String {
    let program = Program::new(folder);
    let delivery = root().join("examples/quickstart/delivery.yaml");
    if !folder.join("offline.key").exists() {
        program.run(&["keygen"]).ok();
    }
    program.run(&["export", "-f", delivery.to_str().unwrap(), "-o", "quickstart.tar", "--key", "offline.key"]).ok();
    folder.join("quickstart.tar").to_str().unwrap().to_owned()
}

#[test]
fn exports_verifies_inspects_without_network() {
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    let program = Program::new(folder.path());
    program.run(&["verify", &archive, "--key", "offline.pub"]).ok();
    let inspected = program.run(&["inspect", &archive, "--key", "offline.pub", "--format", "json"]).ok().json().to_string();
    for wanted in ["quickstart", "hello", "quickstart.example/hello", "1.0"] {
        assert!(inspected.contains(wanted), "no {wanted} in {inspected}");
    }
    let images = program.run(&["images", "-f", root().join("examples/quickstart/delivery.yaml").to_str().unwrap(), "--format", "json"]).ok().json().to_string();
    assert!(images.contains("quickstart.example/hello"), "{images}");
}

#[test]
fn exports_inside_a_network_namespace_of_its_own() {
    let folder = TempDir::new().unwrap();
    export(folder.path()); // makes the keys
    let delivery = root().join("examples/quickstart/delivery.yaml");
    let program = Program::new(folder.path()).command(&["export", "-f", delivery.to_str().unwrap(), "-o", "alone.tar", "--key", "offline.key"]);
    let mut alone = Command::new("unshare");
    alone.args(["--user", "--map-root-user", "--net"]).arg(program.get_program()).args(program.get_args()).current_dir(folder.path());
    alone.env("COSIGN_PASSWORD", "");
    run(&mut alone);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("quickstart.tar") == read("alone.tar"), "the same inputs gave other bytes");
}

#[test]
fn template_prints_what_helm_prints() {
    let chart = root().join("examples/quickstart/charts/hello");
    let args = ["template", "hello", chart.to_str().unwrap(), "--namespace", "quickstart", "--set", "greeting.text=Hi"];
    let ours = Program::new(root()).run(&args).ok().stdout;
    assert_eq!(ours, run(Command::new(crate::support::tool("helm3")).args(args)));
}

#[test]
fn both_helms_install_the_plugin_from_the_checkout() {
    for helm in ["helm3", "helm4"] {
        let home = TempDir::new().unwrap();
        let mut command = Command::new(crate::support::tool(helm));
        command.args(["plugin", "install"]).arg(root());
        for name in ["HELM_DATA_HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME"] {
            command.env(name, home.path());
        }
        let plugins = home.path().join("plugins");
        run(command.env("HELM_PLUGINS", &plugins));
        assert!(plugins.join("offline").exists() || fs::read_dir(&plugins).unwrap().count() == 1, "{helm}");
    }
}

#[test]
fn cluster_installs_the_quickstart() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let folder = TempDir::new().unwrap();
    let archive = export(folder.path());
    let kubeconfig = lab.kubeconfig();
    Program::new(folder.path()).run(&["install", &archive, "--key", "offline.pub", "--kubeconfig", kubeconfig.to_str().unwrap(), "--timeout", "3m"]).ok();
    let pods = lab.items(&["-n", "quickstart", "pods"]);
    assert_eq!(pods.len(), 2);
    let answer = lab
        .script(&["exec", "1", "curl", "-s", "--max-time", "5", &format!("http://{}:8080/", pods[0]["status"]["podIP"].as_str().unwrap())])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "Hello from the other side of the gap\n");
    lab.helm("helm3", "quickstart", &["uninstall", "hello"]);
    lab.delete_namespace("quickstart");
    eventually(
        30,
        || if lab.items(&["namespaces"]).iter().any(|n| n["metadata"]["name"] == "quickstart") { Err("namespace stays".to_owned()) } else { Ok(()) },
    );
}

#[test]
fn the_example_stays_small() {
    let tar = fs::metadata(root().join("examples/quickstart/image/hello.tar")).unwrap();
    assert!(tar.len() < 300 << 10);
}
