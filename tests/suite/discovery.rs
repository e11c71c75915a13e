//! Which images are found, and why: the cases that other tools miss.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use offline::{
    delivery::{Delivery, record::Source},
    failure::{Failure, Kind},
    ops::{
        ChartAccess,
        export::{self, ExportOptions},
        images::{self, ImagesOptions, ImagesOutcome},
        read_delivery,
    },
    progress::Silent,
};
use tempfile::TempDir;

use crate::support::registry::{Registry, Setup};

/// A folder with charts and a delivery.
struct Bench(TempDir);

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    /// A chart `web` in `web/` with one template.
    fn chart(values: &str, template: &str) -> Self {
        Self::new(&[
            ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: 2.5.0\n"),
            ("web/values.yaml", values),
            ("web/templates/web.yaml", template),
        ])
    }

    fn delivery(&self, app: &str, rest: &str) -> Delivery {
        let path = self.0.path().join("delivery.yaml");
        let text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\nspec:\n{rest}  apps:\n  - name: web\n    chart: {{path: web}}\n{app}"
        );
        fs::write(&path, text).unwrap();
        read_delivery(&path).unwrap_or_else(|error| panic!("{error}"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn list(delivery: &Delivery, options: ImagesOptions) -> Result<ImagesOutcome, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(images::run(delivery, &ChartAccess::default(), options, Arc::new(Silent)))
}

/// Images, each with whether it is a guess.
#[track_caller]
fn found(delivery: &Delivery) -> BTreeMap<String, bool> {
    let outcome = list(delivery, ImagesOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    outcome.images.into_iter().map(|line| (line.reference.to_string(), line.guess)).collect()
}

fn want(images: &[(&str, bool)]) -> BTreeMap<String, bool> {
    images.iter().map(|(image, guess)| ((*image).to_owned(), *guess)).collect()
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: web\n    image: ";

#[test]
fn a_chart_whose_workloads_are_all_hooks() {
    let hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, annotations: {helm.sh/hook: pre-install}}\nspec: {template: {spec: {initContainers: [{name: i, image: 'busybox:1'}], containers: [{name: a, image: 'quay.io/acme/a:1'}]}}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b, annotations: {helm.sh/hook: 'pre-install,pre-upgrade'}}\nspec: {template: {spec: {containers: [{name: b, image: 'quay.io/acme/b:1'}]}}}\n";
    let bench = Bench::chart("", hook);
    assert_eq!(found(&bench.delivery("", "")), want(&[("docker.io/library/busybox:1", false), ("quay.io/acme/a:1", false), ("quay.io/acme/b:1", false)]));
}

#[test]
fn init_containers_that_only_a_helper_names() {
    let bench = Bench::chart("", &format!("{POD}quay.io/acme/web:1\n{{{{ include \"wait\" . | indent 2 }}}}\n"));
    fs::write(
        bench.path().join("web/templates/_helpers.tpl"),
        "{{- define \"wait\" -}}\ninitContainers:\n- {name: wait, image: 'groundnuty/k8s-wait-for:v1.6'}\n{{- end }}\n",
    )
    .unwrap();
    assert_eq!(found(&bench.delivery("", "")), want(&[("docker.io/groundnuty/k8s-wait-for:v1.6", false), ("quay.io/acme/web:1", false)]));
}

#[test]
fn images_that_are_passed_to_an_operator() {
    let bench = Bench::chart(
        "",
        &format!(
            "{POD}quay.io/acme/operator:1\n    args: ['--sidecar-image=quay.io/acme/sidecar:2', '--listen=web.shop.svc:8080']\n    env: [{{name: WORKER_IMAGE, value: 'acme/worker:3'}}, {{name: URL, value: 'http://acme/worker:4'}}]\n"
        ),
    );
    let delivery = bench.delivery("", "");
    assert_eq!(found(&delivery), want(&[("docker.io/acme/worker:3", true), ("quay.io/acme/operator:1", false), ("quay.io/acme/sidecar:2", true)]));
    let outcome = list(&delivery, ImagesOptions::default()).unwrap();
    let sidecar = outcome.images.iter().find(|line| line.reference.repository() == "acme/sidecar").unwrap();
    assert_eq!(sidecar.origins[0].source, Source::Text);
    assert!(sidecar.reason.as_ref().unwrap().contains("--sidecar-image"), "{:?}", sidecar.reason);
}

#[test]
fn what_a_definition_gives_to_resources_that_name_no_image() {
    let definition = |name: &str, image: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {name}}}\nspec:\n  names: {{kind: Broker}}\n  versions:\n  - schema:\n      openAPIV3Schema:\n        properties:\n          spec:\n            properties:\n              image:\n                default: {image}\n"
        )
    };
    let bench = Bench::new(&[
        ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3\n"),
        ("web/crds/a.yaml", &definition("a", "rabbitmq:3.8-management")),
        ("web/templates/b.yaml", &definition("b", "quay.io/acme/broker:2")),
        ("web/templates/web.yaml", &format!("{POD}quay.io/acme/operator:1\n")),
    ]);
    let delivery = bench.delivery("", "");
    let expected = [("docker.io/library/rabbitmq:3.8-management", true), ("quay.io/acme/broker:2", true), ("quay.io/acme/operator:1", false)];
    assert_eq!(found(&delivery), want(&expected));
    let outcome = list(&delivery, ImagesOptions::default()).unwrap();
    let broker = &outcome.images[1];
    assert_eq!(broker.reason.as_deref(), Some("a Broker that leaves spec.image out gets it"));
    assert_eq!((broker.origins[0].template.as_deref(), broker.origins[0].source), (Some("web/templates/b.yaml"), Source::Operator));
}

