//! The plain folder where it is installed: its script before a real containerd and a real helm, and what images are called there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use offline::{
    cluster::nodes::AgentBinary,
    oci::Platform,
    ops::{
        ChartAccess,
        export::{self, ExportOptions},
        extract::ExtractOutcome,
        read_delivery,
    },
    progress::Silent,
};

use crate::{
    containerd_images::Containerd,
    delta::docker_archive,
    extracting::{self, Product},
    interop::tool,
    support::{finish, run},
};

const REGISTRY: &str = "registry.shop/mirror";

/// The names of the images in the folder.
fn names(plain: &Path) -> BTreeSet<String> {
    let mut tar = tar::Archive::new(fs::File::open(plain.join("images.tar")).unwrap());
    let entry = tar.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_reader(entry).unwrap();
    let name = |root: &serde_json::Value| root["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned();
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

/// Runs the script's first half. Unpacking needs rights over mounts that a test need not have.
fn import(containerd: &Containerd, plain: &Path) {
    let root = run(Command::new("id").arg("-u")).trim() == "0";
    let (ctr, sock) = (containerd.ctr.display().to_string(), containerd.path("sock").display().to_string());
    let mut ctr = format!("{ctr} --address {sock}");
    if !root {
        let importer = containerd.path("importer");
        fs::write(&importer, format!("#!/bin/sh\nfor last do :; done\nexec {ctr} -n k8s.io images import --no-unpack \"$last\"\n")).unwrap();
        run(Command::new("chmod").args(["+x", importer.to_str().unwrap()]));
        ctr = importer.display().to_string();
    }
    run(Command::new("sh").arg(plain.join("install.sh")).arg("images").env("CTR", ctr));
    if root {
        let told = containerd.ctr("k8s.io", &["images", "check"]);
        let images: Vec<&str> = told.lines().skip(1).collect();
        assert!(!images.is_empty() && images.iter().all(|line| line.contains("complete (") && line.trim_end().ends_with("true")), "{told}");
    }
}

fn imported(containerd: &Containerd) -> BTreeSet<String> {
    containerd.ctr("k8s.io", &["images", "ls", "-q"]).lines().map(str::to_owned).collect()
}

/// The names that a kubelet asks for are there, and can be run.
#[tokio::test(flavor = "multi_thread")]
async fn containerd_has_the_names_that_pods_ask_for() {
    let product = Product::new().await;
    product.extract("a.tar", "plain", |o| o.parts.plain = true).unwrap();
    let archive = offline::archive::open(&product.path("a.tar")).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
    let both = |(name, image): &(offline::oci::Reference, offline::oci::Descriptor)| [name.to_string(), name.by_digest(image.digest.clone()).to_string()];
    let wanted: BTreeSet<String> = archive.images().iter().flat_map(both).collect();
    for (containerd, ctr) in [("containerd", "ctr"), ("containerd2", "ctr2")] {
        let Some(containerd) = Containerd::start(containerd, ctr) else { continue };
        import(&containerd, &product.path("plain"));
        assert_eq!(imported(&containerd), wanted);
    }
}

/// A delivery whose images are called otherwise on the other side: a chart with a key for that, one without, plain manifests, and an image that nobody names.
struct Shop {
    folder: tempfile::TempDir,
    outcome: ExtractOutcome,
}

const MOVING: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  containers:\n  - {name: a, image: '{{ .Values.global.imageRegistry | default \"r.dev\" }}/app:1.0', args: [{{ .Values.greeting | quote }}]}\n  - {name: b, image: '{{ .Values.global.imageRegistry | default \"r.dev\" }}/shared:1'}\n";
const FIXED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  containers:\n  - {name: a, image: 'r.dev/fixed:1'}\n";
const MORE: &str = "{{ if .Values.more }}\napiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  containers:\n  - {name: a, image: 'r.dev/shared:1'}\n{{ end }}\n";
const GLUE: &str = "# two in one file\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: braces}\ndata: {text: '{{ .Values.none }} \"x\"'}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: side}\nspec: {containers: [{name: b, image: 'r.dev/side:1'}]}\n";

impl Shop {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (path, text) in [
            ("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            ("charts/web/values.yaml", "greeting: hello\nglobal: {imageRegistry: ''}\n"),
            ("charts/web/templates/web.yaml", MOVING),
            ("charts/fixed/Chart.yaml", "apiVersion: v2\nname: fixed\nversion: 1.0.0\n"),
            ("charts/fixed/templates/fixed.yaml", FIXED),
            ("charts/more/Chart.yaml", "apiVersion: v2\nname: more\nversion: 1.0.0\n"),
            ("charts/more/templates/more.yaml", MORE),
            ("k8s/all.yaml", GLUE),
        ] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        }
        for (number, (name, layers)) in
            [("r.dev/app:1.0", &[1, 2][..]), ("r.dev/side:1", &[1, 3]), ("r.dev/fixed:1", &[1]), ("r.dev/alone:1", &[2]), ("r.dev/shared:1", &[3])]
                .iter()
                .enumerate()
        {
            docker_archive(&at(&format!("{number}.tar")), name, layers);
        }
        let spec = format!(
            "  platforms: [linux/amd64]\n  registry: {REGISTRY}\n  apps:\n  - {{name: web, namespace: shop, chart: {{path: charts/web}}, set: {{greeting: it's}}}}\n  - {{name: fixed, namespace: shop, chart: {{path: charts/fixed}}}}\n  - {{name: more, namespace: shop, chart: {{path: charts/more}}, profiles: [{{name: more, set: {{more: true}}}}]}}\n  - {{name: glue, namespace: shop, dependsOn: [web], manifests: [k8s]}}\n  images: [{{archive: 0.tar}}, {{archive: 1.tar}}, {{archive: 2.tar}}, {{archive: 3.tar}}, {{archive: 4.tar}}]\n"
        );
        fs::write(at("delivery.yaml"), format!("apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\nspec:\n{spec}")).unwrap();
        let options = ExportOptions {
            delivery: read_delivery(&at("delivery.yaml")).unwrap_or_else(|error| panic!("{error}")),
            output: Some(at("a.tar")),
            signer: None,
            platforms: None,
            access: ChartAccess::default(),
            agents: vec![AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() }],
            dry_run: false,
            locked: false,
            ask: None,
        };
        export::run(options, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
        let outcome = extracting::extract(&at("a.tar"), &at("plain"), &[], |o| o.parts.plain = true).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, outcome }
    }

    fn plain(&self) -> PathBuf {
        self.folder.path().join("plain")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_called_as_the_delivery_says() {
    let shop = Shop::new().await;
    let plain = shop.plain();
    let values = fs::read_to_string(plain.join("values/web.yaml")).unwrap();
    assert_eq!(values, format!("global:\n  imageRegistry: {REGISTRY}\ngreeting: it's\n"));
    assert!(!plain.join("values/fixed.yaml").exists());
    let found = names(&plain);
    let tags: Vec<&str> = found.iter().map(String::as_str).filter(|name| !name.contains('@')).collect();
    let wanted = ["r.dev/alone:1", "r.dev/fixed:1", "r.dev/shared:1"].into_iter().map(str::to_owned);
    let moved = ["alone:1", "app:1.0", "fixed:1", "shared:1", "side:1"].map(|name| format!("{REGISTRY}/{name}"));
    let wanted: Vec<String> = wanted.chain(moved).collect();
    assert_eq!(tags, wanted, "new names, and the original ones where no key moves them or nothing tells who asks");
    assert_eq!(found.len(), 2 * wanted.len(), "each by its digest as well: {found:?}");
    let note = &shop.outcome.notes[0];
    assert!(note.contains("spec.registry (registry.shop/mirror)") && note.contains("original names: r.dev/alone:1, r.dev/fixed:1, r.dev/shared:1"), "{note}");
    // Whatever helm makes of the folder asks for names that are there.
    for helm in ["helm3", "helm4"].iter().filter_map(|name| tool(name)) {
        let render = |release: &str, chart: &str, more: &[&str]| {
            run(Command::new(&helm).env("HOME", shop.folder.path()).args(["template", release, chart]).args(more).current_dir(&plain))
        };
        let web = render("web", "charts/web-1.0.0.tgz", &["--values", "values/web.yaml"]);
        assert!(web.contains("'registry.shop/mirror/app:1.0'") && web.contains("it's"), "{web}");
        assert!(render("fixed", "charts/fixed-1.0.0.tgz", &[]).contains("'r.dev/fixed:1'"));
        let glue = render("glue", "charts/glue-1.0.tgz", &[]);
        assert!(glue.contains("registry.shop/mirror/side:1") && !glue.contains("r.dev/") && glue.contains("'{{ .Values.none }} \"x\"'"), "{glue}");
    }
    run(Command::new("sha256sum").args(["-c", "--strict", "SHA256SUMS"]).current_dir(&plain));
    for (containerd, ctr) in [("containerd", "ctr"), ("containerd2", "ctr2")] {
        let Some(containerd) = Containerd::start(containerd, ctr) else { continue };
        import(&containerd, &plain);
        assert_eq!(imported(&containerd), found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_what_shellcheck_and_helm_want() {
    let shop = Shop::new().await;
    let script = shop.plain().join("install.sh");
    if let Some(shellcheck) = tool("shellcheck") {
        run(Command::new(shellcheck).args(["--shell=sh", "--severity=style", "--norc"]).arg(&script));
    }
    // Helm 4 goes all the way without a cluster, if it only says what it would do; helm 3 asks one for its version first.
    let Some(helm) = tool("helm4") else { return };
    let client = shop.folder.path().join("client");
    fs::write(&client, format!("#!/bin/sh\nexec '{}' \"$@\" --dry-run=client\n", helm.display())).unwrap();
    run(Command::new("chmod").args(["+x", client.to_str().unwrap()]));
    fs::write(shop.folder.path().join("none.yaml"), "[]\n").unwrap();
    let mut command = Command::new("sh");
    command.arg(&script).arg("apps").env("HELM", &client).env("HOME", shop.folder.path()).env("KUBECONFIG", "/nowhere");
    command.env("HELM_DRIVER", "memory").env("HELM_MEMORY_DRIVER_DATA", shop.folder.path().join("none.yaml"));
    let told = finish(&mut command).ok().stdout;
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("no `{text}` in {told}"));
    assert!(at("installing web into namespace shop") < at("registry.shop/mirror/app:1.0"));
    assert!(at("registry.shop/mirror/app:1.0") < at("installing glue into namespace shop"), "{told}");
    assert!(at("installing glue into namespace shop") < at("registry.shop/mirror/side:1"), "{told}");
}
