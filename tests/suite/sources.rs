//! Charts from repositories and registries on loopback, with helm as the one who makes them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::Engine as _;
use offline::oci::Digest;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Finished, Program,
    registry::{PASSWORD, Registry, Setup, USER},
    run,
    site::{Page, Seen, Site},
    tool,
};

/// A folder in which the program runs, with charts that helm packed.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn helm(&self, args: &[&str]) -> String {
        run(Command::new(tool("helm3")).env("HOME", self.folder.path()).current_dir(self.folder.path()).args(args))
    }

    /// A chart in a folder of the desk; `more` goes into Chart.yaml.
    fn chart(&self, folder: &str, name: &str, version: &str, more: &str) {
        let at = self.path(folder);
        fs::create_dir_all(at.join("templates")).unwrap();
        fs::write(at.join("Chart.yaml"), format!("apiVersion: v2\nname: {name}\nversion: {version}\n{more}")).unwrap();
        let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '{{{{ .Release.Name }}}}-{name}'}}\ndata: {{version: '{version}'}}\n");
        fs::write(at.join("templates/map.yaml"), object).unwrap();
    }

    /// Packs a chart into `repo/` and writes the index anew.
    fn publish(&self, name: &str, version: &str) -> PathBuf {
        let source = format!("src/{name}-{version}");
        self.chart(&source, name, version, "");
        self.helm(&["package", &source, "-d", "repo"]);
        self.helm(&["repo", "index", "repo"]);
        self.path(&format!("repo/{name}-{version}.tgz"))
    }

    /// Writes delivery.yaml with one app `web` for each chart given.
    fn deliver(&self, charts: &[&str], sources: &str) {
        let mut text = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec:\n  platforms: [linux/amd64]\n".to_owned();
        if !sources.is_empty() {
            text.push_str(&format!("  sources: {sources}\n"));
        }
        text.push_str("  apps:\n");
        for (i, chart) in charts.iter().enumerate() {
            text.push_str(&format!("  - {{name: web{i}, chart: {chart}}}\n"));
        }
        fs::write(self.path("delivery.yaml"), text).unwrap();
    }

    fn program(&self) -> Program {
        Program::new(self.folder.path())
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.program().run(args)
    }

    /// Exports to `a.tar` and returns the record of the first app.
    #[track_caller]
    fn export(&self) -> Value {
        self.run(&["export", "--allow-unsigned", "-o", "a.tar"]).ok();
        self.record()["apps"][0].clone()
    }

    /// The record in `a.tar`.
    fn record(&self) -> Value {
        let opened = offline::archive::open(&self.path("a.tar")).unwrap();
        let opened = opened.verify(&offline::archive::Trust::AllowUnsigned, &offline::progress::Silent).unwrap();
        serde_json::to_value(opened.record()).unwrap()
    }
}

fn digest(path: &Path) -> String {
    Digest::of(&fs::read(path).unwrap()).to_string()
}

/// Lets in who says the user and the password of the tests.
fn closed(request: &Seen) -> Option<Page> {
    let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}")));
    (request.headers.get("authorization") != Some(&wanted)).then(|| Page::status(401))
}

#[test]
fn a_chart_of_a_repository_travels_as_it_was_downloaded() {
    let desk = Desk::new();
    for version in ["1.2.0", "1.10.0", "2.0.0-rc.1"] {
        desk.publish("web", version);
    }
    let site = Site::folder(desk.path("repo"));
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
    let app = desk.export();
    assert_eq!((&app["source"]["version"], &app["source"]["origin"]["source"]), (&"1.10.0".into(), &site.url.as_str().into()));
    assert_eq!(app["source"]["digest"], digest(&desk.path("repo/web-1.10.0.tgz")).as_str());
    for (wanted, version) in [("~1.2", "1.2.0"), (">1-0", "2.0.0-rc.1"), ("1.2.0", "1.2.0")] {
        desk.deliver(&[&format!("{{repo: '{}', name: web, version: '{wanted}'}}", site.url)], "");
        assert_eq!(desk.export()["source"]["version"], version);
        let pulled = desk.helm(&["show", "chart", "web", "--repo", &site.url, "--version", wanted]);
        assert!(pulled.contains(&format!("version: {version}\n")), "helm takes the same: {pulled}");
    }
    desk.deliver(&[&format!("{{repo: '{}', name: web, version: ^3}}", site.url), &format!("{{repo: '{}', name: none}}", site.url)], "");
    let failed = desk.run(&["export", "--allow-unsigned"]).code(4);
    let failed = failed.says("app web0: chart \"web\" version \"^3\" not found in").says("the newest version there is 2.0.0-rc.1");
    failed.says("app web1: chart \"none\" not found in");
}