const SWITCHED: &str =
    "{{ if .Values.global.cn }}{{ .Values.global.registryForMirrorCN }}{{ else }}{{ .Values.global.registry }}{{ end }}/web:{{ .Values.tag }}\n";

#[test]
fn cn_and_global_registry_switches() {
    let values = "global: {cn: false, registry: quay.io/acme, registryForMirrorCN: ccr.ccs.example.com/acme}\ntag: v1\nsidecar: {image: {repository: side/car, tag: '2'}}\n";
    let bench = Bench::chart(values, &format!("{POD}{SWITCHED}"));
    let delivery = bench.delivery("", "");
    assert_eq!(found(&delivery), want(&[("quay.io/acme/side/car:2", true), ("quay.io/acme/web:v1", false)]));
    let explored = list(&delivery, ImagesOptions { explore: true, ..ImagesOptions::default() }).unwrap().explored;
    let short: Vec<_> = explored.iter().map(|one| (one.reference.to_string(), one.switches.join(" "))).collect();
    assert_eq!(short, [("ccr.ccs.example.com/acme/web:v1".to_owned(), "global.cn=true".to_owned())]);
    let both = found(&bench.delivery("    profiles: [{name: cn, set: {global.cn: true}}]\n", ""));
    assert!(both.contains_key("ccr.ccs.example.com/acme/web:v1") && both.contains_key("quay.io/acme/web:v1"), "{both:?}");
}

#[test]
fn repository_without_tag_and_version_instead_of_tag() {
    let values = "image: {repository: acme/web, tag: ''}\nextra: {enabled: false, image: {repository: acme/extra, version: v7}}\nplain: {enabled: false, image: {repository: acme/plain}}\n";
    let template = format!("{POD}{{{{ .Values.image.repository }}}}:{{{{ .Values.image.tag | default .Chart.AppVersion }}}}\n");
    let delivery = Bench::chart(values, &template);
    let found = found(&delivery.delivery("", ""));
    assert_eq!(found, want(&[("docker.io/acme/extra:v7", true), ("docker.io/acme/plain:2.5.0", true), ("docker.io/acme/web:2.5.0", false)]));
}

