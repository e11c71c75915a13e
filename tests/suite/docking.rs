//! Tag policies, what has moved, and looking into registries: against Debian's docker-registry, and a registry of pages and tokens.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    registry::Layout,
    sources::Desk,
    support::{
        Finished, Program,
        registry::{PASSWORD, Registry, Setup, USER},
        site::{Page, Seen, Site},
    },
    watch::names,
};

/// A delivery of images alone.
fn deliver(folder: &Path, images: &[String]) {
    let mut text = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec:\n  images:\n".to_owned();
    for image in images {
        writeln!(text, "  - {image}").unwrap();
    }
    fs::write(folder.join("delivery.yaml"), text).unwrap();
}

/// References and tags of the lock.
fn locked(folder: &Path) -> String {
    fs::read_to_string(folder.join("delivery.lock")).unwrap()
}

#[test]
fn a_policy_picks_a_tag_and_the_lock_holds_it() {
    let (registry, desk) = (Registry::start(Setup::default()), Desk::new());
    let (old, new) = (Layout::made("2024-01-01T00:00:00Z"), Layout::made("2024-06-01T00:00:00Z"));
    let (app, folder) = (format!("{}/team/app", registry.host), desk.path(""));
    for (layout, tag) in [(&old, "v1.9.0"), (&old, "v1.10.0"), (&new, "v1.2.0"), (&old, "v2.0.0-rc1"), (&old, "edge")] {
        registry.push(layout.path(), "app", &format!("team/app:{tag}"));
    }
    let program = Program::new(&folder);
    for (policy, wanted) in [
        ("{regex: 'v1.*'}", "v1.10.0"),
        ("{regex: 'v.*'}", "v1.10.0"),
        ("{regex: 'v.*-rc.*|v1.*'}", "v2.0.0-rc1"),
        ("{regex: 'v.*', pick: lexical}", "v2.0.0-rc1"),
        ("{regex: '.*', pick: newest}", "v1.2.0"),
        ("{regex: 'v1.*', not: '.*10.*'}", "v1.9.0"),
    ] {
        deliver(&folder, &[format!("{{ref: {app}, tagPolicy: {policy}}}")]);
        fs::remove_file(folder.join("delivery.lock")).ok();
        program.run(&["lock"]).ok();
        assert!(locked(&folder).contains(&format!("ref: {app}:{wanted}\n")), "{policy}: {}", locked(&folder));
    }
    // The lock holds, whatever is pushed; `outdated` tells; another policy is refused.
    deliver(&folder, &[format!("{{ref: {app}, tagPolicy: {{regex: 'v1.*'}}}}")]);
    program.run(&["lock"]).ok();
    let same = program.run(&["outdated"]).ok();
    assert_eq!(same.stdout, "nothing has moved\n");
    registry.push(new.path(), "app", "team/app:v1.11.0");
    let listed = program.run(&["images", "--format", "json"]).ok().json();
    assert_eq!(listed["images"][0]["reference"], format!("{app}:v1.10.0"));
    desk.finish(desk.access()).ok();
    assert_eq!(names(&desk.path("a.tar")), [format!("{app}:v1.10.0")], "an export takes what is locked");
    let moved = program.run(&["outdated", "--format", "json"]).code(10).json();
    assert_eq!(moved["since"], "lock");
    assert_eq!(moved["entries"], json!([{"kind": "image", "subject": app, "change": "tag", "before": "v1.10.0", "now": "v1.11.0"}]));
    schema_accepts(&moved);
    let text = program.run(&["outdated"]).code(10).stdout;
    assert!(text.starts_with("KIND") && text.contains("v1.10.0") && text.contains("v1.11.0"), "{text}");
    deliver(&folder, &[format!("{{ref: {app}, tagPolicy: {{regex: 'v2.*'}}}}")]);
    program.run(&["images"]).code(2).says("the lock has no tag for");
    fs::remove_file(folder.join("delivery.lock")).unwrap();
    program.run(&["lock"]).code(4).says("are prereleases").says("registry tags");
}

fn schema_accepts(outcome: &Value) {
    let schema: Value = serde_json::from_str(&offline::ops::outdated::schema_json()).unwrap();
    let checked = jsonschema::validator_for(&schema).unwrap();
    assert!(checked.is_valid(outcome), "{outcome:#}");
}

