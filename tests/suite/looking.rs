//! Looking into archives: `verify --deep` and `verify -`, `inspect`, `diff`.

use std::{fs, path::Path, process::Stdio};

use offline::{
    failure::Kind,
    ops::verify::{self, TrustOptions, VerifyOptions},
    progress::Silent,
};
use serde_json::{Value, json};

use crate::{
    forge::{Draft, Edits, tar},
    sample,
    support::Program,
};

fn deep(path: &Path) -> Result<verify::VerifyOutcome, offline::failure::Failure> {
    let trust = TrustOptions { allow_unsigned: true, ..TrustOptions::default() };
    verify::run(&VerifyOptions { archive: path.into(), trust, deep: true }, &Silent)
}

/// Rule L2 of docs/archive-format.md.
#[test]
fn deep_holds_every_layer_against_its_diff_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let write = |edit: &dyn Fn(&mut Value)| {
        let config = |bytes: Vec<u8>| {
            let mut value: Value = serde_json::from_slice(&bytes).unwrap();
            edit(&mut value);
            value.to_string().into_bytes()
        };
        fs::write(&path, tar(&Draft::edited(&Edits { config: &config, ..Edits::default() }).parts(None))).unwrap();
    };
    write(&|_| ());
    let found = deep(&path).unwrap().deep.unwrap();
    assert_eq!((found.layers, found.unpacked, found.without.len()), (2, 3700, 0));
    let refused = |says: &str| {
        let failure = deep(&path).unwrap_err();
        assert_eq!(failure.kind, Kind::Untrusted);
        assert!(failure.to_string().starts_with("blobs/sha256/") && failure.to_string().contains(says), "{failure}");
    };
    write(&|config| config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse());
    refused("unpacked it has the digest");
    write(&|config| drop(config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop()));
    refused("1 diff IDs for 2 layers");
    // Three packed layers, the payload of a signature, which has a diff ID as well, and an index of which one platform was left out.
    sample::build("1.0").write(&path, None);
    let found = deep(&path).unwrap().deep.unwrap();
    assert_eq!((found.layers, found.left_out.len()), (4, 1));
    assert_eq!(found.left_out[0].platform, Some("linux/arm64".parse().unwrap()));
    assert!(found.unpacked > 160_000);
}

#[test]
fn a_layer_that_cannot_be_unpacked_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    for magic in [&[0x1f, 0x8b, 8, 0][..], &[0x28, 0xb5, 0x2f, 0xfd], &[0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 1]] {
        let mut draft = Draft::sound();
        let layer = draft.layer("application/vnd.oci.image.layer.v1.tar+gzip", [magic, &[7; 900]].concat());
        let mut config: Value = serde_json::from_slice(&draft.documents[0]).unwrap();
        config["rootfs"]["diff_ids"] = json!([layer["digest"]]);
        let config = draft.document("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": crate::forge::MANIFEST, "config": config, "layers": [layer]});
        let image = draft.document(crate::forge::MANIFEST, manifest.to_string().into_bytes());
        draft.image(image, "registry.example/b:1", &|_| ());
        draft.docker.push(json!({"config": config, "tag": "registry.example/b:1", "layers": [layer]}));
        fs::write(&path, tar(&draft.parts(None))).unwrap();
        let failure = deep(&path).unwrap_err();
        assert_eq!(failure.kind, Kind::Untrusted);
        // What was skipped to the end has unpacked to nothing, which is no layer either.
        assert!(failure.to_string().contains(&layer["digest"].as_str().unwrap()[7..]), "{failure}");
    }
}