#[test]
fn every_cluster_that_is_named_is_rendered() {
    let template = format!(
        "{POD}{{{{ if semverCompare \"<1.25\" .Capabilities.KubeVersion.Version }}}}a/old:1{{{{ else }}}}a/new:1{{{{ end }}}}\n{{{{ if .Capabilities.APIVersions.Has \"x.io/v1\" }}}}  - {{name: x, image: 'a/x:1'}}\n{{{{ end }}}}"
    );
    let bench = Bench::chart("", &template);
    assert_eq!(found(&bench.delivery("", "")), want(&[("docker.io/a/new:1", false)]));
    let delivery = bench.delivery("", "  install: {kubernetesVersions: ['1.24', '1.31'], apiVersions: [x.io/v1]}\n");
    assert_eq!(found(&delivery), want(&[("docker.io/a/new:1", false), ("docker.io/a/old:1", false), ("docker.io/a/x:1", false)]));
    let outcome = list(&delivery, ImagesOptions::default()).unwrap();
    assert_eq!(outcome.images[0].origins[0].cluster.as_deref(), Some("Kubernetes 1.31"));
}

/// The names are part of the evidence, and its hash of the lock: with other names each time no locked export would ever fit.
#[test]
fn names_made_by_chance_and_of_the_time_are_the_same_each_time() {
    let named = "{{ randAlphaNum 5 | lower }}-{{ uuidv4 }}-{{ now | unixEpoch }}-{{ (genCA `a` 1).Key | sha256sum | trunc 8 }}-{{ bcrypt `a` | sha256sum | trunc 8 }}-{{ genPrivateKey `ecdsa` | sha256sum | trunc 8 }}";
    let pod = format!("{POD}quay.io/acme/web:1\n").replace("{name: web}", &format!("{{name: '{named}'}}"));
    let bench = Bench::chart("", &pod);
    let delivery = bench.delivery("", "");
    let objects = || {
        let images = list(&delivery, ImagesOptions::default()).unwrap().images;
        images.iter().flat_map(|line| line.origins.iter().filter_map(|origin| origin.object.clone())).collect::<Vec<_>>()
    };
    let first = objects();
    assert!(first.len() == 1 && first[0].contains("-1704067200-"), "{first:?}");
    assert_eq!(first, objects());
}

#[test]
fn an_author_s_list_is_proof_and_excluded_images_stay_out() {
    let bench = Bench::chart("", &format!("{POD}quay.io/acme/web:1\n"));
    let chart = "apiVersion: v2\nname: web\nversion: 1.2.3\nannotations:\n  artifacthub.io/images: |\n    - name: tool\n      image: quay.io/acme/tool:1\n    - image: quay.io/acme/tests:1\n";
    fs::write(bench.path().join("web/Chart.yaml"), chart).unwrap();
    let delivery = bench.delivery("    images: {exclude: ['*/tests:*']}\n", "");
    assert_eq!(found(&delivery), want(&[("quay.io/acme/tool:1", false), ("quay.io/acme/web:1", false)]));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let bench = Bench::chart("", &format!("{POD}a/UPPER:1\n{{{{ if .Values.broken }}}}{{{{ fail \"no way\" }}}}{{{{ end }}}}\n"));
    let delivery = bench.delivery("    profiles: [{name: p, set: {broken: true}}]\n", "  images: [{ref: 'registry.invalid/none:1'}]\n");
    let failure = list(&delivery, ImagesOptions::default()).unwrap_err();
    let text = failure.to_string();
    assert!(failure.kind == Kind::Usage && text.contains("a/UPPER:1") && text.contains("profile p") && text.contains("no way"), "{text}");
    let text = list(&delivery, ImagesOptions { resolve: true, ..ImagesOptions::default() }).unwrap_err().to_string();
    assert!(text.contains("a/UPPER:1") && text.contains("no way") && text.contains("registry.invalid/none:1"), "{text}");
}

