//! A whole `install` on the lab: an archive made here, images into the nodes, two apps, the same again, an upgrade, a failure.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use offline::{
    archive::{Archive, Builder, Trust, Writer, content, open},
    cluster::deploy::Change,
    delivery::record::{AppRecord, AppSource, ImageRecord, Record},
    failure::Kind,
    oci::{Descriptor, Digest, Manifest, Platform, media_type},
    ops::{
        install::{self, InstallOptions, Renderer},
        list::{self, ListOptions},
        status::{self, StatusOptions},
    },
    progress::{SharedReporter, Silent},
};
use serde_json::json;

use super::release::{Space, connect, lab, run};

const IMAGE: &str = "docker.io/acme/tool:latest";

fn tgz(files: &[(&str, &[u8])]) -> Bytes {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().into()
}

/// One image with a static busybox in it.
fn image(builder: &mut Builder) -> Digest {
    // New in every run of the tests, so that something is to be sent.
    let nonce = std::process::id().to_string();
    let layer = tgz(&[("bin/sleep", &std::fs::read("/bin/busybox").unwrap()), ("nonce", nonce.as_bytes())]);
    let mut inflated = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(layer.as_ref()), &mut inflated).unwrap();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "1000000"]}, "rootfs": {"type": "layers", "diff_ids": [Digest::of(&inflated)]}});
    let config = Bytes::from(config.to_string());
    let (layer_of, config_of) = (Descriptor::of(media_type::OCI_LAYER_GZIP, &layer), Descriptor::of(media_type::OCI_CONFIG, &config));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.into()),
        artifact_type: None,
        config: config_of.clone(),
        layers: vec![layer_of.clone()],
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest = Bytes::from(serde_json::to_vec(&manifest).unwrap());
    let mut manifest_of = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    manifest_of.platform = Some(Platform::linux_amd64());
    builder.add_layer_bytes(&layer_of, layer).unwrap();
    builder.add_document(&config_of, config).unwrap();
    builder.add_document(&manifest_of, manifest).unwrap();
    builder.name(content::image_root(&manifest_of, &IMAGE.parse().unwrap()));
    manifest_of.digest
}

fn workload(name: &str, version: &str, command: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}, annotations: {{version: \"{version}\"}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      topologySpreadConstraints: [{{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {{matchLabels: {{app: {name}}}}}}}]\n      containers:\n      - name: c\n        image: {IMAGE}\n{command}"
    )
}