#[test]
fn a_stream_is_verified_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample::build("1.0").write(&path, None);
    let stream = |args: &[&str], bytes: Vec<u8>| {
        let program = Program::new(folder.path());
        let mut child = program.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || drop(std::io::Write::write_all(&mut input, &bytes)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let good = fs::read(&path).unwrap();
    let (code, out, error) = stream(&["verify", "-", "--allow-unsigned", "--format", "json"], good.clone());
    assert_eq!(code, Some(0), "{error}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["archive"], &said["name"], &said["images"]), (&json!("-"), &json!("sample"), &json!(3)));
    let mut bad = good.clone();
    let at = bad.len() - 1024 - 700;
    bad[at] ^= 1;
    let (code, _, error) = stream(&["verify", "-", "--allow-unsigned"], bad);
    assert!(code == Some(3) && error.contains("blobs/sha256/"), "{code:?} {error}");
    // Nothing of a stream that is not trusted is read further than the signature.
    let (code, _, error) = stream(&["verify", "-", "--key", "no.pub"], good.clone());
    assert!(code == Some(1) && error.contains("no.pub"), "{code:?} {error}");
    let (code, _, error) = stream(&["verify", "-", "--allow-unsigned", "--deep"], good);
    assert!(code == Some(2) && error.contains("--deep"), "{code:?} {error}");
}

#[test]
fn diff_tells_what_differs_and_what_would_travel() {
    let folder = tempfile::tempdir().unwrap();
    for (name, version) in [("a.tar", "1.0"), ("same.tar", "1.0"), ("b.tar", "2.0")] {
        sample::build(version).write(&folder.path().join(name), None);
    }
    fs::write(folder.path().join("other.tar"), tar(&Draft::sound().parts(None))).unwrap();
    let program = Program::new(folder.path());
    let same = program.run(&["diff", "a.tar", "same.tar"]).code(0);
    assert_eq!(same.stdout, "");
    let text = program.run(&["diff", "a.tar", "b.tar"]).code(1).stdout;
    assert!(text.contains("--- a.tar") && text.contains("~ delivery") && text.contains("to travel"), "{text}");
    let said = program.run(&["diff", "a.tar", "b.tar", "--format", "json"]).code(1).json();
    assert_eq!((&said["different"], said["entries"].as_array().unwrap().len()), (&json!(true), 1));
    // The record and the manifest that names it, nothing of the images.
    assert_eq!((&said["added"]["blobs"], &said["removed"]["blobs"]), (&json!(2), &json!(2)));
    let said = program.run(&["diff", "a.tar", "other.tar", "--format", "json"]).code(1).json();
    let entries = said["entries"].as_array().unwrap();
    let of =
        |subject: &str, name: &str| entries.iter().find(|e| e["subject"] == subject && e["name"] == name).unwrap_or_else(|| panic!("{subject} {name}")).clone();
    assert_eq!(of("image", "registry.example/a:1")["change"], "added");
    assert!(of("image", "registry.example/a:1")["travels"].as_u64().unwrap() > 3700);
    assert_eq!((&of("image", "ghcr.io/x/two:2")["change"], &of("app", "glue")["change"]), (&json!("removed"), &json!("removed")));
    assert_eq!(of("chart", "web-1.2.3")["change"], "removed");
    // A failure is no difference.
    program.run(&["diff", "a.tar", "none.tar"]).code(2).says("none.tar");
    fs::write(folder.path().join("bad.tar"), b"bad").unwrap();
    program.run(&["diff", "a.tar", "bad.tar"]).code(3).says("bad.tar");
}

/// Values are told by their places: they may be secret.
#[test]
fn diff_never_shows_values() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, secret: &str| {
        let record = |record: &mut Value| record["apps"][0]["values"] = json!({"auth": {"password": secret, "user": "u"}, "n": 1});
        fs::write(folder.path().join(name), tar(&Draft::edited(&Edits { record: &record, ..Edits::default() }).parts(None))).unwrap();
    };
    write("a.tar", "hunter2");
    write("b.tar", "hunter3");
    for format in ["text", "json"] {
        let out = Program::new(folder.path()).run(&["diff", "a.tar", "b.tar", "--format", format]).code(1).stdout;
        assert!(out.contains("values auth.password") && !out.contains("hunter"), "{out}");
    }
}

/// The page in a real browser, as wide as a phone and as wide as a desk, light and dark: it shows something, and asks nobody for anything.
#[test]
fn the_report_shows_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    sample::build("1.0").write(&folder.path().join("a.tar"), None);
    let out = Program::new(folder.path()).run(&["inspect", "a.tar", "--report", "report.html"]).ok().stdout;
    assert!(out.contains("NOT signed"), "{out}");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("registry.dev:5000/team/one:1.0") && page.contains("not signed"));
    let Some(browser) = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("skipped: no chromium (Debian's package chromium) to show the page in");
        return;
    };
    for (width, dark) in [(390, false), (1280, true)] {
        let picture = folder.path().join(format!("{width}.png"));
        let mut command = std::process::Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]).env("HOME", folder.path());
        command.args([format!("--window-size={width},1600"), format!("--screenshot={}", picture.display())]);
        if dark {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        let url = format!("file://{}", folder.path().join("report.html").display());
        let shown = command.arg(&url).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(shown.success(), "{width}");
        assert!(fs::metadata(&picture).unwrap().len() > 20_000, "the picture {width} wide is empty");
        if let Ok(kept) = std::env::var("OFFLINE_SCREENSHOTS") {
            fs::copy(&picture, Path::new(&kept).join(format!("{width}.png"))).unwrap();
        }
    }
}
