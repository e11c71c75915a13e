//! Charts from repositories and registries on loopback, with helm as the one who makes them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::Engine as _;
use offline::{
    cluster::nodes::AgentBinary,
    failure::Failure,
    oci::{Digest, Platform},
    ops::{
        ChartAccess,
        export::{self, ExportOptions},
        read_delivery,
    },
    progress::Silent,
    source::ChartRequest,
};
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
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn helm(&self, args: &[&str]) -> String {
        run(Command::new(tool("helm3")).env("HOME", self.folder.path()).current_dir(self.folder.path()).args(args))
    }

    /// A chart in a folder of the desk; `more` goes into Chart.yaml.
    pub(crate) fn chart(&self, folder: &str, name: &str, version: &str, more: &str) {
        let at = self.path(folder);
        fs::create_dir_all(at.join("templates")).unwrap();
        fs::write(at.join("Chart.yaml"), format!("apiVersion: v2\nname: {name}\nversion: {version}\n{more}")).unwrap();
        let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '{{{{ .Release.Name }}}}-{name}'}}\ndata: {{version: '{version}'}}\n");
        fs::write(at.join("templates/map.yaml"), object).unwrap();
    }

    /// Packs a chart into `repo/` and writes the index anew.
    pub(crate) fn publish(&self, name: &str, version: &str) -> PathBuf {
        let source = format!("src/{name}-{version}");
        self.chart(&source, name, version, "");
        self.helm(&["package", &source, "-d", "repo"]);
        self.helm(&["repo", "index", "repo"]);
        self.path(&format!("repo/{name}-{version}.tgz"))
    }

    /// Writes delivery.yaml with one app `web` for each chart given.
    pub(crate) fn deliver(&self, charts: &[&str], sources: &str) {
        let mut text = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec:\n  platforms: [linux/amd64]\n".to_owned();
        if !sources.is_empty() {
            writeln!(text, "  sources: {sources}").unwrap();
        }
        text.push_str("  apps:\n");
        for (i, chart) in charts.iter().enumerate() {
            writeln!(text, "  - {{name: web{i}, chart: {chart}}}").unwrap();
        }
        fs::write(self.path("delivery.yaml"), text).unwrap();
    }

    /// What of the desk is needed to reach charts.
    pub(crate) fn access(&self) -> ChartAccess {
        ChartAccess {
            docker_config: Some(self.path(".docker/config.json")),
            helm_repositories: Some(self.path(".config/helm/repositories.yaml")),
            helm_registries: Some(self.path(".config/helm/registry/config.json")),
            reach: offline::registry::Reach::default(),
            cache: Some(self.path(".cache/kubectl-offline")),
            ..ChartAccess::default()
        }
    }

    /// Exports to `a.tar`, by the lock alone where there is one; in this process, because the program under test may have been built without agents.
    pub(crate) fn finish(&self, access: ChartAccess) -> Finished {
        let failed = |failure: &Failure| Finished {
            code: failure.kind.exit_code().into(),
            stdout: String::new(),
            stderr: format!("{failure}\n{}", failure.hints.join("\n")),
        };
        // Only the first of all tests sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let delivery = match read_delivery(&self.path("delivery.yaml")) {
            Ok(delivery) => delivery,
            Err(failure) => return failed(&failure),
        };
        let agent = AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() };
        let output = Some(self.path("a.tar"));
        let locked = self.path("delivery.lock").exists();
        let options = ExportOptions { delivery, output, signer: None, platforms: None, access, agents: vec![agent], dry_run: false, locked, ask: None };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        match runtime.block_on(export::run(options, Arc::new(Silent))) {
            Ok(_) => Finished { code: 0, stdout: String::new(), stderr: String::new() },
            Err(failure) => failed(&failure),
        }
    }

    /// An export that must fail with an exit code.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32) -> Finished {
        self.finish(ChartAccess { cache: None, ..self.access() }).code(code)
    }

    /// The command line in this folder.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        Program::new(self.folder.path()).run(args)
    }

    /// Exports to `a.tar` and returns the record of the first app.
    #[track_caller]
    pub(crate) fn export(&self) -> Value {
        self.finish(self.access()).ok();
        self.record()["apps"][0].clone()
    }

    /// The record in `a.tar`.
    fn record(&self) -> Value {
        let opened = offline::archive::open(&self.path("a.tar")).unwrap();
        let opened = opened.verify(&offline::archive::Trust::AllowUnsigned, &offline::progress::Silent).unwrap();
        serde_json::to_value(opened.record()).unwrap()
    }
}