fn archive(folder: &Path, version: &str, namespace: &str, apps: &[(&str, String)]) -> Arc<Archive> {
    let mut builder = Builder::new();
    let digest = image(&mut builder);
    let mut records = Vec::new();
    for (name, text) in apps {
        let package = tgz(&[("manifests/all.yaml", text.as_bytes())]);
        let digest = Digest::of(&package);
        builder.add_artifact(content::manifests_artifact(name, package)).unwrap();
        records.push(AppRecord {
            name: (*name).into(),
            namespace: namespace.into(),
            depends_on: vec![],
            source: AppSource::Manifests { digest },
            values: serde_json::Map::new(),
            registry_keys: None,
        });
    }
    let record = Record {
        format: 1,
        name: "shop-test".into(),
        version: version.into(),
        platforms: vec![Platform::linux_amd64()],
        registry: Some("registry.shop.internal/mirror".into()),
        apps: records,
        images: vec![ImageRecord { reference: IMAGE.parse().unwrap(), digest, origins: vec![] }],
        files: vec![],
    };
    builder.add_artifact(content::delivery_artifact(&record, &[])).unwrap();
    let path = folder.join(format!("{version}.tar"));
    let layout = builder.lay_out().unwrap();
    Writer::create(&path, &layout).unwrap().finish().unwrap();
    Arc::new(open(&path).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_install_carries_a_delivery_over() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-install";
    let _space = Space::new(namespace);
    let folder = tempfile::tempdir().unwrap();
    let cluster = connect().await;
    let reporter: SharedReporter = Arc::new(Silent);
    let first =
        archive(folder.path(), "1.0.0", namespace, &[("db", workload("db", "1", "")), ("web", workload("web", "1", "        imagePullPolicy: Always\n"))]);

    let outcome = install::run(&cluster, &InstallOptions::new(Arc::clone(&first), Renderer::engine()), &reporter).await.unwrap();
    assert!(outcome.bytes_sent > 0);
    assert_eq!(
        outcome.apps.iter().map(|app| (app.change, app.revision, app.pods.len())).collect::<Vec<_>>(),
        [(Change::Installed, 1, 2), (Change::Installed, 1, 2)]
    );
    for app in &outcome.apps {
        assert_eq!(app.pods[0].images, ["registry.shop.internal/mirror/acme/tool:latest"]);
        assert_ne!(app.pods[0].node, app.pods[1].node);
    }
    assert_eq!(
        run("kubectl", &["get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].spec.containers[*].imagePullPolicy}"]),
        "IfNotPresent IfNotPresent IfNotPresent IfNotPresent"
    );

    let versions = || {
        run(
            "kubectl",
            &["get", "deployment,secret,replicaset,pod", "-n", namespace, "-o", "jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}"],
        )
    };
    let before = versions();
    let again = install::run(&cluster, &InstallOptions::new(first, Renderer::engine()), &reporter).await.unwrap();
    assert_eq!(again.bytes_sent, 0);
    assert!(again.apps.iter().all(|app| app.change == Change::Unchanged && app.revision == 1 && app.pods.len() == 2));
    assert_eq!(versions(), before);

    let second = archive(folder.path(), "1.1.0", namespace, &[("db", workload("db", "1", "")), ("web", workload("web", "2", ""))]);
    let upgraded = install::run(&cluster, &InstallOptions::new(second, Renderer::engine()), &reporter).await.unwrap();
    assert_eq!(upgraded.apps[1].change, Change::Upgraded);
    let shown = status::run(&cluster, &StatusOptions { delivery: Some("shop-test".into()), namespace: Some(namespace.into()) }).await.unwrap();
    assert_eq!((shown.version.as_str(), shown.apps.len()), ("1.1.0", 2));
    assert!(shown.apps.iter().all(|app| app.ready));
    assert_eq!(shown.apps[1].app.revision, 2);

    // The first app comes up, the second does not: both go back.
    let third = archive(folder.path(), "1.2.0", namespace, &[("db", workload("db", "3", "")), ("web", workload("web", "3", "        command: [/nowhere]\n"))]);
    let mut options = InstallOptions::new(third, Renderer::engine());
    options.timeout = std::time::Duration::from_secs(15);
    let failure = install::run(&cluster, &options, &reporter).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Cluster);
    let told = format!("{failure}: {}", std::error::Error::source(&failure).unwrap());
    assert!(told.contains("app web was not installed") && told.contains("/nowhere"), "{told}");
    let listed = list::run(&cluster, &ListOptions { namespace: Some(namespace.into()) }).await.unwrap();
    assert_eq!((listed.len(), listed[0].version.as_str()), (1, "1.1.0"));
    let history = run("helm3", &["history", "db", "-n", namespace]);
    assert!(!history.contains("superseded") && !history.contains("pending"), "{history}");

    run("helm4", &["rollback", "web", "1", "-n", namespace]);
    let annotation = ["get", "deployment", "web", "-n", namespace, "-o", "jsonpath={.spec.template.metadata.annotations.version}"];
    assert_eq!(run("kubectl", &annotation), "1");
}

