//! Releases on the real cluster of the lab, with real helm 3 and 4 as the judges.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, RwLockReadGuard},
    time::Duration,
};

use offline::{
    cluster::{
        Catalog, Cluster, ClusterError, ConnectOptions, WaitOptions,
        deploy::{App, Change, Deployment, Present},
        release::Hook,
    },
    goyaml,
    progress::{SharedReporter, Silent},
};
use serde_json::{Value, json};

use crate::support;

const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// The cluster, shared with other tests, where there is to be one.
pub(crate) fn lab() -> Option<RwLockReadGuard<'static, ()>> {
    support::lab().map(support::Lab::share)
}

fn kubeconfig() -> PathBuf {
    support::lab().unwrap().kubeconfig()
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(support::tool(name));
    command.env("KUBECONFIG", kubeconfig());
    command
}

/// Runs a tool that must succeed, and gives what it printed.
pub(crate) fn run(name: &str, arguments: &[&str]) -> String {
    let output = tool(name).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) async fn connect() -> Cluster {
    connect_as(None).await
}

pub(crate) async fn connect_as(token: Option<&str>) -> Cluster {
    let options = ConnectOptions { kubeconfigs: vec![kubeconfig()], token: token.map(str::to_owned), ..ConnectOptions::default() };
    Cluster::connect(&options).await.unwrap()
}