pub(crate) fn digest(path: &Path) -> String {
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
    let failed = desk.refused(4);
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
    desk.refused(4).says("a version that fits \"^9\" not found in");
    fs::remove_dir_all(desk.path(".config/helm/registry")).unwrap();
    let failed = desk.refused(4).says("wants credentials");
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
    let before = fs::read(desk.path("a.tar")).unwrap();
    desk.finish(ChartAccess { cache: None, ..desk.access() }).ok();
    assert_eq!(site.asked().len(), 2);
    assert!(fs::read(desk.path("a.tar")).unwrap() == before, "same in, same out");
    desk.run(&["images"]).ok();
    assert_eq!(site.asked(), ["/index.yaml"], "the command line finds the same cache");
    desk.run(&["images", "--no-cache"]).ok();
    assert_eq!(site.asked().len(), 2);
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
    desk.refused(4).says("refuses without credentials").says("helm repo add");
    // Docker's config by host.
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    fs::create_dir_all(desk.path(".docker")).unwrap();
    fs::write(desk.path(".docker/config.json"), serde_json::json!({"auths": {site.host(): {"auth": login}}}).to_string()).unwrap();
    let finished = desk.run(&["--debug", "images", "--no-cache"]).ok();
    desk.finish(ChartAccess { cache: None, ..desk.access() }).ok();
    assert!(!finished.stderr.contains(PASSWORD) && !finished.stderr.contains(&login));
    assert!(other.seen().iter().all(|request| !request.headers.contains_key("authorization")), "the redirect carries no password");
    assert!(!fs::read(desk.path("a.tar")).unwrap().windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
    fs::remove_file(desk.path(".docker/config.json")).unwrap();
    // helm's repositories.yaml, by URL and by name.
    desk.helm(&["repo", "add", "corp", &site.url, "--username", USER, "--password", PASSWORD]);
    for chart in [format!("{{repo: '{}/', name: web}}", site.url), "{repo: '@corp', name: web}".to_owned()] {
        desk.deliver(&[&chart], "");
        desk.finish(ChartAccess { cache: None, ..desk.access() }).ok();
    }
    desk.deliver(&["{repo: '@nobody', name: web}"], "");
    desk.refused(2).says("no repository definition for @nobody. Please add them via 'helm repo add'");
    fs::write(desk.path(".config/helm/repositories.yaml"), fs::read_to_string(desk.path(".config/helm/repositories.yaml")).unwrap().replace(PASSWORD, "wrong"))
        .unwrap();
    desk.deliver(&["{repo: '@corp', name: web}"], "");
    desk.refused(4).says("refuses user `me`: wrong password or no rights");
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
    desk.refused(4).says("would be asked without TLS").says("spec.sources.\"charts.invalid\".plainHTTP: true");
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
    // Not for ever.
    let busy = Site::with(desk.path("repo"), |_| Some(Page { headers: vec![("Retry-After", "0".into())], ..Page::status(429) }));
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", busy.url)], "");
    desk.refused(4).says("the server answered with status 429");
    assert_eq!(busy.asked().len(), 4);
}

#[test]
fn hostile_repositories_end_in_an_error() {
    let desk = Desk::new();
    let packed = desk.publish("web", "1.0.0");
    let index = fs::read_to_string(desk.path("repo/index.yaml")).unwrap();
    let digest = digest(&packed);
    let other = index.replace(digest.trim_start_matches("sha256:"), &"a".repeat(64));
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
        let failed = desk.refused(4).says(want);
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

/// An umbrella chart `app` with dependencies, and the repository that has them.
fn umbrella(desk: &Desk, dependencies: &str) -> Site {
    for version in ["1.0.0", "1.1.0"] {
        desk.publish("web", version);
    }
    let site = Site::folder(desk.path("repo"));
    desk.chart("app", "app", "0.1.0", &format!("dependencies:\n{}", dependencies.replace("@URL@", &site.url)));
    desk.deliver(&["{path: app}"], "");
    site
}

#[test]
fn dependencies_are_built_in_memory_as_helm_builds_them() {
    let desk = Desk::new();
    desk.chart("part", "part", "0.3.0", "");
    let site = umbrella(
        &desk,
        "- {name: web, version: ^1.0, repository: '@URL@'}\n- {name: part, version: '>=0.1', repository: 'file://../part'}\n- {name: web, alias: other, version: 1.0.0, repository: '@URL@'}\n",
    );
    let packed = |desk: &Desk| -> Vec<String> {
        let opened = offline::archive::open(&desk.path("a.tar")).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &Silent).unwrap();
        let offline::delivery::record::AppSource::Chart { digest, .. } = opened.record().apps[0].source.clone() else { panic!() };
        let chart = offline::chart::Chart::from_tgz(&opened.read(&digest).unwrap()).unwrap();
        chart.subcharts().iter().map(|chart| format!("{} {}", chart.name(), chart.version())).collect()
    };
    // Without a lock: the newest that fit.
    let origin = desk.export()["source"]["origin"].clone();
    assert_eq!(packed(&desk), ["part 0.3.0", "web 1.0.0", "web 1.1.0"]);
    assert_eq!((origin["dependencies"][0]["version"].as_str(), origin["dependencies"].as_array().unwrap().len()), (Some("1.1.0"), 2));
    assert!(!desk.path("app/charts").exists() && !desk.path("app/Chart.lock").exists(), "nothing is written into the user's folder");
    // With Chart.lock: what it says, though there is something newer by now.
    desk.helm(&["dependency", "update", "app"]);
    let vendored: Vec<String> = fs::read_dir(desk.path("app/charts")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(vendored.len(), 3, "helm takes the same: {vendored:?}");
    site.asked();
    desk.export();
    assert_eq!(site.asked(), Vec::<String>::new(), "what lies in charts/ and fits is kept");
    fs::remove_dir_all(desk.path("app/charts")).unwrap();
    desk.publish("web", "1.9.0");
    desk.export();
    assert_eq!(packed(&desk), ["part 0.3.0", "web 1.0.0", "web 1.1.0"]);
    // A lock of another Chart.yaml.
    let text = fs::read_to_string(desk.path("app/Chart.yaml")).unwrap();
    fs::write(desk.path("app/Chart.yaml"), text.replace("^1.0", "~1.1")).unwrap();
    desk.refused(2).says("the lock file (Chart.lock) is out of sync with the dependencies file (Chart.yaml). Please update the dependencies");
    let helm = Command::new(tool("helm3")).env("HOME", desk.path(".")).args(["dependency", "build"]).arg(desk.path("app")).output().unwrap();
    assert!(String::from_utf8_lossy(&helm.stderr).contains("the lock file (Chart.lock) is out of sync"), "helm says so too");
    // What cannot be had.
    fs::remove_file(desk.path("app/Chart.lock")).unwrap();
    for (from, to, code, want) in [
        ("file://../part", "file://../none", 4, "app/../none not found"),
        ("'>=0.1'", "^9", 4, "dependency part at version 0.3.0 does not satisfy the constraint ^9"),
        ("^1.0, repository: '", "^1.0, repository: '@corp", 4, "no repository definition for @corp"),
        ("^1.0", "^7", 4, "chart \"web\" version \"^7\" not found in"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(desk.path("app/Chart.yaml"), changed).unwrap();
        desk.refused(code).says(want);
    }
}

#[test]
fn dependencies_by_helms_names_and_from_registries() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup::default()));
    let site = umbrella(&desk, "- {name: web, version: ^1.0, repository: '@corp'}\n- {name: lib, version: ~2.0, repository: 'oci://@HOST@/charts'}\n");
    let text = fs::read_to_string(desk.path("app/Chart.yaml")).unwrap();
    fs::write(desk.path("app/Chart.yaml"), text.replace("@HOST@", &registry.host)).unwrap();
    let lib = desk.publish("lib", "2.0.4");
    desk.helm(&["push", lib.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    desk.helm(&["repo", "add", "corp", &site.url]);
    let dependencies = desk.export()["source"]["origin"]["dependencies"].clone();
    let found: Vec<&str> = dependencies.as_array().unwrap().iter().map(|d| d["version"].as_str().unwrap()).collect();
    assert_eq!(found, ["1.1.0", "2.0.4"]);
    assert_eq!(dependencies[1]["digest"], digest(&lib).as_str());
    // A lock by helm, whose digest is over the URLs that the names stand for.
    desk.helm(&["dependency", "update", "app", "--plain-http"]);
    fs::remove_dir_all(desk.path("app/charts")).unwrap();
    desk.export();
}

#[test]
fn a_chart_that_can_only_be_in_charts_is_taken_as_it_is() {
    let desk = Desk::new();
    desk.chart("app", "app", "0.1.0", "dependencies:\n- {name: sub, version: ^9}\n");
    desk.chart("app/charts/sub", "sub", "0.3.0", "");
    desk.deliver(&["{path: app}"], "");
    assert!(desk.export()["source"]["origin"].is_null());
    fs::remove_dir_all(desk.path("app/charts")).unwrap();
    desk.refused(4).says("directory charts/sub not found");
}

#[test]
fn a_packaged_chart_must_be_whole() {
    let desk = Desk::new();
    desk.chart(
        "src",
        "app",
        "0.1.0",
        "dependencies:\n- {name: web, version: ^1, repository: 'https://charts.invalid'}\n- {name: db, version: ^1, repository: ''}\n",
    );
    // helm refuses to pack it, so it is packed by hand.
    fs::create_dir_all(desk.path("repo")).unwrap();
    fs::rename(desk.path("src"), desk.path("app")).unwrap();
    run(Command::new("tar").args(["-czf", "app-0.1.0.tgz", "app"]).current_dir(desk.path(".")));
    desk.deliver(&["{path: app-0.1.0.tgz}"], "");
    desk.refused(4).says("found in Chart.yaml, but missing in charts/ directory: web, db");
}

#[test]
fn the_lock_decides_until_it_is_made_anew() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup::default()));
    desk.publish("web", "1.0.0");
    let lib = desk.publish("lib", "2.0.0");
    desk.helm(&["push", lib.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    desk.chart("own", "own", "0.1.0", "");
    let site = Site::folder(desk.path("repo"));
    let charts =
        [format!("{{repo: '{}', name: web, version: ^1}}", site.url), format!("{{oci: 'oci://{}/charts/lib'}}", registry.host), "{path: own}".to_owned()];
    desk.deliver(&charts.each_ref().map(String::as_str), "");
    desk.run(&["lock", "--check"]).code(1).says("would change");
    let outcome = desk.run(&["lock", "--format", "json"]).ok().json();
    assert_eq!((&outcome["changed"], &outcome["charts"]), (&Value::Bool(true), &3.into()));
    let lock = fs::read_to_string(desk.path("delivery.lock")).unwrap();
    assert!(lock.starts_with("# Written by `kubectl offline lock`") && lock.contains("version: 1.0.0") && lock.contains(&digest(&lib)), "{lock}");
    desk.run(&["lock", "--check"]).ok();
    desk.export();
    let before = fs::read(desk.path("a.tar")).unwrap();
    // The world moves on; the export does not.
    desk.publish("web", "1.5.0");
    let newer = desk.publish("lib", "2.1.0");
    desk.helm(&["push", newer.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    desk.export();
    assert!(fs::read(desk.path("a.tar")).unwrap() == before, "same lock, same bytes");
    fs::remove_dir_all(desk.path(".cache")).unwrap();
    desk.export();
    assert!(fs::read(desk.path("a.tar")).unwrap() == before, "also from another machine");
    assert!(desk.record()["files"].is_null(), "the lock is no file of the user's");
    let check = desk.run(&["lock", "--check"]).code(1);
    check.says("chart of web0: 1.0.0 → 1.5.0").says("chart of web1: 2.0.0 → 2.1.0");
    assert_eq!(fs::read_to_string(desk.path("delivery.lock")).unwrap(), lock);
    // A repository that puts something else under the same version.
    fs::copy(desk.path("repo/web-1.5.0.tgz"), desk.path("repo/web-1.0.0.tgz")).unwrap();
    desk.helm(&["repo", "index", "repo"]);
    let index = fs::read_to_string(desk.path("repo/index.yaml")).unwrap().replace("web-1.5.0.tgz", "web-1.0.0.tgz").replace("version: 1.5.0", "version: 1.0.0");
    fs::write(desk.path("repo/index.yaml"), index).unwrap();
    desk.refused(4).says("app web0: web 1.0.0 of").says("has the digest");
}

#[test]
fn a_lock_of_another_delivery_is_refused() {
    let desk = Desk::new();
    desk.publish("web", "1.0.0");
    desk.chart("own", "own", "0.1.0", "");
    let site = Site::folder(desk.path("repo"));
    let web = |version: &str| format!("{{repo: '{}', name: web, version: {version}}}", site.url);
    desk.deliver(&[&web("^1"), "{path: own}"], "");
    desk.run(&["lock"]).ok();
    desk.deliver(&[&web("~1.0"), "{path: own}", "{path: own}"], "");
    let refused = desk.refused(2).says("app `web0` asks for `web` of").says("in version `~1.0`").says("app `web2` is not in the lock");
    refused.says("kubectl offline lock");
    desk.deliver(&[&web("^1")], "");
    desk.refused(2).says("the lock has a chart of app `web1`, which delivery.yaml does not");
    // A chart beside the delivery that was changed, and with it an image.
    desk.deliver(&[&web("^1"), "{path: own}"], "");
    fs::write(desk.path("own/templates/pod.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: 'x.dev/new:1'}]}\n")
        .unwrap();
    desk.refused(2).says("the chart `own` of app `web1` has changed since");
    // One that nobody can read.
    let lock = fs::read_to_string(desk.path("delivery.lock")).unwrap();
    fs::write(desk.path("delivery.lock"), lock.replace("digest: sha256:", "digets: sha256:")).unwrap();
    desk.refused(2).says("delivery.lock:5:").says("has no key `digets` (did you mean `digest`?)");
    fs::write(desk.path("delivery.lock"), "<<<<<<< HEAD\n").unwrap();
    desk.refused(2).says("delivery.lock:1:1:");
}

/// What `template` is told, and what real helm finds by the same words.
#[test]
fn charts_are_located_as_helm_locates_them() {
    let desk = Desk::new();
    for version in ["1.0.0", "1.2.0", "2.0.0-rc.1"] {
        desk.publish("web", version);
    }
    let site = Site::with(desk.path("repo"), closed);
    desk.helm(&["repo", "add", "corp", &site.url, "--username", USER, "--password", PASSWORD]);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let locate = |request: ChartRequest| runtime.block_on(offline::ops::locate(&request, &desk.access()));
    let url = format!("{}/web-1.0.0.tgz", site.url);
    let named = |chart: &str, version: Option<&str>| ChartRequest { chart: chart.into(), version: version.map(Into::into), ..ChartRequest::default() };
    let by_repo = |version: Option<&str>, password: &str| ChartRequest {
        repo: Some(site.url.clone()),
        username: Some(USER.into()),
        password: Some(password.into()),
        ..named("web", version)
    };
    for (request, version) in [
        (named("corp/web", None), "1.2.0"),
        (named("corp/web", Some("~1.0")), "1.0.0"),
        (named(&url, None), "1.0.0"),
        (by_repo(Some(">=2-0"), PASSWORD), "2.0.0-rc.1"),
    ] {
        let mut args = vec!["show".to_owned(), "chart".into(), request.chart.clone()];
        args.extend(request.version.iter().flat_map(|version| ["--version".to_owned(), version.clone()]));
        args.extend(request.repo.iter().flat_map(|repo| ["--repo".to_owned(), repo.clone()]));
        if request.repo.is_some() || request.chart == url {
            args.extend(["--username", USER, "--password", PASSWORD].map(str::to_owned));
        }
        let request = if request.chart == url { ChartRequest { username: Some(USER.into()), password: Some(PASSWORD.into()), ..request } } else { request };
        let found = locate(request.clone()).unwrap_or_else(|failure| panic!("{request:?}: {failure}"));
        assert_eq!(found.chart.version(), version);
        let helm = desk.helm(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(helm.contains(&format!("version: {version}\n")), "{args:?}: {helm}");
    }
    for (request, want) in [
        (named("./none", None), "path \"./none\" not found"),
        (named("none/web", None), "repo none not found"),
        (named("web", None), "non-absolute URLs should be in form of repo_name/path_to_chart, got: web"),
        (by_repo(None, "wrong"), "wrong password or no rights"),
    ] {
        let failure = locate(request).unwrap_err();
        assert!(failure.to_string().contains(want), "{failure}");
    }
    // --dependency-update takes the newest, whatever the lock and charts/ say, and leaves the folder alone.
    desk.chart("app", "app", "0.1.0", "dependencies:\n- {name: web, version: ^1, repository: '@corp'}\n");
    fs::create_dir_all(desk.path("app/charts")).unwrap();
    fs::copy(desk.path("repo/web-1.0.0.tgz"), desk.path("app/charts/web-1.0.0.tgz")).unwrap();
    let path = desk.path("app").display().to_string();
    let kept = locate(named(&path, None)).unwrap();
    let updated = locate(ChartRequest { dependency_update: true, ..named(&path, None) }).unwrap();
    let versions = |found: &offline::source::ResolvedChart| found.chart.subcharts().iter().map(|chart| chart.version().to_owned()).collect::<Vec<_>>();
    assert_eq!((versions(&kept), versions(&updated)), (vec!["1.0.0".to_owned()], vec!["1.2.0".to_owned()]));
    assert_eq!(fs::read_dir(desk.path("app/charts")).unwrap().count(), 1);
}

#[test]
fn a_repository_of_an_unknown_authority_needs_its_certificate() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup { auth: false, tls: true }));
    // The registry's own TLS answers; what matters is whether the connection is trusted.
    let chart = format!("{{repo: 'https://{}/charts', name: web}}", registry.host);
    desk.deliver(&[&chart], "");
    desk.refused(4).says("certificate").says("caFile");
    desk.deliver(&[&chart], &format!("{{'{}': {{caFile: {}}}}}", registry.host, registry.ca_file().display()));
    desk.refused(4).says("the server does not have it");
    desk.deliver(&[&chart], &format!("{{'{}': {{caFile: delivery.yaml}}}}", registry.host));
    desk.refused(4).says("holds no PEM certificate");
}

/// A web server that asks who its clients are: `openssl s_server`.
struct TlsSite {
    server: Child,
    url: String,
}

impl TlsSite {
    /// Serves a folder in which `pki` makes the certificates.
    fn start(folder: &Path) -> Self {
        let port = crate::support::free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}"), "-cert", "server.pem", "-key", "server.key"]);
        command.args(["-CAfile", "ca.pem", "-Verify", "2", "-verify_return_error"]);
        let server = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        crate::support::eventually(20, || std::net::TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string()));
        Self { server, url: format!("https://127.0.0.1:{port}") }
    }
}