#[test]
fn why_shows_the_very_lines() {
    let bench = Bench::chart(
        "# c\nside:\n  image: acme/side:2\nimage: {repository: quay.io/acme/web, tag: v1}\n",
        &format!("{POD}\"{{{{ .Values.image.repository }}}}:{{{{ .Values.image.tag }}}}\"\n"),
    );
    let delivery = bench.delivery("", "  images: [{ref: 'quay.io/acme/web:v1'}]\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let why = |wanted: &str| runtime.block_on(images::why(&delivery, &ChartAccess::default(), wanted, Arc::new(Silent)));
    let shown = why("acme/web").unwrap_or_else(|error| panic!("{error}"));
    let lines: Vec<_> = shown.images[0]
        .lines
        .iter()
        .map(|line| (line.file.clone().unwrap().rsplit('/').next().unwrap().to_owned(), line.line, line.text.clone().unwrap()))
        .collect();
    let said = "image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"";
    assert!(lines.contains(&("web.yaml".to_owned(), Some(7), said.to_owned())), "{lines:?}");
    assert!(lines.contains(&("values.yaml".to_owned(), Some(4), "image: {repository: quay.io/acme/web, tag: v1}".to_owned())), "{lines:?}");
    assert!(lines.iter().any(|(file, line, _)| file == "delivery.yaml" && *line == Some(5)), "{lines:?}");
    assert!(shown.images[0].lines.iter().any(|line| line.rendered.as_deref() == Some("image: \"quay.io/acme/web:v1\"")), "{shown:?}");
    assert_eq!(why("side").unwrap().images[0].lines[0].line, Some(3));
    assert_eq!(why("nothing").unwrap_err().kind, Kind::Usage);
}

#[test]
fn guesses_are_confirmed_and_then_decided() {
    let registry = Registry::start(Setup::default());
    let layout = crate::registry::Layout::new();
    registry.push(layout.path(), "app", "app:1");
    registry.push(layout.path(), "app", "side:1");
    let host = &registry.host;
    let bench =
        Bench::chart("", &format!("{POD}{host}/app:1\n    env: [{{name: SIDE_IMAGE, value: '{host}/side:1'}}, {{name: NO_IMAGE, value: '{host}/none:1'}}]\n"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let export = |app: &str, ask: Option<bool>| {
        let agent = offline::cluster::nodes::AgentBinary { platform: offline::oci::Platform::linux_amd64(), loader: "l".into(), agent: "a".into() };
        let options = ExportOptions {
            delivery: bench.delivery(app, ""),
            output: Some(bench.path().join("a.tar")),
            signer: None,
            platforms: None,
            access: ChartAccess::default(),
            agents: vec![agent],
            dry_run: true,
            locked: false,
            ask: ask.map(|answer| -> offline::ops::Ask { Arc::new(move |_| Ok(answer)) }),
        };
        runtime.block_on(export::run(options, Arc::new(Silent)))
    };
    let failure = export("", None).unwrap_err();
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("/side:1") && !failure.to_string().contains("/none:1"), "{failure}");
    for (app, ask, taken, left) in
        [("", Some(true), 2, 0), ("", Some(false), 1, 1), ("    images: {guesses: take}\n", None, 2, 0), ("    images: {guesses: leave}\n", None, 1, 2)]
    {
        let outcome = export(app, ask).unwrap_or_else(|error| panic!("{app}: {error}"));
        assert_eq!((outcome.images.len(), outcome.left.len()), (taken, left), "{app} {ask:?}");
    }
    assert_eq!(export("    images: {guesses: fail}\n", Some(true)).unwrap_err().kind, Kind::Usage);
    let shown = list(&bench.delivery("", ""), ImagesOptions { resolve: true, ..ImagesOptions::default() }).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((shown.images.len(), shown.dropped.len()), (2, 1));
    assert!(shown.images.iter().all(|line| line.digest.as_ref() == Some(&layout.index) && line.size.is_some()), "{shown:?}");
}
