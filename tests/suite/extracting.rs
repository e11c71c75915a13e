//! `extract`: what is in an archive, in the forms of other tools; read by those tools, held against what it was made from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use bytes::Bytes;
use offline::{
    archive::{Builder, Layout, content},
    delivery::record::{AppRecord, AppSource, FORMAT, FileRecord, ImageRecord, Record},
    failure::{Failure, Kind},
    oci::{Descriptor, Digest, Platform, media_type},
    ops::{
        ChartAccess,
        export::{self, ExportOptions, Shape},
        extract::{self, ExtractOptions, ExtractOutcome, ImageFormat, Parts},
        read_delivery,
        verify::{Elsewhere, TrustOptions},
    },
    progress::Silent,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    delta::docker_archive,
    interop::tool,
    sample,
    support::{Daemon, Program, eventually, finish, run},
};

const APP: &str = "r.dev/app:1.0";
const SIDE: &str = "r.dev/side:1";

/// A delivery with all kinds of things in it, and its archive.
pub(crate) struct Product {
    folder: TempDir,
}

impl Product {
    pub(crate) async fn new() -> Self {
        let product = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("shared/notes.txt", "notes\n"),
            ("d/docs/runbook.txt", "run\n"),
            ("d/web.yaml", "greeting: Grüß Gott\nlist: [1, '2', null]\n"),
            ("d/charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3+build.4\n"),
            ("d/charts/web/values.yaml", "greeting: hello\nextra: {}\n"),
            (
                "d/charts/web/templates/web.yaml",
                "apiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  containers:\n  - {name: a, image: r.dev/app:1.0, args: [{{ .Values.greeting | quote }}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  all: {{ .Values | toJson | quote }}\n",
            ),
            ("d/k8s/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: braces}\ndata: {text: '{{ .Values.none }} \"x\"'}\n"),
            ("d/k8s/sub/b.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: side}\nspec: {containers: [{name: b, image: 'r.dev/side:1'}]}\n"),
            ("d/k8s/_c.yaml", "kind: Nothing\n"),
        ] {
            let path = product.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        docker_archive(&product.path("d/0.tar"), APP, &[1, 2]);
        docker_archive(&product.path("d/1.tar"), SIDE, &[1, 3]);
        product.export("1.0", "a.tar", Shape::default()).await;
        product
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn export(&self, version: &str, output: &str, shape: Shape) {
        let text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: product, version: '{version}'}}\nspec:\n  platforms: [linux/amd64]\n  apps:\n  - {{name: glue, namespace: shop, dependsOn: [web], manifests: [k8s]}}\n  - {{name: web, namespace: shop, chart: {{path: charts/web}}, values: [web.yaml], set: {{extra.key: it's}}}}\n  images: [{{archive: 0.tar}}, {{archive: 1.tar}}]\n  files: [{{path: docs/runbook.txt}}, {{path: ../shared/notes.txt}}]\n"
        );
        fs::write(self.path("d/delivery.yaml"), text).unwrap();
        let delivery = read_delivery(&self.path("d/delivery.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let agents = vec![offline::cluster::nodes::AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() }];
        let (output, access) = (Some(self.path(output)), ChartAccess::default());
        let options = ExportOptions { delivery, output, signer: None, platforms: None, access, agents, dry_run: false, locked: false, ask: None };
        export::run_shaped(options, shape, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn extract(&self, archive: &str, to: &str, options: impl FnOnce(&mut ExtractOptions)) -> Result<ExtractOutcome, Failure> {
        extract(&self.path(archive), &self.path(to), &[], options)
    }
}

pub(crate) fn extract(archive: &Path, to: &Path, bases: &[PathBuf], change: impl FnOnce(&mut ExtractOptions)) -> Result<ExtractOutcome, Failure> {
    let trust = TrustOptions { allow_unsigned: true, ..TrustOptions::default() };
    let (parts, folder) = (Parts::default(), Some(to.to_owned()));
    let mut options = ExtractOptions { archive: archive.to_owned(), trust, folder, parts, apps: Vec::new(), images: Vec::new(), platform: None };
    change(&mut options);
    let elsewhere = Elsewhere { bases: bases.to_vec(), ..Elsewhere::default() };
    let (_stop, asked) = watch::channel(false);
    extract::prepare(&options, &elsewhere, &Silent)?.write(&asked, &(Arc::new(Silent) as _))
}

fn images(format: ImageFormat) -> Parts {
    Parts { images: Some(format), ..Parts::default() }
}

/// Every file below a folder, by its path.
fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            assert!(!kind.is_symlink(), "{name}");
            if kind.is_dir() { walk(&entry.path(), &format!("{name}/"), found) } else { found.push(name) }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_out_as_it_went_in() {
    let product = Product::new().await;
    let outcome = product.extract("a.tar", "out", |_| ()).unwrap_or_else(|error| panic!("{error}"));
    let out = product.path("out");
    let wanted = [
        "charts/web-1.2.3+build.4.tgz",
        "files/delivery.yaml",
        "files/docs/runbook.txt",
        "files/shared/notes.txt",
        "files/web.yaml",
        "images.tar",
        "manifests/glue/k8s/_c.yaml",
        "manifests/glue/k8s/a.yaml",
        "manifests/glue/k8s/sub/b.yml",
        "values/web.yaml",
    ];
    assert_eq!(files(&out), wanted);
    assert_eq!(outcome.written.iter().map(|written| written.path.as_str()).collect::<Vec<_>>(), wanted);
    assert_eq!(outcome.notes, ["`../shared/notes.txt` is written to `files/shared/notes.txt`"]);
    for (from, to) in [
        ("d/docs/runbook.txt", "files/docs/runbook.txt"),
        ("shared/notes.txt", "files/shared/notes.txt"),
        ("d/web.yaml", "files/web.yaml"),
        ("d/delivery.yaml", "files/delivery.yaml"),
        ("d/k8s/a.yaml", "manifests/glue/k8s/a.yaml"),
        ("d/k8s/sub/b.yml", "manifests/glue/k8s/sub/b.yml"),
    ] {
        assert_eq!(fs::read(product.path(from)).unwrap(), fs::read(out.join(to)).unwrap(), "{to}");
    }
    // What travels is what comes out, and what was told of it is true.
    let archive = offline::archive::open(&product.path("a.tar")).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
    let chart = Digest::of(&fs::read(out.join(wanted[0])).unwrap());
    assert_eq!(chart, archive.charts()[0].package.digest);
    for written in &outcome.written {
        let bytes = fs::read(out.join(&written.path)).unwrap();
        assert_eq!((written.size, written.digest.as_ref()), (bytes.len() as u64, Some(&Digest::of(&bytes))), "{}", written.path);
    }
    // Twice is the same.
    product.extract("a.tar", "again", |_| ()).unwrap();
    for path in wanted {
        assert!(fs::read(out.join(path)).unwrap() == fs::read(product.path("again").join(path)).unwrap(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_renders_the_chart_and_its_values_as_it_renders_the_source() {
    let product = Product::new().await;
    product.extract("a.tar", "out", |o| o.parts = Parts { charts: true, values: true, ..Parts::default() }).unwrap();
    let at = |name: &str| product.path(name).display().to_string();
    for helm in ["helm3", "helm4"] {
        let Some(helm) = tool(helm) else { continue };
        let render = |chart: &str, values: &[&str]| {
            run(Command::new(&helm).env("HOME", product.folder.path()).args(["template", "web", chart, "--namespace", "shop"]).args(values))
        };
        let source = render(&at("d/charts/web"), &["-f", &at("d/web.yaml"), "--set", "extra.key=it's"]);
        assert!(source.contains("Grüß Gott") && source.contains("it's"), "{source}");
        let ours = render(&at("out/charts/web-1.2.3+build.4.tgz"), &["-f", &at("out/values/web.yaml")]);
        assert_eq!(source, ours);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_apps_and_images_are_chosen() {
    let product = Product::new().await;
    let chosen = |to: &str, change: fn(&mut ExtractOptions)| {
        product.extract("a.tar", to, change).unwrap_or_else(|error| panic!("{to}: {error}"));
        files(&product.path(to))
    };
    assert_eq!(
        chosen("1", |o| o.parts.charts = true),
        ["charts/web-1.2.3+build.4.tgz", "manifests/glue/k8s/_c.yaml", "manifests/glue/k8s/a.yaml", "manifests/glue/k8s/sub/b.yml"]
    );
    assert_eq!(chosen("2", |o| o.parts.values = true), ["values/web.yaml"]);
    assert_eq!(chosen("3", |o| o.images = vec![SIDE.parse().unwrap()]), ["images.tar"]);
    assert_eq!(chosen("4", |o| o.apps = vec!["web".into()]), ["charts/web-1.2.3+build.4.tgz", "images.tar", "values/web.yaml"]);
    let list = |to: &str| {
        let tar = fs::File::open(product.path(to).join("images.tar")).unwrap();
        let mut tar = tar::Archive::new(tar);
        let entry = tar.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new("manifest.json")).unwrap();
        let list: serde_json::Value = serde_json::from_reader(entry).unwrap();
        list.as_array().unwrap().iter().map(|image| image["RepoTags"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((list("3"), list("4")), (vec![SIDE.to_owned()], vec![APP.to_owned()]));
    for (change, wanted) in [
        ((|o| o.apps = vec!["no".into()]) as fn(&mut ExtractOptions), "there is no app `no` in the archive; it holds: web, glue"),
        (|o| o.images = vec!["nginx".parse().unwrap()], "there is no image docker.io/library/nginx:latest in the archive"),
        (|o| o.platform = "linux/arm64".parse().ok(), "r.dev/app:1.0 is not in the archive for linux/arm64; it holds: linux/amd64"),
        (
            |o| {
                o.apps = vec!["glue".into()];
                o.parts.values = true;
            },
            "the archive holds nothing of what was asked for",
        ),
    ] {
        let failure = product.extract("a.tar", "wrong", change).unwrap_err();
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::Usage, wanted));
        assert!(!product.path("wrong").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_podman_and_crane_read_the_images() {
    let product = Product::new().await;
    for (to, format) in [("docker", ImageFormat::DockerArchive), ("archive", ImageFormat::OciArchive), ("oci", ImageFormat::Oci)] {
        product.extract("a.tar", to, |o| o.parts = images(format)).unwrap();
    }
    let one = |o: &mut ExtractOptions| o.images = vec![APP.parse().unwrap()];
    product.extract("a.tar", "one", one).unwrap();
    // An archive of several images is none to podman, unless it is docker's.
    product
        .extract("a.tar", "one-oci", |o| {
            one(o);
            o.parts = images(ImageFormat::OciArchive);
        })
        .unwrap();
    let archive = offline::archive::open(&product.path("a.tar")).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
    let digest = archive.image(&APP.parse().unwrap()).unwrap().digest.to_string();
    let command = |tool: &Path| {
        let mut command = Command::new(tool);
        command.current_dir(product.folder.path()).env("HOME", product.folder.path()).env("XDG_RUNTIME_DIR", product.folder.path());
        command
    };
    if let Some(skopeo) = tool("skopeo") {
        for (source, keeps) in [
            (format!("docker-archive:docker/images.tar:{SIDE}"), false),
            (format!("oci-archive:docker/images.tar:{APP}"), true),
            (format!("oci-archive:archive/images.tar:{APP}"), true),
            (format!("oci:oci/images:{APP}"), true),
        ] {
            let told = run(command(&skopeo).args(["inspect", &source]));
            assert!(told.contains("amd64") && (!keeps || told.contains(&digest)), "{source}: {told}");
            run(command(&skopeo).args(["copy", "-q", "--insecure-policy", &source, &format!("dir:{}", source.replace([':', '/'], "-"))]));
        }
        // The tar has an OCI layout and no docker list.
        assert_ne!(finish(command(&skopeo).args(["inspect", &format!("docker-archive:archive/images.tar:{APP}")])).code, 0);
    }
    if let Some(podman) = tool("podman") {
        for (store, tar) in [("s1", "docker/images.tar"), ("s2", "one-oci/images.tar")] {
            let podman = |args: &[&str]| run(command(&podman).args(["--root", store, "--runroot", "run", "--storage-driver", "vfs"]).args(args));
            podman(&["load", "-q", "-i", tar]);
            let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
            assert!(names.lines().any(|name| name == APP) && (store == "s2" || names.lines().any(|name| name == SIDE)), "{tar}: {names}");
        }
    }
    if let Some(crane) = tool("crane") {
        run(command(&crane).args(["validate", "--tarball", "one/images.tar"]));
        let config = run(command(&crane).args(["config", "--help"]));
        assert!(!config.is_empty());
    }
    if let Some(regctl) = tool("regctl") {
        let told = run(command(&regctl).args(["image", "config", &format!("ocidir://oci/images@{digest}")]));
        assert!(told.contains("amd64"), "{told}");
    }
}

/// An archive with an image for two platforms, and names that a test chooses.
pub(crate) struct Odd<'a> {
    pub(crate) name: &'a str,
    pub(crate) app: &'a str,
    pub(crate) chart: (&'a str, &'a str),
    pub(crate) files: &'a [&'a str],
    pub(crate) manifest: Option<&'a str>,
}

impl Default for Odd<'_> {
    fn default() -> Self {
        Self { name: "odd", app: "web", chart: ("web", "1.0.0"), files: &["delivery.yaml"], manifest: None }
    }
}

impl Odd<'_> {
    pub(crate) fn write(&self, path: &Path) {
        sample::Sample {
            layout: self.layout(),
            layers: [b"amd64", b"arm64"].map(|text| Bytes::from_static(text)).map(|layer| (Digest::of(&layer), layer)).into(),
        }
        .write(path, None);
    }

    fn layout(&self) -> Layout {
        let mut builder = Builder::new();
        let mut children = Vec::new();
        for arch in ["amd64", "arm64"] {
            let layer = Bytes::copy_from_slice(arch.as_bytes());
            let layer_descriptor = Descriptor::of(media_type::OCI_LAYER, &layer);
            let created = if arch == "arm64" { "2024-02-03T04:05:06.7+01:00" } else { "0001-01-01T00:00:00Z" };
            let config = json!({"architecture": arch, "os": "linux", "created": created, "rootfs": {"type": "layers", "diff_ids": [layer_descriptor.digest]}});
            let config = Bytes::from(config.to_string());
            let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
            let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config_descriptor, "layers": [layer_descriptor]});
            let manifest = Bytes::from(manifest.to_string());
            let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
            builder.add_document(&descriptor, manifest).unwrap();
            builder.add_document(&config_descriptor, config).unwrap();
            builder.add_layer(&layer_descriptor).unwrap();
            descriptor.platform = Some(format!("linux/{arch}").parse().unwrap());
            children.push(descriptor);
        }
        let index = Bytes::from(json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children}).to_string());
        let root = Descriptor::of(media_type::OCI_INDEX, &index);
        builder.add_document(&root, index).unwrap();
        let reference: offline::oci::Reference = "r.dev/both:1".parse().unwrap();
        builder.name(content::image_root(&root, &reference));
        let (chart, version) = self.chart;
        let package = sample::layer("web/Chart.yaml", format!("apiVersion: v2\nname: web\nversion: {version}\n").as_bytes());
        let source = match self.manifest {
            None => AppSource::Chart { name: chart.into(), version: version.into(), digest: Digest::of(&package), origin: None },
            Some(name) => {
                let package = raw_package(name);
                let source = AppSource::Manifests { digest: Digest::of(&package) };
                builder.add_artifact(content::manifests_artifact("glue", package)).unwrap();
                source
            }
        };
        let values = json!({"a": "b"}).as_object().unwrap().clone();
        let app = AppRecord { name: self.app.into(), namespace: "ns".into(), depends_on: Vec::new(), source, values, registry_keys: None };
        let files: Vec<(String, Bytes)> = self.files.iter().map(|path| ((*path).to_owned(), Bytes::from(format!("content of {path:?}")))).collect();
        let record = Record {
            format: FORMAT,
            name: self.name.into(),
            version: "1.0".into(),
            platforms: vec![Platform::linux_amd64(), "linux/arm64".parse().unwrap()],
            registry: None,
            apps: vec![app],
            images: vec![ImageRecord { reference, digest: root.digest, origins: Vec::new() }],
            files: files.iter().map(|(path, bytes)| FileRecord { path: path.clone(), digest: Digest::of(bytes), size: bytes.len() as u64 }).collect(),
        };
        builder.add_artifact(content::chart_artifact("web", "1.0.0", Bytes::from_static(b"{}"), package)).unwrap();
        builder.add_artifact(content::delivery_artifact(&record, &files)).unwrap();
        builder.lay_out().unwrap()
    }
}

/// A package of manifests with one file of any name: the `tar` crate itself refuses names that climb.
fn raw_package(name: &str) -> Bytes {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(4);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(b"a: b");
    bytes.resize(512 * 4, 0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &bytes).unwrap();
    gzip.finish().unwrap().into()
}

#[test]
fn a_platform_is_all_that_is_taken_along() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, both, arm) = (folder.path().join("a.tar"), folder.path().join("both"), folder.path().join("arm"));
    Odd::default().write(&archive);
    extract(&archive, &both, &[], |o| o.parts = images(ImageFormat::Oci)).unwrap();
    extract(&archive, &arm, &[], |o| {
        o.parts = images(ImageFormat::Oci);
        o.platform = "linux/arm64".parse().ok();
    })
    .unwrap();
    let blob = |folder: &Path, bytes: &[u8]| folder.join("images/blobs/sha256").join(Digest::of(bytes).hex()).exists();
    assert!(blob(&both, b"amd64") && blob(&both, b"arm64") && blob(&arm, b"arm64"));
    assert!(!blob(&arm, b"amd64"));
    assert_eq!((files(&both).len(), files(&arm).len()), (2 + 7, 2 + 4));
    assert_eq!(fs::read(both.join("images/index.json")).unwrap(), fs::read(arm.join("images/index.json")).unwrap(), "the index keeps its digest");
    // docker has one platform a name: the one that was asked for.
    extract(&archive, &folder.path().join("tar"), &[], |o| {
        o.parts = images(ImageFormat::DockerArchive);
        o.platform = "linux/arm64".parse().ok();
    })
    .unwrap();
    let mut tar = tar::Archive::new(fs::File::open(folder.path().join("tar/images.tar")).unwrap());
    let entry = tar.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new("manifest.json")).unwrap();
    let list: serde_json::Value = serde_json::from_reader(entry).unwrap();
    assert_eq!(list[0]["Layers"], json!([format!("blobs/sha256/{}", Digest::of(b"arm64").hex())]));
    if let Some(skopeo) = tool("skopeo") {
        for arch in ["amd64", "arm64"] {
            let source = format!("oci:{}:r.dev/both:1", both.join("images").display());
            assert!(run(Command::new(&skopeo).args(["--override-arch", arch, "inspect", &source])).contains(arch));
        }
    }
}

/// Names come from whoever made the archive: none of them leads out of the folder, and none that cannot be kept is bent into another.
#[test]
fn names_that_climb_stay_inside_or_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let (mut refused, mut inside) = (0, 0);
    let odd = Odd::default();
    let files_of = |files: &'static [&'static str]| Odd { files, ..Odd::default() };
    let attacks = [
        files_of(&["../../evil"]),
        files_of(&["a/../../../../evil"]),
        files_of(&["/evil"]),
        files_of(&["/tmp/evil-extract"]),
        files_of(&[".."]),
        files_of(&["a/.."]),
        files_of(&["a\\..\\..\\evil"]),
        files_of(&["c:/evil"]),
        files_of(&["a", "a/b"]),
        files_of(&["a/b", "a"]),
        files_of(&["x", "../x"]),
        files_of(&["a//b"]),
        Odd { app: "../../evil", ..Odd::default() },
        Odd { app: "a/b", ..Odd::default() },
        Odd { app: "-rf", ..Odd::default() },
        Odd { app: "..", ..Odd::default() },
        Odd { chart: ("../../evil", "1.0.0"), ..Odd::default() },
        Odd { chart: ("web", "1.0.0/../../../evil"), ..Odd::default() },
        Odd { chart: ("/evil", "1"), ..Odd::default() },
        Odd { manifest: Some("manifests/../../../evil"), ..Odd::default() },
        Odd { manifest: Some("/evil"), ..Odd::default() },
        Odd { manifest: Some("manifests//evil"), ..Odd::default() },
        Odd { app: "../../evil", manifest: Some("manifests/a.yaml"), ..Odd::default() },
    ];
    for (at, attack) in attacks.iter().enumerate() {
        for plain in [false, true] {
            let deep = home.path().join(format!("{at}-{plain}"));
            let to = deep.join("x/y/out");
            fs::create_dir_all(deep.join("x/y")).unwrap();
            let archive = deep.join("a.tar");
            attack.write(&archive);
            let outcome = extract(&archive, &to, &[], |o| o.parts.plain = plain);
            match &outcome {
                Ok(_) => inside += 1,
                Err(failure) => {
                    refused += 1;
                    assert!(matches!(failure.kind, Kind::Untrusted | Kind::Other), "{at}: {failure}");
                    assert!(!to.exists(), "{at}: something was written");
                }
            }
            let strays: Vec<String> = files(&deep).into_iter().filter(|file| file != "a.tar" && !file.starts_with("x/y/out/")).collect();
            assert!(strays.is_empty(), "{at}: {strays:?}");
        }
    }
    assert!(!Path::new("/evil").exists() && !Path::new("/tmp/evil-extract").exists());
    assert!(refused >= 36 && inside >= 4, "{refused} refused, {inside} inside");
    // A delivery's own name becomes that of a folder.
    let archive = home.path().join("named.tar");
    for name in ["../evil", "/evil", "a/b", "-x"] {
        Odd { name, ..Odd::default() }.write(&archive);
        let failure = extract(&archive, Path::new("unused"), &[], |o| o.folder = None).unwrap_err();
        assert_eq!(failure.kind, Kind::Untrusted, "{name}: {failure}");
    }
    // And one that nothing is wrong with is extracted.
    odd.write(&archive);
    extract(&archive, &home.path().join("good"), &[], |_| ()).unwrap();
}

#[test]
fn nothing_is_overwritten_and_nothing_half_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Odd::default().write(&at("a.tar"));
    fs::create_dir(at("out")).unwrap();
    fs::write(at("out/mine"), "mine").unwrap();
    extract(&at("a.tar"), &at("out"), &[], |o| o.parts.values = true).unwrap();
    assert_eq!(files(&at("out")), ["mine", "values/web.yaml"], "a folder that is there is used");
    for (change, wanted) in [
        ((|o| o.parts.values = true) as fn(&mut ExtractOptions), "out/values"),
        (|o| o.parts = Parts { charts: true, values: true, ..Parts::default() }, "out/values"),
    ] {
        let failure = extract(&at("a.tar"), &at("out"), &[], change).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.to_string().contains(wanted) && failure.to_string().contains("nothing is overwritten"), "{failure}");
        assert_eq!(files(&at("out")), ["mine", "values/web.yaml"]);
    }
    // A link in the place of what is to be written is not followed either.
    #[cfg(unix)]
    {
        fs::create_dir(at("linked")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere"), at("linked/values")).unwrap();
        assert_eq!(extract(&at("a.tar"), &at("linked"), &[], |o| o.parts.values = true).unwrap_err().kind, Kind::Usage);
        assert!(!at("elsewhere").exists());
    }
    assert_eq!(extract(&at("a.tar"), &at("a.tar"), &[], |_| ()).unwrap_err().to_string(), format!("`{}` is no folder", at("a.tar").display()));
}

#[test]
fn who_stops_it_finds_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar");
    Odd::default().write(&archive);
    let trust = TrustOptions { allow_unsigned: true, ..TrustOptions::default() };
    let to = folder.path().join("new/deep");
    let options = ExtractOptions { archive, trust, folder: Some(to), parts: Parts::default(), apps: Vec::new(), images: Vec::new(), platform: None };
    let ready = extract::prepare(&options, &Elsewhere::default(), &Silent).unwrap();
    let (_stop, asked) = watch::channel(true);
    let failure = ready.write(&asked, &(Arc::new(Silent) as _)).unwrap_err();
    assert_eq!(failure.to_string(), "interrupted");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "folders that were made are gone as well");
}