/// An older archive, however well it is signed, follows a newer one only when that is said; the cluster remembers, even where no release is left.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_install_refuses_the_replay_of_an_older_archive() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-replay";
    let _space = Space::new(namespace);
    let forget = || run("kubectl", &["delete", "secret", "offline.delivery.shop-test", "-n", namespace]);
    let folder = tempfile::tempdir().unwrap();
    let cluster = connect().await;
    let reporter: SharedReporter = Arc::new(Silent);
    let make = |version: &str| {
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{version: '{version}'}}\n");
        InstallOptions::new(archive(folder.path(), version, namespace, &[("db", map)]), Renderer::engine())
    };
    let remembered = || {
        let encoded = run("kubectl", &["get", "secret", "offline.delivery.shop-test", "-n", namespace, "-o", "jsonpath={.data.version}"]);
        String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim()).unwrap()).unwrap()
    };
    let (old, new, word) = (make("1.9.0"), make("1.10.0"), make("friday"));
    install::run(&cluster, &old, &reporter).await.unwrap();
    assert_eq!(remembered(), "1.9.0");
    install::run(&cluster, &new, &reporter).await.unwrap();
    assert_eq!(remembered(), "1.10.0");
    for refused in [&old, &word] {
        let failure = install::run(&cluster, refused, &reporter).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Untrusted, "{failure}");
    }
    assert_eq!(run("kubectl", &["get", "configmap", "m", "-n", namespace, "-o", "jsonpath={.data.version}"]), "1.10.0");
    // Where nothing is remembered the releases tell.
    forget();
    let failure = install::run(&cluster, &old, &reporter).await.unwrap_err();
    assert!(failure.to_string().contains("1.9.0 is older than 1.10.0"), "{failure}");
    install::run(&cluster, &new, &reporter).await.unwrap();
    run("helm3", &["uninstall", "db", "-n", namespace]);
    assert_eq!(install::run(&cluster, &old, &reporter).await.unwrap_err().kind, Kind::Untrusted);
    // It can be said, and then counts.
    let mut said = old.clone();
    said.allow_downgrade = true;
    install::run(&cluster, &said, &reporter).await.unwrap();
    assert_eq!(remembered(), "1.9.0");
    install::run(&cluster, &old, &reporter).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_install_without_rights_writes_nothing() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-rights";
    let _space = Space::new(namespace);
    run("kubectl", &["create", "namespace", namespace]);
    run("kubectl", &["create", "serviceaccount", "reader", "-n", namespace]);
    run("kubectl", &["create", "rolebinding", "reader", "-n", namespace, "--clusterrole=view", &format!("--serviceaccount={namespace}:reader")]);
    let token = run("kubectl", &["create", "token", "reader", "-n", namespace]);
    let cluster = super::release::connect_as(Some(token.trim())).await;
    let folder = tempfile::tempdir().unwrap();
    let made = archive(folder.path(), "1.0.0", namespace, &[("db", workload("db", "1", ""))]);
    let reporter: SharedReporter = Arc::new(Silent);
    let failure = install::run(&cluster, &InstallOptions::new(made, Renderer::engine()), &reporter).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Cluster, "{failure}");
    assert_eq!(run("kubectl", &["get", "secret,deployment", "-n", namespace, "-o", "name"]), "");
}

/// A chart that keeps a password that is there already, and says what it found.
const LOOKS: &str = r#"{{- $found := lookup "v1" "Secret" .Release.Namespace "kept" -}}
apiVersion: v1
kind: ConfigMap
metadata: {name: looked}
data:
  password: {{ dig "data" "password" "none" $found | quote }}
  gone: {{ lookup "v1" "Secret" .Release.Namespace "gone" | toJson | quote }}
  listed: {{ range (lookup "v1" "ConfigMap" .Release.Namespace "").items }}{{ if eq .metadata.name "beside" }}{{ .kind }} {{ .data.a }}{{ end }}{{ end }}
  everywhere: {{ (lookup "v1" "Namespace" "" "kube-system").metadata.name }}
  kind: {{ lookup "v1" "NoSuchKind" "" "x" | toJson | quote }}
"#;