impl Drop for TlsSite {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An authority, a server's certificate by it, and a client's.
fn pki(folder: &Path) {
    let openssl = |arguments: &str| run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=nobody"));
    for (name, more) in [("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"), ("client", "extendedKeyUsage=clientAuth\n")] {
        fs::write(folder.join("ext"), format!("basicConstraints=CA:FALSE\n{more}")).unwrap();
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile ext"));
    }
}

#[test]
fn certificates_of_clients_and_none_of_servers() {
    let desk = Desk::new();
    desk.publish("web", "1.0.0");
    let folder = desk.path("repo");
    pki(&folder);
    let site = TlsSite::start(&folder);
    let (ca, cert, key) = ("repo/ca.pem", "repo/client.pem", "repo/client.key");
    let web = ["template", "x", "web", "--repo", &site.url];
    for more in [vec!["--ca-file", ca, "--cert-file", cert, "--key-file", key], vec!["--insecure-skip-tls-verify", "--cert-file", cert, "--key-file", key]] {
        let args = [&web, more.as_slice()].concat();
        assert_eq!(desk.run(&args).ok().stdout, desk.helm(&args), "{more:?}");
    }
    for (more, want) in [
        (vec!["--ca-file", ca], "certificate"),
        (vec!["--cert-file", cert, "--key-file", key], "certificate"),
        (vec!["--insecure-skip-tls-verify"], "certificate"),
        (vec!["--ca-file", ca, "--cert-file", ca, "--key-file", key], "cannot use the certificates"),
    ] {
        let args = [&web, more.as_slice()].concat();
        let ours = desk.run(&args);
        assert!(ours.code != 0 && ours.stdout.is_empty(), "{more:?}");
        ours.says(want);
    }
    // As helm keeps them.
    let [ca, cert, key] = [ca, cert, key].map(|name| desk.path(name).display().to_string());
    desk.helm(&["repo", "add", "corp", &site.url, "--ca-file", &ca, "--cert-file", &cert, "--key-file", &key]);
    desk.deliver(&["{repo: '@corp', name: web}"], "");
    desk.export();
}

#[test]
fn several_runs_share_one_cache() {
    let desk = Desk::new();
    let packed = desk.publish("web", "1.0.0");
    let site = Site::folder(desk.path("repo"));
    desk.deliver(&[&format!("{{repo: '{}', name: web}}", site.url)], "");
    let program = Program::new(desk.folder.path());
    for _ in 0..3 {
        let start = || program.command(&["images", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let runs: Vec<Child> = (0..8).map(|_| start()).collect();
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let kept: Vec<PathBuf> = fs::read_dir(desk.path(".cache/kubectl-offline/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept.len(), 1, "nothing is left beside it: {kept:?}");
        assert_eq!(digest(&kept[0]), digest(&packed));
        // The next round finds it damaged, all at once.
        fs::write(&kept[0], "damaged").unwrap();
    }
}

#[test]
fn a_lock_of_helm_2_is_taken_by_its_digest() {
    let desk = Desk::new();
    desk.publish("lib", "2.0.0");
    desk.publish("lib", "2.1.0");
    let site = Site::folder(desk.path("repo"));
    desk.chart("app", "app", "0.1.0", "");
    fs::write(desk.path("app/Chart.yaml"), "apiVersion: v1\nname: app\nversion: 0.1.0\n").unwrap();
    fs::write(desk.path("app/requirements.yaml"), format!("dependencies:\n- {{name: lib, version: ^2, repository: '{}'}}\n", site.url)).unwrap();
    // Helm 2 hashed what was asked for, and not what was found.
    let asked = format!("{{\"dependencies\":[{{\"name\":\"lib\",\"version\":\"^2\",\"repository\":\"{}\"}}]}}", site.url);
    let lock = |digest: &str| {
        let text = format!("dependencies:\n- {{name: lib, version: 2.0.0, repository: '{}'}}\ndigest: {digest}\ngenerated: 2018-01-01T00:00:00Z\n", site.url);
        fs::write(desk.path("app/requirements.lock"), text).unwrap();
    };
    lock(&Digest::of(asked.as_bytes()).to_string());
    desk.deliver(&["{path: app}"], "");
    assert_eq!(desk.export()["source"]["origin"]["dependencies"][0]["version"], "2.0.0");
    desk.helm(&["repo", "add", "lib", &site.url]);
    desk.helm(&["dependency", "build", "app"]);
    assert!(desk.path("app/charts/lib-2.0.0.tgz").exists(), "helm takes it too");
    fs::remove_dir_all(desk.path("app/charts")).unwrap();
    lock(&Digest::of(b"other").to_string());
    desk.refused(2).says("the lock file (requirements.lock) is out of sync with the dependencies file (requirements.yaml)");
}

#[test]
fn template_prints_what_helm_prints_of_charts_elsewhere() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup::default()));
    let packed = desk.publish("web", "1.0.0");
    desk.publish("web", "1.2.0");
    let site = Site::folder(desk.path("repo"));
    desk.helm(&["push", packed.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    desk.helm(&["repo", "add", "corp", &site.url]);
    let (oci, url) = (format!("oci://{}/charts/web", registry.host), format!("{}/web-1.2.0.tgz", site.url));
    desk.chart("app", "app", "0.1.0", "dependencies:\n- {name: web, version: ~1.0, repository: '@corp'}\n");
    for args in [
        vec!["web", "--repo", &site.url],
        vec!["web", "--repo", &site.url, "--version", "~1.0"],
        vec!["corp/web"],
        vec![&url],
        vec![&oci, "--plain-http"],
        vec!["app", "--dependency-update"],
    ] {
        let ours = desk.run(&[&["template", "x"], args.as_slice()].concat()).ok();
        assert!(!desk.path("app/charts").exists(), "nothing is written into the user's folder");
        // Helm tells on standard output what it downloads.
        let printed = |text: String| text.split_inclusive('\n').skip_while(|line| *line != "---\n").collect::<String>();
        assert_eq!(ours.stdout, printed(desk.helm(&[&["template", "x"], args.as_slice()].concat())), "{args:?}");
        let ours = desk.run(&[&["template", "x", "--helm-version", "4"], args.as_slice()].concat()).ok();
        let helm = Command::new(tool("helm4")).env("HOME", desk.path("")).current_dir(desk.path("")).args(["template", "x"]).args(&args).output().unwrap();
        assert_eq!(ours.stdout, printed(String::from_utf8(helm.stdout).unwrap()), "{args:?}: {}", String::from_utf8_lossy(&helm.stderr));
        let _ = fs::remove_dir_all(desk.path("app/charts"));
    }
    for (args, want) in [
        (vec!["web", "--repo", &site.url, "--version", "^9"], "chart \"web\" version \"^9\" not found in"),
        (vec!["corp/web", "--verify"], "failed to fetch provenance"),
        (vec!["nobody/web"], "repo nobody not found"),
    ] {
        let ours = desk.run(&[&["template", "x"], args.as_slice()].concat());
        assert_ne!(ours.code, 0);
        ours.says(want);
    }
}
