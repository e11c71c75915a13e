//! Resolving, pulling and exporting, against a real registry on loopback.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use offline::{
    failure::Kind,
    oci::{Descriptor, Digest, Platform, Reference, media_type},
    ops::{
        ChartAccess,
        export::{self, ExportOptions},
        images::images_of_delivery,
        lock::{self, LockOptions},
        read_delivery,
    },
    progress::Silent,
    registry::{HostOptions, Memory, Problem, Registries, RegistryError},
};
use tempfile::TempDir;

use crate::support::registry::{PASSWORD, Registry, Setup};

/// An OCI layout with one image `app` for amd64 and arm64 and an attestation beside them.
pub(crate) struct Layout {
    folder: TempDir,
    pub(crate) index: Digest,
}

impl Layout {
    pub(crate) fn new() -> Self {
        Self::made("2024-01-01T00:00:00Z")
    }

    /// The same, made at another time.
    pub(crate) fn made(created: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        let put = |kind: &str, bytes: &[u8]| {
            let descriptor = Descriptor::of(kind, bytes);
            fs::write(folder.path().join("blobs/sha256").join(descriptor.digest.hex()), bytes).unwrap();
            descriptor
        };
        let mut children = Vec::new();
        for (os, architecture) in [("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")] {
            let (layer, diff_id) = layer(architecture);
            let config = serde_json::json!({"created": created, "architecture": architecture, "os": os, "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
                .to_string();
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
                "config": put(media_type::OCI_CONFIG, config.as_bytes()), "layers": [put(media_type::OCI_LAYER_GZIP, &layer)],
            });
            let mut child = put(media_type::OCI_MANIFEST, manifest.to_string().as_bytes());
            child.platform = Some(format!("{os}/{architecture}").parse().unwrap());
            children.push(child);
        }
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children}).to_string();
        let root = put(media_type::OCI_INDEX, index.as_bytes()).with_annotation("org.opencontainers.image.ref.name", "app");
        fs::write(folder.path().join("index.json"), serde_json::json!({"schemaVersion": 2, "manifests": [root]}).to_string()).unwrap();
        fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { folder, index: root.digest }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A gzip'd tar of a few hundred kilobytes that do not compress, and its digest when unpacked.
fn layer(seed: &str) -> (Vec<u8>, Digest) {
    let mut content = Vec::new();
    let mut state = Digest::of(seed.as_bytes());
    while content.len() < 300_000 {
        content.extend_from_slice(state.hex().as_bytes());
        state = Digest::of(state.as_str().as_bytes());
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "data", content.as_slice()).unwrap();
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    (gzip.finish().unwrap(), Digest::of(&tar))
}

fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn registries(options: &[(&str, HostOptions)], config: Option<PathBuf>) -> Registries {
    provider();
    Registries::new(options.iter().map(|(host, options)| ((*host).to_owned(), options.clone())).collect(), config)
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn platforms(names: &[&str]) -> Vec<Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn fails(registries: &Registries, image: &str) -> RegistryError {
    registries.resolve(&reference(image)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_by_tag_and_by_index_digest_with_a_password() {
    let (registry, layout) = (Registry::start(Setup { auth: true, ..Setup::default() }), Layout::new());
    registry.push(layout.path(), "app", "team/app:1");
    let registries = registries(&[], Some(registry.docker_config(PASSWORD)));
    let both = platforms(&["linux/amd64", "linux/arm64"]);
    let by_tag = registries.image(&reference(&format!("{}/team/app:1", registry.host)), &both).await.unwrap();
    assert_eq!(by_tag.content.root.digest, layout.index);
    assert_eq!((by_tag.content.documents.len(), by_tag.content.layers.len()), (5, 2), "attestations stay behind");
    let by_digest = reference(&format!("{}/team/app@{}", registry.host, layout.index));
    let one = registries.image(&by_digest, &platforms(&["linux/arm64"])).await.unwrap();
    assert_eq!(one.content.root.digest, layout.index);
    let layer = &one.content.layers[0];
    let mut sink = Memory::default();
    registries.layer(&by_digest, layer, &mut sink).await.unwrap();
    assert_eq!(Digest::of(&sink.0), layer.digest);
    // A transfer that broke goes on from where it was.
    let mut rest = Memory(sink.0[..100_000].to_vec());
    registries.layer(&by_digest, layer, &mut rest).await.unwrap();
    assert_eq!(rest.0, sink.0);
    let missing = registries.image(&by_digest, &platforms(&["linux/s390x"])).await.unwrap_err();
    assert!(missing.to_string().contains("linux/s390x") && missing.to_string().contains("linux/amd64, linux/arm64"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    let (registry, layout) = (Registry::start(Setup { auth: true, ..Setup::default() }), Layout::new());
    registry.push(layout.path(), "app", "app:1");
    let image = format!("{}/app:1", registry.host);
    let error = fails(&registries(&[], None), &image).await;
    assert!(matches!(*error.problem, Problem::NoCredentials), "{error:?}");
    let error = fails(&registries(&[], Some(registry.docker_config("wrong"))), &image).await;
    assert!(matches!(&*error.problem, Problem::Refused { user, .. } if user == "me"), "{error:?}");
    assert!(!error.to_string().contains("`wrong`") && error.hint().unwrap().contains("docker login"), "{error}");
    let good = registries(&[], Some(registry.docker_config(PASSWORD)));
    let error = fails(&good, &format!("{}/app:none", registry.host)).await;
    assert!(matches!(*error.problem, Problem::NotFound(_)), "{error:?}");
    assert!(error.to_string().contains("app:none"), "{error}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fails(&good, &format!("{free}/app:1")).await;
    assert!(matches!(*error.problem, Problem::ConnectionRefused(_)), "{error:?}");
    let error = fails(&good, "registry.invalid:5000/app:1").await;
    assert!(matches!(*error.problem, Problem::Dns(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused_until_it_is_named() {
    let (registry, layout) = (Registry::start(Setup { tls: true, ..Setup::default() }), Layout::new());
    registry.push(layout.path(), "app", "app:1");
    let image = format!("{}/app:1", registry.host);
    let error = fails(&registries(&[], None), &image).await;
    assert!(matches!(*error.problem, Problem::UntrustedCertificate(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("caFile"));
    let named = HostOptions { ca_file: Some(registry.ca_file()), ..HostOptions::default() };
    let (root, _) = registries(&[(&registry.host, named)], None).resolve(&reference(&image)).await.unwrap();
    assert_eq!(root.digest, layout.index);
    let wrong = registry.ca_file().with_file_name("config.yml");
    let error = fails(&registries(&[(&registry.host, HostOptions { ca_file: Some(wrong), ..HostOptions::default() })], None), &image).await;
    assert!(matches!(*error.problem, Problem::CaFile { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_stands_for_a_registry() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::new());
    registry.push(layout.path(), "app", "hub/library/app:1");
    let mirror = HostOptions { mirror: Some(format!("{}/hub", registry.host)), ..HostOptions::default() };
    let (root, _) = registries(&[("docker.io", mirror)], None).resolve(&reference("app:1")).await.unwrap();
    assert_eq!(root.digest, layout.index);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_blob_is_an_error_that_names_it() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::new());
    registry.push(layout.path(), "app", "app:1");
    let image = reference(&format!("{}/app:1", registry.host));
    let registries = registries(&[], None);
    let found = registries.image(&image, &platforms(&["linux/amd64"])).await.unwrap();
    let layer = &found.content.layers[0];
    let file = fs::OpenOptions::new().write(true).open(registry.blob(&layer.digest)).unwrap();
    file.set_len(layer.size - 1000).unwrap();
    let error = registries.layer(&image, layer, &mut Memory::default()).await.unwrap_err();
    assert!(error.to_string().contains(layer.digest.as_str()), "{error}");
}

/// A delivery of plain manifests and one image of its own, in `folder`.
fn delivery(folder: &Path, host: &str, digest: &Digest) -> offline::delivery::Delivery {
    fs::create_dir_all(folder.join("k8s")).unwrap();
    fs::write(
        folder.join("k8s/pod.yaml"),
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n  - {{name: a, image: '{host}/app:1'}}\n  - {{name: b, image: '{host}/app@{digest}'}}\n"),
    )
    .unwrap();
    let path = folder.join("delivery.yaml");
    let text = format!(
        "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\nspec:\n  platforms: [linux/amd64]\n  apps:\n  - {{name: glue, namespace: shop, manifests: [k8s/]}}\n  images:\n  - {{ref: '{host}/app:1'}}\n"
    );
    fs::write(&path, text).unwrap();
    read_delivery(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn options(delivery: offline::delivery::Delivery, output: &Path) -> ExportOptions {
    let agent = offline::cluster::nodes::AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() };
    let (output, access, agents) = (Some(output.into()), ChartAccess::default(), vec![agent]);
    ExportOptions { delivery, output, signer: None, platforms: None, access, agents, dry_run: false, locked: false, ask: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_the_same_bytes_twice_and_skopeo_reads_them() {
    provider();
    let (registry, layout, folder) = (Registry::start(Setup::default()), Layout::new(), tempfile::tempdir().unwrap());
    registry.push(layout.path(), "app", "app:1");
    let delivery = delivery(folder.path(), &registry.host, &layout.index);
    let listed = images_of_delivery(&delivery, &ChartAccess::default()).await.unwrap();
    assert_eq!(listed.images.len(), 2);
    assert_eq!(listed.images[1].origins.len(), 2, "the manifest and spec.images");
    let (a, b) = (folder.path().join("a.tar"), folder.path().join("b.tar"));
    let outcome = export::run(options(delivery.clone(), &a), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    export::run(options(delivery, &b), Arc::new(Silent)).await.unwrap();
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "same in, same out");
    assert_eq!(outcome.size, fs::metadata(&a).unwrap().len());
    let opened = offline::archive::open(&a).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
    assert_eq!(opened.record().images.len(), 2);
    let raw =
        std::process::Command::new("skopeo").args(["inspect", "--raw"]).arg(format!("oci-archive:{}:{}/app:1", a.display(), registry.host)).output().unwrap();
    assert_eq!(Digest::of(&raw.stdout), layout.index, "{}", String::from_utf8_lossy(&raw.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_export_leaves_no_file_and_tells_all() {
    provider();
    let (registry, layout, folder) = (Registry::start(Setup::default()), Layout::new(), tempfile::tempdir().unwrap());
    registry.push(layout.path(), "app", "app:1");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a.tar");
    let mut broken = delivery(folder.path(), &registry.host, &layout.index);
    for name in ["none", "nothing"] {
        broken.spec.images.push(offline::delivery::ImageEntry::Ref(reference(&format!("{}/{name}:1", registry.host))));
    }
    let failure = export::run(options(broken, &file), Arc::new(Silent)).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Source);
    assert!(failure.to_string().contains("/none:1") && failure.to_string().contains("/nothing:1"), "{failure}");
    // A layer that cannot be pulled, after the file was begun.
    let good = delivery(folder.path(), &registry.host, &layout.index);
    let (layer, _) = layer("amd64");
    let blob = registry.blob(&Digest::of(&layer));
    let mut changed = fs::read(&blob).unwrap();
    changed[1000] ^= 1;
    fs::write(&blob, changed).unwrap();
    let failure = export::run(options(good.clone(), &file), Arc::new(Silent)).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Source, "{failure}");
    let mut no_agent = options(good, &file);
    no_agent.platforms = Some(platforms(&["linux/arm64"]));
    let failure = export::run(no_agent, Arc::new(Silent)).await.unwrap_err();
    assert!(failure.to_string().contains("linux/arm64"), "{failure}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

/// What `docker save` would write for an image with one layer.
fn docker_archive(path: &Path, name: &str) {
    let layer = vec![7; 2_000_000];
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]}}).to_string();
    let list = serde_json::json!([{"Config": "c.json", "RepoTags": [name], "Layers": ["l/layer.tar"]}]).to_string();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast()));
    for (name, bytes) in [("c.json", config.as_bytes()), ("l/layer.tar", &layer), ("manifest.json", list.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_archive_needs_no_registry() {
    provider();
    let folder = tempfile::tempdir().unwrap();
    docker_archive(&folder.path().join("tool.tar.gz"), "registry.invalid/tool:1");
    let path = folder.path().join("delivery.yaml");
    fs::write(&path, "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: tools, version: '1.0'}\nspec:\n  platforms: [linux/amd64]\n  images:\n  - {archive: tool.tar.gz}\n  - {ref: 'registry.invalid/tool:1'}\n").unwrap();
    let delivery = read_delivery(&path).unwrap_or_else(|error| panic!("{error}"));
    let output = folder.path().join("out.tar");
    let mut dry = options(delivery.clone(), &output);
    dry.dry_run = true;
    let planned = export::run(dry, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(planned.path.is_none() && !output.exists());
    let outcome = export::run(options(delivery, &output), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.size, &outcome.digest, outcome.images.len()), (planned.size, &planned.digest, 1));
    let opened = offline::archive::open(&output).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
    assert_eq!(opened.record().images[0].origins.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_are_rendered_with_values_and_profiles() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("charts/web");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.2.3\n").unwrap();
    fs::write(chart.join("values.yaml"), "image: x.dev/web:1\nextra: ''\n").unwrap();
    fs::write(
        chart.join("templates/pod.yaml"),
        "apiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  containers:\n  - {name: a, image: {{ .Values.image | quote }}}\n  {{- with .Values.extra }}\n  - {name: b, image: {{ . | quote }}}\n  {{- end }}\n",
    )
    .unwrap();
    let path = folder.path().join("delivery.yaml");
    fs::write(&path, "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec:\n  platforms: [linux/amd64]\n  apps:\n  - name: web\n    namespace: shop\n    chart: {path: charts/web}\n    set: {image: 'x.dev/web:2'}\n    profiles: [{name: more, set: {extra: 'x.dev/more:1'}}]\n").unwrap();
    let delivery = read_delivery(&path).unwrap_or_else(|error| panic!("{error}"));
    let listed = images_of_delivery(&delivery, &ChartAccess::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<String> = listed.images.iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(names, ["x.dev/more:1", "x.dev/web:2"]);
    let origin = &listed.images[0].origins[0];
    assert_eq!(
        (origin.profile.as_deref(), origin.template.as_deref(), origin.object.as_deref()),
        (Some("more"), Some("web/templates/pod.yaml"), Some("Pod/web"))
    );
    fs::write(chart.join("templates/bad.yaml"), "{{ fail \"no way\" }}").unwrap();
    let failure = images_of_delivery(&delivery, &ChartAccess::default()).await.unwrap_err();
    assert!(failure.to_string().contains("app web") && failure.to_string().contains("profile more") && failure.to_string().contains("no way"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_image_is_taken_by_its_digest() {
    provider();
    let (registry, layout, folder) = (Registry::start(Setup::default()), Layout::new(), tempfile::tempdir().unwrap());
    registry.push(layout.path(), "app", "app:1");
    let delivery = delivery(folder.path(), &registry.host, &layout.index);
    let locked = |check: bool| lock::run(LockOptions { delivery: delivery.clone(), access: ChartAccess::default(), check, ask: None }, Arc::new(Silent));
    let outcome = locked(false).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.images, outcome.changed), (2, true));
    let a = folder.path().join("a.tar");
    let first = export::run(options(delivery.clone(), &a), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    // The tag moves to another image.
    let index = fs::read(layout.path().join("blobs/sha256").join(layout.index.hex())).unwrap();
    let child = serde_json::from_slice::<serde_json::Value>(&index).unwrap()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    crate::support::run(std::process::Command::new(crate::support::tool("crane")).args(["tag", &format!("{}/app@{child}", registry.host), "1"]));
    let again = export::run(options(delivery.clone(), &a), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.digest, first.digest);
    let strict = |delivery: offline::delivery::Delivery| ExportOptions { locked: true, ..options(delivery, &a) };
    let again = export::run(strict(delivery.clone()), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(again.locked && again.digest == first.digest);
    let mut more = delivery.clone();
    more.spec.images.push(offline::delivery::ImageEntry::Ref(reference(&format!("{}/app:2", registry.host))));
    let failure = export::run(strict(more.clone()), Arc::new(Silent)).await.unwrap_err();
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("/app:2 is not in the lock"), "{failure}");
    let mut fewer = delivery.clone();
    fewer.spec.images.clear();
    fewer.spec.apps.clear();
    let failure = export::run(strict(fewer), Arc::new(Silent)).await.unwrap_err();
    assert!(failure.to_string().contains("nothing names the image"), "{failure}");
    let mut elsewhere = delivery.clone();
    elsewhere.spec.images.clear();
    let failure = export::run(strict(elsewhere), Arc::new(Silent)).await.unwrap_err();
    assert!(failure.to_string().contains("named by other objects"), "{failure}");
    // Without --locked what is new is resolved, and the lock follows; what was locked stays.
    registry.push(layout.path(), "app", "app:2");
    let lock = fs::read_to_string(delivery.lock_path()).unwrap();
    export::run(options(more.clone(), &a), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    let now = fs::read_to_string(delivery.lock_path()).unwrap();
    assert!(now.contains("/app:2") && now.contains(layout.index.as_str()) && !lock.contains("/app:2"), "{now}");
    export::run(strict(more), Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    fs::remove_file(delivery.lock_path()).unwrap();
    let failure = export::run(strict(delivery), Arc::new(Silent)).await.unwrap_err();
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("there is no `"), "{failure}");
}