#[test]
fn a_tag_that_stands_for_another_image_has_moved() {
    let (registry, folder) = (Registry::start(Setup::default()), TempDir::new().unwrap());
    let (old, new) = (Layout::made("2024-01-01T00:00:00Z"), Layout::made("2024-06-01T00:00:00Z"));
    let app = format!("{}/app", registry.host);
    registry.push(old.path(), "app", "app:1");
    deliver(folder.path(), &[format!("{{ref: '{app}:1'}}"), format!("{{ref: '{app}:1@{}'}}", old.index)]);
    let program = Program::new(folder.path());
    program.run(&["outdated"]).ok().says("there is no");
    program.run(&["lock"]).ok();
    registry.push(new.path(), "app", "app:1");
    let moved = program.run(&["outdated", "--format", "json"]).code(10).json();
    let changes: Vec<&str> = moved["entries"].as_array().unwrap().iter().map(|entry| entry["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["digest", "same", "digest"], "by tag, by digest, and the tag beside the digest: {moved:#}");
    fs::remove_file(folder.path().join("delivery.lock")).unwrap();
    let moved = program.run(&["outdated", "--format", "json"]).code(10).json();
    assert_eq!((&moved["since"], moved["entries"].as_array().unwrap().len()), (&json!("delivery"), 1));
}

#[test]
fn a_policy_picks_a_chart_of_a_repository_and_of_a_registry() {
    let (desk, registry) = (Desk::new(), Registry::start(Setup::default()));
    for version in ["1.2.0", "1.10.0", "2.0.0-rc.1", "2.1.0"] {
        let package = desk.publish("web", version);
        let away = format!("oci://{}/charts", registry.host);
        desk.helm(&["push", package.to_str().unwrap(), &away, "--plain-http"]);
    }
    let site = Site::folder(desk.path("repo"));
    let chart = |policy: &str| {
        [format!("{{repo: '{}', name: web, tagPolicy: {policy}}}", site.url), format!("{{oci: 'oci://{}/charts/web', tagPolicy: {policy}}}", registry.host)]
    };
    for (policy, wanted) in [("{regex: '1.*'}", "1.10.0"), ("{regex: '2.*-rc.*', not: '2\\.1.*'}", "2.0.0-rc.1"), ("{regex: '.*', pick: newest}", "2.1.0")] {
        let charts = chart(policy);
        desk.deliver(&charts.each_ref().map(String::as_str), "");
        fs::remove_file(desk.path("delivery.lock")).ok();
        desk.run(&["lock"]).ok();
        let lock = locked(desk.path("").as_path());
        assert_eq!(lock.matches(&format!("\n  version: {wanted}\n")).count(), 2, "{policy}: {lock}");
        desk.run(&["lock", "--check"]).ok();
    }
    let charts = chart("{regex: '1.*'}");
    desk.deliver(&charts.each_ref().map(String::as_str), "");
    desk.run(&["lock"]).ok();
    let told = desk.run(&["outdated"]).ok().stdout;
    assert!(told.contains("web0") && told.contains("2.1.0"), "the newest is told: {told}");
    let package = desk.publish("web", "1.11.0");
    desk.helm(&["push", package.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    let moved = desk.run(&["outdated", "--format", "json"]).code(10).json();
    for entry in moved["entries"].as_array().unwrap() {
        assert_eq!(
            (&entry["change"], &entry["before"], &entry["now"], &entry["newest"]),
            (&json!("version"), &json!("1.10.0"), &json!("1.11.0"), &json!("2.1.0"))
        );
    }
    desk.deliver(&[&chart("{regex: '3.*'}")[0]], "");
    fs::remove_file(desk.path("delivery.lock")).unwrap();
    desk.run(&["lock"]).code(4).says("none of its 5 tags matches `3.*` whole");
}

/// Runs the program with something on its standard input.
fn with_input(program: &Program, args: &[&str], input: &str) -> Finished {
    let mut child = program.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Finished { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn login_ls_tags_logout_with_a_real_registry() {
    let (registry, folder) = (Registry::start(Setup { auth: true, ..Setup::default() }), TempDir::new().unwrap());
    let layout = Layout::made("2024-01-01T00:00:00Z");
    for name in ["team/app:v1", "team/app:v2", "team/app:x5", "other:1"] {
        registry.push(layout.path(), "app", name);
    }
    let (program, host) = (Program::new(folder.path()), registry.host.as_str());
    let app = format!("{host}/team/app");
    program.run(&["registry", "ls", host]).code(4).says("wants credentials").says(&format!("registry login {host}"));
    let login = |password: &str| with_input(&program, &["registry", "login", host, "-u", USER, "--password-stdin"], password);
    let refused = login("wrong").code(4).says("refused user `me`");
    assert!(!refused.stderr.contains("wrong password `wrong`"));
    assert!(!folder.path().join(".docker/config.json").exists(), "what was refused is not kept");
    let told = login(&format!("{PASSWORD}\n")).ok();
    assert!(told.stdout.contains("not encrypted") && !told.stdout.contains(PASSWORD), "{}", told.stdout);
    assert_eq!(program.run(&["registry", "ls", host]).ok().stdout, "other\nteam/app\n");
    assert_eq!(program.run(&["registry", "ls", host, "--filter", "team/.*"]).ok().stdout, "team/app\n");
    assert_eq!(program.run(&["registry", "tags", &app]).ok().stdout, "v1\nv2\nx5\n");
    assert_eq!(program.run(&["registry", "tags", &app, "--filter", "v.*", "--format", "json"]).ok().json()["tags"], json!(["v1", "v2"]));
    assert_eq!(program.run(&["registry", "tags", &app, "--filter", "5"]).ok().stdout, "", "whole words");
    program.run(&["registry", "tags", &app, "--filter", "("]).code(2).says("no regular expression");
    program.run(&["registry", "tags", &format!("{app}:v1")]).code(2).says("names a tag");
    program.run(&["registry", "tags", &format!("{host}/none")]).code(4).says("does not have it");
    // Other people's programs know the account as well.
    let skopeo = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile"])
        .arg(folder.path().join(".docker/config.json"))
        .arg(format!("docker://{app}:v1"))
        .output()
        .unwrap();
    assert!(skopeo.status.success(), "{}", String::from_utf8_lossy(&skopeo.stderr));
    assert!(program.run(&["registry", "logout", host]).ok().stdout.contains("logged out"));
    assert!(program.run(&["registry", "logout", host]).ok().stdout.contains("there was no account"));
    program.run(&["registry", "ls", host]).code(4).says("wants credentials");
    program.run(&["registry", "login", host, "-u", USER]).code(2).says("--password-stdin");
    with_input(&program, &["registry", "login", host, "--password-stdin"], "x").code(2).says("--username");
}

#[cfg(unix)]
#[test]
fn a_helper_keeps_the_password() {
    use std::os::unix::fs::PermissionsExt as _;
    let (registry, folder) = (Registry::start(Setup { auth: true, ..Setup::default() }), TempDir::new().unwrap());
    let bin = folder.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(folder.path().join(".docker")).unwrap();
    let store = folder.path().join("store");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat >{0};;\nget) cat >/dev/null; if [ -f {0} ]; then cat {0}; else echo 'credentials not found in native keychain'; exit 1; fi;;\nerase) cat >/dev/null; rm {0} 2>/dev/null || {{ echo 'credentials not found in native keychain'; exit 1; }};;\nesac\n",
        store.display()
    );
    let helper = bin.join("docker-credential-fake");
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = folder.path().join(".docker/config.json");
    fs::write(&config, json!({"credsStore": "missing", "credHelpers": {&registry.host: "fake"}, "detachKeys": "x"}).to_string()).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (program, host) = (Program::new(folder.path()).env("PATH", &path), registry.host.as_str());
    let told = with_input(&program, &["registry", "login", host, "-u", USER, "--password-stdin"], PASSWORD).ok();
    assert!(told.stdout.contains("docker-credential-fake keeps the password"), "{}", told.stdout);
    let kept: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    assert_eq!(kept, json!({"credsStore": "missing", "credHelpers": {host: "fake"}, "detachKeys": "x", "auths": {host: {}}}));
    assert!(fs::read_to_string(&store).unwrap().contains(PASSWORD));
    assert_eq!(program.run(&["registry", "ls", host]).ok().stdout, "");
    program.run(&["registry", "logout", host]).ok();
    assert!(!store.exists());
    assert!(program.run(&["registry", "logout", host]).ok().stdout.contains("there was no account"));
    with_input(&program, &["registry", "login", "other.invalid", "-u", USER, "--password-stdin"], PASSWORD).code(4).says("no address");
}

/// What a request asks for after `?`.
fn query(seen: &Seen) -> HashMap<String, String> {
    let pairs = seen.path.split_once('?').map_or("", |(_, query)| query).split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace("%3A", ":").replace("%2F", "/").replace("%2A", "*")))
        .collect()
}

/// A registry that gives out tokens, and pages of at most 500 names whose order only its links know.
fn pages(names: usize) -> Site {
    Site::with("/nonexistent".into(), move |seen| {
        let host = seen.headers.get("host").cloned().unwrap_or_default();
        let authorization = seen.headers.get("authorization").cloned().unwrap_or_default();
        let path = seen.path.split('?').next().unwrap_or_default().to_owned();
        let query = query(seen);
        if path == "/token" {
            let right = base64::engine::general_purpose::STANDARD.encode("robot:right");
            if !authorization.is_empty() && authorization != format!("Basic {right}") {
                return Some(Page::status(401));
            }
            // The scope is the token, so that a token for something else is told from the right one.
            let token = query.get("scope").cloned().unwrap_or_else(|| "none".to_owned());
            return Some(Page::ok(json!({"access_token": token}).to_string()));
        }
        let wanted = match path.as_str() {
            "/v2/" => "none",
            "/v2/_catalog" => "registry:catalog:*",
            "/v2/deep/app/tags/list" => "repository:deep/app:pull",
            _ => return Some(Page::status(404)),
        };
        if authorization != format!("Bearer {wanted}") {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"tests\"");
            return Some(Page { headers: vec![("WWW-Authenticate", challenge)], ..Page::status(401) });
        }
        if path == "/v2/" {
            return Some(Page::ok("{}"));
        }
        let from: usize = query.get("next_page").map_or(0, |page| page.parse().unwrap());
        let list: Vec<String> = (from..names.min(from + 500)).map(|n| format!("n{}", (n * 7919) % names)).collect();
        let field = if path.ends_with("_catalog") { "repositories" } else { "tags" };
        let mut page = Page::ok(json!({"name": "x", field: list}).to_string());
        if from + 500 < names {
            page.headers.push(("Link", format!("<{path}?n=500&next_page={}>; rel=\"next\"", from + 500)));
        }
        Some(page)
    })
}

#[test]
fn ten_thousand_tags_come_in_pages_with_a_token() {
    let (site, folder) = (pages(10_000), TempDir::new().unwrap());
    let program = Program::new(folder.path());
    let repository = format!("{}/deep/app", site.host());
    let tags = program.run(&["registry", "tags", &repository, "--format", "json"]).ok().json();
    assert_eq!((&tags["total"], tags["tags"].as_array().unwrap().len()), (&json!(10_000), 10_000));
    let asked = site.asked();
    assert!(asked.iter().filter(|path| path.contains("/tags/list")).count() <= 22, "{}", asked.len());
    assert_eq!(program.run(&["registry", "tags", &repository, "--filter", "n99.9"]).ok().stdout.lines().count(), 10);
    assert_eq!(program.run(&["registry", "ls", site.host()]).ok().stdout.lines().count(), 10_000);
    // A password goes to the token server, and a wrong one is told.
    let login = |password: &str| with_input(&program, &["registry", "login", site.host(), "-u", "robot", "--password-stdin"], password);
    login("wrong").code(4).says("refused user `robot`");
    login("right").ok();
    site.seen();
    program.run(&["registry", "tags", &repository]).ok();
    let seen = site.seen();
    let basic = |seen: &&Seen| seen.headers.get("authorization").is_some_and(|value| value.starts_with("Basic"));
    assert!(seen.iter().any(|seen| basic(&seen)) && seen.iter().filter(basic).all(|seen| seen.path.starts_with("/token")), "to nobody else");
}

#[test]
fn a_next_page_elsewhere_is_refused_and_a_circle_ends() {
    let folder = TempDir::new().unwrap();
    let program = Program::new(folder.path());
    let elsewhere = Site::with("/nonexistent".into(), |_| {
        let link = ("Link", "<http://127.0.0.1:1/v2/a/tags/list>; rel=\"next\"".to_owned());
        Some(Page { headers: vec![link], ..Page::ok(r#"{"tags":["a"]}"#) })
    });
    program.run(&["registry", "tags", &format!("{}/a", elsewhere.host())]).code(4).says("on another host");
    let circle = Site::with("/nonexistent".into(), |_| {
        Some(Page { headers: vec![("Link", "</v2/a/tags/list>; rel=\"next\"".to_owned())], ..Page::ok(r#"{"tags":["a"]}"#) })
    });
    assert_eq!(program.run(&["registry", "tags", &format!("{}/a", circle.host())]).ok().stdout, "a\n");
    for rubbish in ["", "[]", "{\"tags\": 7}", "<html>"] {
        let site = Site::with("/nonexistent".into(), move |_| Some(Page::ok(rubbish)));
        program.run(&["registry", "tags", &format!("{}/a", site.host())]).code(4).says("its list is not one");
    }
    let far = Site::with("/nonexistent".into(), |_| {
        let challenge = ("WWW-Authenticate", "Bearer realm=\"http://tokens.example/token\"".to_owned());
        Some(Page { headers: vec![challenge], ..Page::status(401) })
    });
    program.run(&["registry", "tags", &format!("{}/a", far.host())]).code(4).says("tokens.example does not speak TLS");
    let none = Site::with("/nonexistent".into(), |_| Some(Page::status(404)));
    program.run(&["registry", "ls", none.host()]).code(4).says("it has no catalog").says("registry tags");
    program.run(&["registry", "ls", "docker.io"]).code(4).says("Docker Hub has no catalog");
    program.run(&["registry", "ls", "ghcr.io"]).code(4).says("GHCR has no catalog");
}
