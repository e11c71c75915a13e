//! Bad input, each with a clear message, the right exit code, and no trace of it afterwards.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    quickstart,
    support::{Finished, Lab, Program, Shop, USER, Upstream, interrupt, lab},
};

const HEAD: &str = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: d, version: \"1\"}\n";

/// Exports a delivery of the given text from a folder; nothing may be left of the archive when it fails.
fn export(folder: &Path, text: &str, program: &Program) -> Finished {
    fs::write(folder.join("delivery.yaml"), text).unwrap();
    if !folder.join("offline.key").exists() {
        Program::new(folder).run(&["keygen"]).ok();
    }
    let finished = program.run(&["export", "-f", "delivery.yaml", "-o", "out.tar", "--key", "offline.key"]);
    assert!(finished.code == 0 || !folder.join("out.tar").exists(), "a failed export left out.tar");
    finished
}

fn chart(folder: &Path, template: &str) {
    let chart = folder.join("chart");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: c\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/object.yaml"), template).unwrap();
}

const CHART_APP: &str = "spec:\n  platforms: [linux/amd64]\n  apps:\n  - name: a\n    namespace: n\n    chart: {path: chart}\n";

#[test]
fn a_wrong_delivery_is_exit_2_with_the_place() {
    let folder = TempDir::new().unwrap();
    let program = Program::new(folder.path());
    for (text, wanted) in [
        ("apiVersion: [\n".to_owned(), "delivery.yaml:"),
        (format!("{HEAD}spec:\n  aps: []\n"), "delivery.yaml:5:3"),
        (format!("{HEAD}spec:\n  platforms: 7\n"), "delivery.yaml:5:"),
        (format!("{HEAD}spec:\n  apps:\n  - {{name: a, namespace: n, chart: {{path: c}}, dependsOn: [zz]}}\n"), "zz"),
        (format!("{HEAD}spec:\n  apps:\n  - {{name: a, namespace: n, chart: {{path: c}}}}\n  - {{name: a, namespace: n, chart: {{path: c}}}}\n"), "a"),
    ] {
        export(folder.path(), &text, &program).code(2).says(wanted);
    }
    let both = format!("{HEAD}spec:\n  aps: []\n  registri: x\n");
    export(folder.path(), &both, &program).code(2).says("aps").says("registri").says("^");
    program.run(&["export", "-f", "missing.yaml", "-o", "out.tar"]).code(2).says("missing.yaml");
    program.run(&["no-such-command"]).code(2);
}

#[test]
fn a_missing_or_broken_chart_is_named() {
    let folder = TempDir::new().unwrap();
    let program = Program::new(folder.path());
    let missing = export(folder.path(), &format!("{HEAD}{CHART_APP}"), &program).says("chart");
    assert!([2, 4].contains(&missing.code), "{}", missing.stderr);
    chart(folder.path(), "kind: ConfigMap\nvalue: {{ fail \"no colour\" }}\n");
    let failed = export(folder.path(), &format!("{HEAD}{CHART_APP}"), &program).says("templates/object.yaml").says("no colour");
    assert_ne!(failed.code, 0);
    chart(folder.path(), "kind: {{ .Values.x \n");
    assert_ne!(export(folder.path(), &format!("{HEAD}{CHART_APP}"), &program).says("templates/object.yaml").code, 0);
}