/// The same archive as [`archive`], with one chart of one template.
fn chart_archive(folder: &Path, namespace: &str, template: &str) -> Arc<Archive> {
    let mut builder = Builder::new();
    let metadata = "apiVersion: v2\nname: looks\nversion: 0.1.0\n";
    let package = tgz(&[("looks/Chart.yaml", metadata.as_bytes()), ("looks/templates/t.yaml", template.as_bytes())]);
    let digest = Digest::of(&package);
    let json = Bytes::from(json!({"apiVersion": "v2", "name": "looks", "version": "0.1.0"}).to_string());
    builder.add_artifact(content::chart_artifact("looks", "0.1.0", json, package)).unwrap();
    let app = AppRecord {
        name: "looks".into(),
        namespace: namespace.into(),
        depends_on: vec![],
        source: AppSource::Chart { name: "looks".into(), version: "0.1.0".into(), digest, origin: None },
        values: serde_json::Map::new(),
        registry_keys: None,
    };
    let record = Record {
        format: 1,
        name: "looking".into(),
        version: "1.0.0".into(),
        platforms: vec![Platform::linux_amd64()],
        registry: None,
        apps: vec![app],
        images: vec![],
        files: vec![],
    };
    builder.add_artifact(content::delivery_artifact(&record, &[])).unwrap();
    let path = folder.join(format!("{}.tar", Digest::of(template.as_bytes()).hex()));
    Writer::create(&path, &builder.lay_out().unwrap()).unwrap().finish().unwrap();
    Arc::new(open(&path).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_lookup_sees_the_cluster() {
    let Some(_lab) = lab() else { return };
    let namespace = "rel-lookup";
    let _space = Space::new(namespace);
    run("kubectl", &["create", "namespace", namespace]);
    run("kubectl", &["create", "secret", "generic", "kept", "-n", namespace, "--from-literal=password=hunter2"]);
    run("kubectl", &["create", "configmap", "beside", "-n", namespace, "--from-literal=a=b"]);
    let folder = tempfile::tempdir().unwrap();
    let cluster = connect().await;
    let reporter: SharedReporter = Arc::new(Silent);
    install::run(&cluster, &InstallOptions::new(chart_archive(folder.path(), namespace, LOOKS), Renderer::engine()), &reporter).await.unwrap();
    let text = run("kubectl", &["get", "configmap", "looked", "-n", namespace, "-o", "jsonpath={.data}"]);
    let data: serde_json::Value = serde_json::from_str(&text).unwrap();
    let want = json!({"password": "aHVudGVyMg==", "gone": "{}", "listed": "ConfigMap b", "everywhere": "kube-system", "kind": "{}"});
    assert_eq!(data, want);

    // What the cluster makes a chart name must have travelled, too.
    let names = "{{ if lookup \"v1\" \"Secret\" .Release.Namespace \"kept\" }}\napiVersion: v1\nkind: Pod\nmetadata: {name: late}\nspec: {containers: [{name: c, image: docker.io/acme/late:1}]}\n{{ end }}\n";
    let failure =
        install::run(&cluster, &InstallOptions::new(chart_archive(folder.path(), namespace, names), Renderer::engine()), &reporter).await.unwrap_err();
    let told = format!("{failure}: {}", std::error::Error::source(&failure).unwrap());
    assert!(told.contains("docker.io/acme/late:1") && told.contains("not in the archive"), "{told}");

    // Helm's words for an API that is not there.
    let unknown = "a: {{ lookup \"none.acme.io/v1\" \"None\" \"\" \"\" | toJson }}\n";
    let failure =
        install::run(&cluster, &InstallOptions::new(chart_archive(folder.path(), namespace, unknown), Renderer::engine()), &reporter).await.unwrap_err();
    let told = format!("{failure}: {}", std::error::Error::source(&failure).unwrap());
    assert!(told.contains("unable to get apiresource from unstructured: none.acme.io/v1, Kind=None"), "{told}");
}