/// Between verifying and writing somebody may put other bytes there.
#[test]
fn an_archive_that_changes_meanwhile_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar");
    Odd::default().write(&archive);
    let trust = TrustOptions { allow_unsigned: true, ..TrustOptions::default() };
    for plain in [false, true] {
        let (bytes, to) = (fs::read(&archive).unwrap(), folder.path().join("out"));
        let parts = Parts { plain, ..Parts::default() };
        let options = ExtractOptions {
            archive: archive.clone(),
            trust: trust.clone(),
            folder: Some(to.clone()),
            parts,
            apps: Vec::new(),
            images: Vec::new(),
            platform: None,
        };
        let ready = extract::prepare(&options, &Elsewhere::default(), &Silent).unwrap();
        let at = bytes.windows(5).rposition(|window| window == b"arm64").unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&archive, changed).unwrap();
        let (_stop, asked) = watch::channel(false);
        let failure = ready.write(&asked, &(Arc::new(Silent) as _)).unwrap_err();
        assert_eq!(failure.kind, Kind::Untrusted);
        assert!(failure.to_string().contains("the archive has changed meanwhile"), "{failure}");
        assert!(!to.exists());
        fs::write(&archive, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_alone_gives_what_it_has_and_names_what_it_lacks() {
    let product = Product::new().await;
    docker_archive(&product.path("d/0.tar"), APP, &[1, 2, 4]);
    product.export("1.1", "delta.tar", Shape { base: Some(product.path("a.tar")), ..Shape::default() }).await;
    let failure = product.extract("delta.tar", "out", |_| ()).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    let told = failure.to_string();
    assert!(told.starts_with("3 layers (") && told.contains("made over product 1.0 (sha256:"), "{told}");
    for seed in [1, 2, 3] {
        assert!(told.contains(Digest::of(&crate::delta::layer(seed)).as_str()), "{told}");
    }
    assert!(told.contains("of r.dev/app:1.0, r.dev/side:1") && failure.hints[0].contains("--base"), "{told}");
    assert!(!product.path("out").exists());
    product.extract("delta.tar", "charts", |o| o.parts.charts = true).unwrap();
    // With its base it is what the whole would be.
    extract(&product.path("delta.tar"), &product.path("out"), &[product.path("a.tar")], |_| ()).unwrap_or_else(|error| panic!("{error}"));
    product.export("1.1", "whole.tar", Shape::default()).await;
    product.extract("whole.tar", "whole", |_| ()).unwrap();
    assert!(fs::read(product.path("out/images.tar")).unwrap() == fs::read(product.path("whole/images.tar")).unwrap());
    assert_eq!(files(&product.path("out")), files(&product.path("whole")));
}

#[test]
fn an_archive_in_volumes_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    sample::build("1").write(&at("a.tar"), None);
    sample::build("1").write_in(&at("cut.tar"), None, "30kB".parse().ok());
    fs::create_dir(at("elsewhere")).unwrap();
    fs::rename(at("cut.tar.002"), at("elsewhere/cut.tar.002")).unwrap();
    extract(&at("a.tar"), &at("whole"), &[], |_| ()).unwrap_or_else(|error| panic!("{error}"));
    let elsewhere = Elsewhere { volumes: vec![at("elsewhere")], ..Elsewhere::default() };
    let trust = TrustOptions { allow_unsigned: true, ..TrustOptions::default() };
    let (archive, to) = (at("cut.tar.001"), Some(at("joined")));
    let options = ExtractOptions { archive, trust, folder: to, parts: Parts::default(), apps: Vec::new(), images: Vec::new(), platform: None };
    let (_stop, asked) = watch::channel(false);
    extract::prepare(&options, &elsewhere, &Silent).unwrap().write(&asked, &(Arc::new(Silent) as _)).unwrap();
    assert_eq!(files(&at("whole")), files(&at("joined")));
    for path in files(&at("whole")) {
        assert!(fs::read(at("whole").join(&path)).unwrap() == fs::read(at("joined").join(&path)).unwrap(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_loads_the_images() {
    let (Some(dockerd), Some(docker)) = (tool("dockerd"), tool("docker")) else { return };
    let product = Product::new().await;
    product.extract("a.tar", "out", |o| o.parts = images(ImageFormat::DockerArchive)).unwrap();
    let at = |name: &str| product.path(name).display().to_string();
    let host = format!("unix://{}", at("sock"));
    let dockerd = [dockerd.to_str().unwrap(), "--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid"), "-H", &host];
    let _daemon = Daemon::start(&[dockerd.as_slice(), &["--iptables=false", "--bridge=none", "--storage-driver=vfs"]].concat(), &product.path("log"));
    let docker = |args: &[&str]| finish(Command::new(&docker).env("HOME", product.folder.path()).args(["-H", &host]).args(args));
    eventually(60, || if docker(&["version"]).code == 0 { Ok(()) } else { Err(fs::read_to_string(at("log")).unwrap_or_default()) });
    docker(&["load", "-q", "-i", &at("out/images.tar")]).ok();
    let names = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    assert!([APP, SIDE].iter().all(|name| names.lines().any(|found| found == *name)), "{names}");
}

/// A program that writes down how it was called, a line a word.
fn recorder(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\nfor word do printf '%s\\n' \"$word\"; done >> '{}'\n", folder.join(format!("{name}.log")).display())).unwrap();
    run(Command::new("chmod").args(["+x", path.to_str().unwrap()]));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_folder_installs_in_order_with_helm_and_ctr() {
    let product = Product::new().await;
    product.extract("a.tar", "plain", |o| o.parts.plain = true).unwrap_or_else(|error| panic!("{error}"));
    let plain = product.path("plain");
    assert_eq!(
        files(&plain),
        [
            "SHA256SUMS",
            "charts/glue-1.0.tgz",
            "charts/web-1.2.3+build.4.tgz",
            "files/delivery.yaml",
            "files/docs/runbook.txt",
            "files/shared/notes.txt",
            "files/web.yaml",
            "images.tar",
            "install.sh",
            "values/web.yaml"
        ]
    );
    let (helm, ctr) = (recorder(product.folder.path(), "helm"), recorder(product.folder.path(), "ctr"));
    let log = |name: &str| fs::read_to_string(product.path(&format!("{name}.log"))).unwrap_or_default();
    for shell in ["sh", "dash", "bash"].iter().filter_map(|name| tool_on_path(name)) {
        let script = |arguments: &[&str]| {
            let mut command = Command::new(&shell);
            // From elsewhere: the script finds its folder.
            command.arg(plain.join("install.sh")).args(arguments).current_dir("/").env("HELM", &helm).env("CTR", format!("{} --address x", ctr.display()));
            finish(&mut command)
        };
        for name in ["helm.log", "ctr.log"] {
            let _ = fs::remove_file(product.path(name));
        }
        script(&[]).ok();
        let install = |release: &str, chart: &str| {
            format!("upgrade\n{release}\ncharts/{chart}\n--install\n--namespace\nshop\n--create-namespace\n--wait\n--timeout\n10m\n")
        };
        let wanted = format!("{}--values\nvalues/web.yaml\n{}", install("web", "web-1.2.3+build.4.tgz"), install("glue", "glue-1.0.tgz"));
        assert_eq!(log("helm"), wanted, "web goes before glue, which depends on it");
        assert_eq!(log("ctr"), "--address\nx\n-n\nk8s.io\nimages\nimport\nimages.tar\n");
        script(&["images"]).ok();
        assert_eq!(log("helm"), wanted, "a node needs no helm");
        script(&["nonsense"]).code(2);
        let values = fs::read(plain.join("values/web.yaml")).unwrap();
        fs::write(plain.join("values/web.yaml"), "a: b\n").unwrap();
        script(&[]).code(1).says("the files are not those of SHA256SUMS");
        fs::write(plain.join("values/web.yaml"), values).unwrap();
    }
    run(Command::new("sha256sum").args(["-c", "--strict", "SHA256SUMS"]).current_dir(&plain));
    for helm in ["helm3", "helm4"].iter().filter_map(|name| tool(name)) {
        let render = |chart: &str| {
            let args = ["template", "glue", chart, "--namespace", "shop"];
            run(Command::new(&helm).env("HOME", product.folder.path()).args(args).current_dir(&plain))
        };
        let glue = render("charts/glue-1.0.tgz");
        for source in ["d/k8s/a.yaml", "d/k8s/sub/b.yml"] {
            let text = fs::read_to_string(product.path(source)).unwrap();
            assert!(glue.contains(text.trim_end()), "{source} in {glue}");
        }
        assert!(!glue.contains("Nothing"), "{glue}");
        // No cluster is there; the command is one that helm takes.
        let mut script = Command::new("sh");
        script.arg(plain.join("install.sh")).arg("apps").env("HELM", &helm).env("KUBECONFIG", "/nowhere").env("HOME", product.folder.path());
        finish(&mut script).code(1).says("cluster unreachable");
        run(Command::new(&helm).env("HOME", product.folder.path()).args(["lint", "--with-subcharts", "charts/glue-1.0.tgz"]).current_dir(&plain));
    }
}

pub(crate) fn tool_on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[test]
fn the_command_line_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    Odd::default().write(&folder.path().join("a.tar"));
    let program = Program::new(folder.path());
    // Nobody signed it.
    program.run(&["extract", "a.tar"]).code(3);
    assert_eq!(files(folder.path()), ["a.tar"]);
    let told = program.run(&["extract", "a.tar", "--allow-unsigned"]).ok().stdout;
    assert!(told.contains("odd-1.0: odd 1.0, NOT signed") && told.contains("charts/web-1.0.0.tgz"), "{told}");
    let out = program.run(&["extract", "a.tar", "--allow-unsigned", "--images", "oci", "--image", "r.dev/both:1", "-o", "o", "--format", "json"]).ok().json();
    assert_eq!(
        (&out["written"][0]["path"], &out["written"][0]["of"], &out["signature"]["standing"]),
        (&json!("images"), &json!(["r.dev/both:1"]), &json!("unsigned"))
    );
    program.run(&["extract", "a.tar", "--allow-unsigned"]).code(2).says("nothing is overwritten");
    program.run(&["extract", "-", "--allow-unsigned"]).code(2).says("a stream cannot be extracted");
    program.run(&["extract", "a.tar", "--allow-unsigned", "--images", "squashfs"]).code(2).says("docker-archive");
    program.run(&["extract", "a.tar", "--allow-unsigned", "--plain", "--charts"]).code(2);
    program.run(&["extract", "a.tar", "--allow-unsigned", "--image", "Not An Image"]).code(2);
}