#[test]
fn a_registry_that_fails_is_exit_4() {
    let folder = TempDir::new().unwrap();
    let registry = Upstream::start();
    let delivery = |host: &str| format!("{HEAD}spec:\n  platforms: [linux/amd64]\n  images:\n  - {{ref: {host}/shop/ghost:1.0}}\n");
    let known = Program::new(folder.path()).env("DOCKER_CONFIG", registry.docker_config().to_str().unwrap());
    export(folder.path(), &delivery(&registry.host), &known).code(4).says("shop/ghost:1.0");

    let config = format!(r#"{{"auths": {{"{}": {{"username": "{USER}", "password": "wrong-word"}}}}}}"#, registry.host);
    fs::write(folder.path().join("config.json"), config).unwrap();
    let wrong = Program::new(folder.path()).env("DOCKER_CONFIG", folder.path().to_str().unwrap());
    let refused = export(folder.path(), &delivery(&registry.host), &wrong).code(4).says(&registry.host);
    assert!(!refused.stderr.contains("wrong-word"), "the password is in the message");

    let nobody = format!("127.0.0.1:{}", crate::support::free_port());
    export(folder.path(), &delivery(&nobody), &known).code(4).says(&nobody);
}

#[test]
fn a_self_signed_registry_needs_its_ca() {
    let folder = TempDir::new().unwrap();
    let registry = Upstream::start_tls();
    let busybox = "/bin/busybox:bin/busybox";
    registry.push_files("shop/tls:1.0", "amd64", &[busybox]);
    let program = Program::new(folder.path()).env("DOCKER_CONFIG", registry.docker_config().to_str().unwrap());
    let host = &registry.host;
    let spec = |source: &str| format!("{HEAD}spec:\n  platforms: [linux/amd64]\n{source}  images:\n  - {{ref: \"{host}/shop/tls:1.0\"}}\n");
    export(folder.path(), &spec(""), &program).code(4).says(host).says("certificate");
    let source = format!("  sources:\n    \"{host}\": {{caFile: {}}}\n", registry.ca().display());
    export(folder.path(), &spec(&source), &program).code(0);
}

#[test]
fn no_cluster_is_exit_5() {
    let folder = TempDir::new().unwrap();
    let archive = quickstart::export(folder.path());
    let server = format!("https://127.0.0.1:{}", crate::support::free_port());
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    fs::write(folder.path().join("gone"), kubeconfig).unwrap();
    let program = Program::new(folder.path());
    program.run(&["install", &archive, "--key", "offline.pub", "--kubeconfig", "gone", "--timeout", "10s"]).code(5).says("127.0.0.1");
    let none = program.run(&["install", &archive, "--key", "offline.pub", "--kubeconfig", "missing"]);
    assert!([2, 5].contains(&none.code), "{}", none.stderr);
}

fn install(lab: &Lab, folder: &Path, archive: &str, kubeconfig: Option<&Path>) -> Finished {
    let admin = lab.kubeconfig();
    let kubeconfig = kubeconfig.unwrap_or(&admin).to_str().unwrap();
    Program::new(folder).run(&["install", archive, "--key", "offline.pub", "--kubeconfig", kubeconfig, "--timeout", "60s"])
}

#[test]
fn cluster_a_reader_may_not_install() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let folder = TempDir::new().unwrap();
    let archive = quickstart::export(folder.path());
    let reader = folder.path().join("reader");
    lab.reader("may-read", &reader);
    let before = lab.names();
    install(lab, folder.path(), &archive, Some(&reader)).code(5).says("lacks rights");
    lab.nothing_left(&before);
    lab.kubectl(&["delete", "clusterrole,clusterrolebinding", "may-read-read"]);
    lab.delete_namespace("may-read");
}

#[test]
fn cluster_a_node_that_is_down_is_named() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let folder = TempDir::new().unwrap();
    let archive = quickstart::export(folder.path());
    let before = lab.names();
    crate::support::run(&mut lab.script(&["stop-node", "2"]));
    lab.kubectl(&["wait", "--for=condition=Ready=unknown", "node/node2", "--timeout=120s"]);
    let finished = install(lab, folder.path(), &archive, None);
    lab.script(&["node", "2"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    lab.kubectl(&["wait", "--for=condition=Ready", "node/node2", "--timeout=120s"]);
    let finished = finished.says("node2");
    assert!([5, 6].contains(&finished.code), "{}", finished.stderr);
    if finished.code == 5 {
        lab.nothing_left(&before);
    } else {
        lab.helm("helm3", "quickstart", &["uninstall", "hello", "--ignore-not-found"]);
        lab.delete_namespace("quickstart");
    }
}

#[test]
fn cluster_a_full_disk_is_told() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("full");
    let archive = shop.export("1.0", None);
    let before = lab.names();
    // a disk of its own for containerd's content, with less room than the delivery needs
    let content = "/var/lib/containerd/io.containerd.content.v1.content/ingest";
    crate::support::run(&mut lab.script(&["exec", "1", "sh", "-c", &format!("mkdir -p {content} && mount -t tmpfs -o size=256k full {content}")]));
    let kubeconfig = lab.kubeconfig();
    let finished = shop.program().run(&["install", &archive, "--key", "shop.pub", "--kubeconfig", kubeconfig.to_str().unwrap(), "--timeout", "60s"]);
    crate::support::run(&mut lab.script(&["exec", "1", "umount", content]));
    let finished = finished.says("node1").says("no space");
    assert!([5, 6].contains(&finished.code), "{}", finished.stderr);
    lab.nothing_left(&before);
}

#[test]
fn cluster_an_archive_without_the_nodes_architecture() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("foreign");
    let host = &shop.upstream.host;
    chart(shop.path(), &format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, image: \"{host}/shop/tool:1.0\"}}]}}\n"));
    let text = format!("{HEAD}{}", CHART_APP.replace("linux/amd64", "linux/arm64"));
    export(shop.path(), &text, &shop.program()).ok();
    let before = lab.names();
    install(lab, shop.path(), "out.tar", None).code(5).says("amd64").says("node1");
    lab.nothing_left(&before);
}

#[test]
fn cluster_ctrl_c_leaves_nothing() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("stopped");
    let archive = shop.export("1.0", None);
    let before = lab.names();
    let kubeconfig = lab.kubeconfig();
    let args = ["install", &archive, "--key", "shop.pub", "--kubeconfig", kubeconfig.to_str().unwrap(), "--timeout", "2m"];
    let mut child = shop.program().command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // as soon as an agent's pod runs, bytes are on their way
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let pods = lab.items(&["--all-namespaces", "pods"]);
        if pods.iter().any(|pod| pod["status"]["phase"] == "Running" && pod["spec"]["nodeName"] == "node1") {
            break;
        }
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "no agent's pod was seen");
        thread::sleep(Duration::from_millis(100));
    }
    interrupt(&child);
    let status = child.wait().unwrap();
    assert!(!status.success());
    lab.nothing_left(&before);
}