/// A namespace of its own, gone when the test starts and when it ends.
pub(crate) struct Space(&'static str);

impl Space {
    pub(crate) fn new(name: &'static str) -> Self {
        let _ = tool("kubectl").args(["delete", "namespace", name, "--ignore-not-found", "--timeout=60s"]).output();
        Self(name)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = tool("kubectl").args(["delete", "namespace", self.0, "--ignore-not-found", "--wait=false"]).output();
    }
}

/// An app of one chart, with a workload, a ConfigMap and a hook.
fn app(namespace: &str, version: &str, data: &Value) -> App {
    let workload = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata:\n      labels: {{app: web}}\n      annotations: {{version: \"{version}\"}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n      - {{name: c, image: \"{PAUSE}\", imagePullPolicy: Never}}\n"
    );
    let config = goyaml::emit(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": data})).unwrap();
    let manifest = format!("---\n# Source: probe/templates/config.yaml\n{config}---\n# Source: probe/templates/web.yaml\n{workload}");
    let hook = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web-hook\n  annotations:\n    helm.sh/hook: pre-install,pre-upgrade\ndata: {a: b}";
    let hook_document = goyaml::parse_all(hook).unwrap();
    App {
        name: "web".into(),
        namespace: namespace.into(),
        chart: json!({"metadata": {"name": "probe", "version": version, "apiVersion": "v2"}, "lock": null, "templates": [], "values": {}, "schema": null, "files": null}),
        config: json!({"version": version}).as_object().unwrap().clone(),
        documents: goyaml::parse_all(&manifest).unwrap(),
        manifest,
        hooks: vec![(
            Hook {
                name: "web-hook".into(),
                kind: "ConfigMap".into(),
                path: "probe/templates/hook.yaml".into(),
                manifest: hook.into(),
                events: vec!["pre-install".into(), "pre-upgrade".into()],
                ..Hook::default()
            },
            hook_document,
        )],
        crds: vec![],
        notes: "It runs.".into(),
        plain: false,
        labels: [("offline.dev/delivery".to_owned(), "shop".to_owned()), ("offline.dev/version".to_owned(), version.to_owned())].into(),
    }
}

async fn plan(cluster: &Cluster, app: App) -> Result<Deployment, ClusterError> {
    let catalog = Catalog::load(cluster.client()).await?;
    let present = Present::read(cluster, &app.namespace, &app.name).await?;
    let old = goyaml::parse_all(present.manifest()).unwrap();
    Deployment::plan(cluster, &catalog, app, present, old).await
}

async fn deploy(cluster: &Cluster, app: App) -> Result<Change, (ClusterError, Vec<String>)> {
    let reporter: SharedReporter = Arc::new(Silent);
    let mut deployment = plan(cluster, app).await.map_err(|e| (e, vec![]))?;
    match deployment.run(cluster, WaitOptions { timeout: Duration::from_mins(1) }, &reporter).await {
        Ok(()) => Ok(deployment.change),
        Err(error) => {
            let left = deployment.undo(cluster).await;
            Err((error, left))
        }
    }
}

fn data(namespace: &str) -> Value {
    serde_json::from_str::<Value>(&run("kubectl", &["get", "configmap", "web", "-n", namespace, "-o", "json"])).unwrap()["data"].clone()
}

fn versions(namespace: &str) -> String {
    run(
        "kubectl",
        &[
            "get",
            "configmap,deployment,secret,replicaset",
            "-n",
            namespace,
            "-o",
            "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.generation}/{.metadata.labels}{\"\\n\"}{end}",
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_release_is_helms_to_take_over() {
    let Some(_lab) = lab() else { return };
    for (helm, namespace) in [("helm3", "rel-over3"), ("helm4", "rel-over4")] {
        let _space = Space::new(namespace);
        let cluster = connect().await;
        assert_eq!(deploy(&cluster, app(namespace, "1.0", &json!({"a": "1", "b": "1"}))).await.unwrap(), Change::Installed);
        let before = versions(namespace);
        assert_eq!(deploy(&cluster, app(namespace, "1.0", &json!({"a": "1", "b": "1"}))).await.unwrap(), Change::Unchanged);
        assert_eq!(versions(namespace), before);

        let listed = run(helm, &["list", "-n", namespace]);
        assert!(listed.contains("probe-1.0") && listed.contains("deployed"), "{listed}");
        assert!(run(helm, &["get", "manifest", "web", "-n", namespace]).contains("# Source: probe/templates/web.yaml"));
        assert!(run(helm, &["get", "values", "web", "-n", namespace]).contains("version: \"1.0\""));
        assert!(run(helm, &["get", "notes", "web", "-n", namespace]).contains("It runs."));

        assert_eq!(deploy(&cluster, app(namespace, "1.1", &json!({"b": "2", "c": "2"}))).await.unwrap(), Change::Upgraded);
        assert_eq!(data(namespace), json!({"b": "2", "c": "2"}));
        let history = run(helm, &["history", "web", "-n", namespace]);
        assert!(history.contains("superseded") && history.contains("Upgrade complete"), "{history}");

        run(helm, &["rollback", "web", "1", "-n", namespace, "--wait", "--timeout", "60s"]);
        assert_eq!(data(namespace), json!({"a": "1", "b": "1"}), "{helm} rollback");
        // Helm wrote last; what it added must vanish with our next version.
        assert_eq!(deploy(&cluster, app(namespace, "1.2", &json!({"d": "3"}))).await.unwrap(), Change::Upgraded);
        assert_eq!(data(namespace), json!({"d": "3"}), "ours after {helm}");
        let label = run("kubectl", &["get", "secret", "-n", namespace, "-l", "owner=helm,version=4", "-o", "jsonpath={.items[*].metadata.labels.status}"]);
        assert_eq!(label, "deployed");
        run(helm, &["uninstall", "web", "-n", namespace, "--wait"]);
        assert_eq!(run("kubectl", &["get", "deployment,secret", "-n", namespace, "-o", "name"]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_release_of_helm_is_ours_to_take_over() {
    let Some(_lab) = lab() else { return };
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: probe\nversion: 0.9.0\n").unwrap();
    std::fs::write(
        chart.path().join("templates/config.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata: {a: \"0\", z: \"0\"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: gone\n",
    )
    .unwrap();
    for (helm, namespace) in [("helm3", "rel-from3"), ("helm4", "rel-from4")] {
        let _space = Space::new(namespace);
        run(helm, &["install", "web", &chart.path().to_string_lossy(), "-n", namespace, "--create-namespace"]);
        let cluster = connect().await;
        assert_eq!(deploy(&cluster, app(namespace, "1.0", &json!({"a": "1"}))).await.unwrap(), Change::Upgraded);
        assert_eq!(data(namespace), json!({"a": "1"}), "{helm}");
        assert_eq!(run("kubectl", &["get", "configmap", "-n", namespace, "gone", "--ignore-not-found", "-o", "name"]), "");
        run(helm, &["rollback", "web", "-n", namespace]);
        assert_eq!(data(namespace), json!({"a": "0", "z": "0"}), "{helm} rollback");
        assert_eq!(run("kubectl", &["get", "deployment", "-n", namespace, "-o", "name"]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_failed_app_leaves_nothing() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-fail";
    let _space = Space::new(namespace);
    let cluster = connect().await;
    let broken = |version: &str, data: Value| {
        let mut app = app(namespace, version, &data);
        app.manifest = app.manifest.replace(PAUSE, "registry.example/none:1");
        app.documents = goyaml::parse_all(&app.manifest).unwrap();
        app
    };
    let started = std::time::Instant::now();
    let (error, left) = deploy(&cluster, broken("1.0", json!({"a": "1"}))).await.unwrap_err();
    assert!(matches!(&error, ClusterError::Failed { pods, .. } if pods[0].reason == "ErrImageNeverPull"), "{error}");
    assert!(error.to_string().contains("registry.example/none:1"), "{error}");
    assert!(left.is_empty(), "{left:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
    for _ in 0..60 {
        if run("kubectl", &["get", "namespace", namespace, "--ignore-not-found", "-o", "name"]).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(run("kubectl", &["get", "namespace", namespace, "--ignore-not-found", "-o", "name"]), "");

    deploy(&cluster, app(namespace, "1.0", &json!({"a": "1"}))).await.unwrap();
    let (_, left) = deploy(&cluster, broken("1.1", json!({"b": "1"}))).await.unwrap_err();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(data(namespace), json!({"a": "1"}));
    assert!(run("kubectl", &["get", "deployment", "web", "-n", namespace, "-o", "yaml"]).contains(PAUSE));
    let history = run("helm3", &["history", "web", "-n", namespace]);
    assert!(history.contains("deployed") && !history.contains("failed") && !history.contains("superseded"), "{history}");
    assert_eq!(deploy(&cluster, app(namespace, "1.0", &json!({"a": "1"}))).await.unwrap(), Change::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_foreign_objects_and_pending_releases_are_left_alone() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-foreign";
    let _space = Space::new(namespace);
    run("kubectl", &["create", "namespace", namespace]);
    run("kubectl", &["create", "configmap", "web", "-n", namespace, "--from-literal=mine=yes"]);
    let cluster = connect().await;
    let (error, _) = deploy(&cluster, app(namespace, "1.0", &json!({"a": "1"}))).await.unwrap_err();
    assert!(matches!(error, ClusterError::Foreign { .. }), "{error}");
    assert_eq!(data(namespace), json!({"mine": "yes"}));
    run("kubectl", &["delete", "configmap", "web", "-n", namespace]);

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": "sh.helm.release.v1.web.v1", "namespace": namespace,
        "labels": {"owner": "helm", "name": "web", "status": "pending-install", "version": "1"}},
        "stringData": {"release": base64(&json!({"name": "web", "namespace": namespace, "version": 1, "info": {"status": "pending-install"}}).to_string())}});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret.to_string()).unwrap();
    run("kubectl", &["apply", "-f", &file.path().to_string_lossy()]);
    let (error, _) = deploy(&cluster, app(namespace, "1.0", &json!({"a": "1"}))).await.unwrap_err();
    assert!(matches!(error, ClusterError::Pending { .. }), "{error}");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_hooks_that_fail_say_why() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-hook";
    let _space = Space::new(namespace);
    let cluster = connect().await;
    let mut app = app(namespace, "1.0", &json!({}));
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"backoffLimit": 0, "template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": PAUSE, "imagePullPolicy": "Never", "command": ["/nothing-here"]}]}}}});
    let hook = Hook {
        name: "migrate".into(),
        kind: "Job".into(),
        path: "probe/templates/job.yaml".into(),
        manifest: job.to_string(),
        events: vec!["post-install".into()],
        ..Hook::default()
    };
    app.hooks.push((hook, vec![job]));
    let (error, left) = deploy(&cluster, app).await.unwrap_err();
    let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(told.contains("the post-install hook Job/migrate failed") && told.contains("/nothing-here"), "{told}");
    assert!(left.is_empty(), "{left:?}");
}