#[test]
fn a_chart_of_a_registry_travels_as_it_was_downloaded() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup { auth: true, tls: false }));
    desk.helm(&["registry", "login", &registry.host, "--plain-http", "-u", USER, "-p", PASSWORD]);
    let mut packed = PathBuf::new();
    for version in ["1.2.0", "1.3.0+build.7", "2.0.0-rc.1"] {
        packed = desk.publish("web", version);
        desk.helm(&["push", packed.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    }
    // Helm's own login counts.
    let oci = format!("oci://{}/charts/web", registry.host);
    desk.deliver(&[&format!("{{oci: '{oci}'}}")], "");
    let source = desk.export()["source"].clone();
    assert_eq!((source["version"].as_str(), source["origin"]["source"].as_str()), (Some("1.3.0+build.7"), Some(oci.as_str())));
    assert_eq!(source["digest"], digest(&desk.path("repo/web-1.3.0+build.7.tgz")).as_str());
    let manifest = source["origin"]["manifest"].as_str().unwrap().to_owned();
    for (chart, version) in [
        (format!("{{oci: '{oci}', version: ~1.2}}"), "1.2.0"),
        (format!("{{oci: '{oci}', version: 2.0.0-rc.1}}"), "2.0.0-rc.1"),
        (format!("{{oci: '{oci}:1.2.0'}}"), "1.2.0"),
        (format!("{{oci: '{oci}@{manifest}'}}"), "1.3.0+build.7"),
    ] {
        desk.deliver(&[&chart], "");
        assert_eq!(desk.export()["source"]["version"], version, "{chart}");
    }
    assert!(packed.exists());
    desk.deliver(&[&format!("{{oci: '{oci}', version: ^9}}")], "");
    desk.run(&["export", "--allow-unsigned"]).code(4).says("a version that fits \"^9\" not found in");
    fs::remove_dir_all(desk.path(".config/helm/registry")).unwrap();
    let failed = desk.run(&["export", "--allow-unsigned", "--no-cache"]).code(4).says("wants credentials");
    assert!(!failed.stderr.contains(PASSWORD));
}

#[test]
fn what_was_downloaded_is_kept_and_held_against_its_digest() {
    let desk = Desk::new();
    let packed = desk.publish("web", "1.0.0");
    let site = Site::with(desk.path("repo"), |request| {
        if request.headers.contains_key("if-none-match") {
            return Some(Page::status(304));
        }
        None
    });
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
    desk.export();
    assert_eq!(site.asked(), ["/index.yaml", "/web-1.0.0.tgz"]);
    desk.export();
    assert_eq!(site.asked(), ["/index.yaml"], "without validators the index is asked for anew");
    let kept = desk.path(".cache/kubectl-offline/sha256").join(digest(&packed).trim_start_matches("sha256:"));
    fs::write(&kept, "damaged").unwrap();
    desk.export();
    assert_eq!(site.asked(), ["/index.yaml", "/web-1.0.0.tgz"]);
    desk.run(&["export", "--allow-unsigned", "--no-cache", "-o", "b.tar"]).ok();
    assert_eq!(site.asked().len(), 2);
    assert_eq!(fs::read(desk.path("a.tar")).unwrap(), fs::read(desk.path("b.tar")).unwrap());
    // A server that tells when the index changes is not asked to send it again.
    let index = fs::read(desk.path("repo/index.yaml")).unwrap();
    let tagged = Site::with(desk.path("repo"), move |request| match request.headers.get("if-none-match") {
        Some(tag) if tag == "\"1\"" => Some(Page::status(304)),
        _ if request.path == "/index.yaml" => Some(Page { headers: vec![("ETag", "\"1\"".into())], ..Page::ok(index.clone()) }),
        _ => None,
    });
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", tagged.url)], "");
    desk.export();
    tagged.asked();
    desk.export();
    assert_eq!(tagged.seen()[0].headers.get("if-none-match").map(String::as_str), Some("\"1\""));
}

#[test]
fn passwords_go_to_their_own_host_only() {
    let desk = Desk::new();
    desk.publish("web", "1.0.0");
    let other = Site::folder(desk.path("repo"));
    let elsewhere = format!("{}/web-1.0.0.tgz", other.url);
    let site =
        Site::with(desk.path("repo"), move |request| closed(request).or_else(|| (request.path == "/web-1.0.0.tgz").then(|| Page::to(elsewhere.clone()))));
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
    desk.run(&["export", "--allow-unsigned"]).code(4).says("refuses without credentials").says("helm repo add");
    // Docker's config by host.
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    fs::create_dir_all(desk.path(".docker")).unwrap();
    fs::write(desk.path(".docker/config.json"), serde_json::json!({"auths": {site.host(): {"auth": login}}}).to_string()).unwrap();
    let finished = desk.run(&["--debug", "export", "--allow-unsigned", "--no-cache", "-o", "a.tar"]).ok();
    assert!(!finished.stderr.contains(PASSWORD) && !finished.stderr.contains(&login));
    assert!(other.seen().iter().all(|request| !request.headers.contains_key("authorization")), "the redirect carries no password");
    assert!(!fs::read(desk.path("a.tar")).unwrap().windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
    fs::remove_file(desk.path(".docker/config.json")).unwrap();
    // helm's repositories.yaml, by URL and by name.
    desk.helm(&["repo", "add", "corp", &site.url, "--username", USER, "--password", PASSWORD]);
    for chart in [format!("{{repo: '{}/', name: web}}", site.url), "{repo: '@corp', name: web}".to_owned()] {
        desk.deliver(&[&chart], "");
        desk.run(&["export", "--allow-unsigned", "--no-cache", "-o", "a.tar"]).ok();
    }
    desk.deliver(&["{repo: '@nobody', name: web}"], "");
    desk.run(&["export", "--allow-unsigned"]).code(2).says("no repository definition for @nobody. Please add them via 'helm repo add'");
    fs::write(desk.path(".config/helm/repositories.yaml"), fs::read_to_string(desk.path(".config/helm/repositories.yaml")).unwrap().replace(PASSWORD, "wrong"))
        .unwrap();
    desk.deliver(&["{repo: '@corp', name: web}"], "");
    desk.run(&["export", "--allow-unsigned"]).code(4).says("refuses user `me`: wrong password or no rights");
}

#[test]
fn mirrors_stand_for_repositories_too() {
    let desk = Desk::new();
    desk.publish("web", "1.0.0");
    let site = Site::folder(desk.path("."));
    desk.deliver(
        &["{repo: 'https://charts.invalid/repo', name: web}"],
        &format!("{{charts.invalid: {{mirror: '{}'}}, '{}': {{plainHTTP: true}}}}", site.host(), site.host()),
    );
    assert_eq!(desk.export()["source"]["origin"]["source"], "https://charts.invalid/repo");
    assert_eq!(site.asked(), ["/repo/index.yaml", "/repo/web-1.0.0.tgz"]);
}

#[test]
fn without_tls_only_where_that_is_said() {
    let desk = Desk::new();
    desk.deliver(&["{repo: 'http://charts.invalid', name: web}"], "");
    desk.run(&["export", "--allow-unsigned"]).code(4).says("would be asked without TLS").says("spec.sources.\"charts.invalid\".plainHTTP: true");
}

#[test]
fn what_may_pass_is_tried_again() {
    let desk = Desk::new();
    desk.publish("web", "1.0.0");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let site = Site::with(desk.path("repo"), move |request| {
        let busy = request.path == "/index.yaml" && counted.fetch_add(1, Ordering::SeqCst) < 2;
        busy.then(|| Page { headers: vec![("Retry-After", "0".into())], ..Page::status(503) })
    });
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
    desk.export();
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn hostile_repositories_end_in_an_error() {
    let desk = Desk::new();
    let packed = desk.publish("web", "1.0.0");
    let index = fs::read_to_string(desk.path("repo/index.yaml")).unwrap();
    let digest = digest(&packed);
    let other = index.replace(digest.trim_start_matches("sha256:"), &"0".repeat(64));
    let (circle, oversized, evil) = (Page::to("/again"), Page { endless: true, ..Page::ok(vec![b'x'; 1 << 20]) }, evil_chart());
    let with = |index: String, chart: Option<Page>| {
        Site::with(desk.path("repo"), move |request| match request.path.as_str() {
            "/index.yaml" => Some(Page::ok(index.clone())),
            "/web-1.0.0.tgz" => chart.clone(),
            "/again" => Some(Page::to("/again")),
            _ => None,
        })
    };
    let without_digest = index.lines().filter(|line| !line.contains("digest:")).map(|line| format!("{line}\n")).collect::<String>();
    let cases = [
        (with(other, None), "has the digest sha256:"),
        (with(index.replace(digest.trim_start_matches("sha256:"), "beef"), None), "the digest `beef`, which is no SHA-256"),
        (with(index.clone(), Some(circle)), "sends us on more than 10 times"),
        (with(index.clone(), Some(oversized)), "has more than 104857600 bytes"),
        (with(without_digest, Some(Page::ok(evil))), "is not a plain relative path"),
        (with(index.replace("- web-1.0.0.tgz", "- file:///etc/passwd"), None), "is no URL that can be used"),
        (with(index.replace("- web-1.0.0.tgz", "- http://charts.invalid/web.tgz"), None), "would be asked without TLS"),
        (with(String::new(), None), "empty index.yaml file"),
        (with("<html>".into(), None), "is not a valid chart repository or cannot be reached"),
    ];
    for (site, want) in cases {
        desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
        let failed = desk.run(&["export", "--allow-unsigned", "--no-cache"]).code(4).says(want);
        assert!(!failed.stderr.contains("panicked"));
    }
}

/// A chart archive with a file outside of its folder.
fn evil_chart() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in [("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"), ("web/../../../etc/x", "x")] {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
