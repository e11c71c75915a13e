//! Signed charts: gpg makes the keys, helm signs and judges.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    sources::Desk,
    support::{
        Finished, finish,
        registry::{Registry, Setup},
        run,
        site::{Page, Site},
        tool,
    },
};

/// Keys that gpg made, in a home of their own.
struct Keys {
    home: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home.path()).args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--yes"]);
        command
    }

    /// A key that certifies and signs.
    fn make(&self, name: &str, algorithm: &str, expires: &str) -> &Self {
        run(self.gpg().args(["--quick-gen-key", &address(name), algorithm, "cert,sign", expires]));
        self
    }

    fn fingerprint(&self, name: &str) -> String {
        let listed = run(self.gpg().args(["--with-colons", "--list-keys", name]));
        listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// Public keys in a file; of all if no name is given.
    fn ring(&self, file: &str, args: &[&str]) -> PathBuf {
        let path = self.home.path().join(file);
        run(self.gpg().args(["--output"]).arg(&path).arg("--export").args(args));
        path
    }

    /// Private keys as helm wants them.
    fn secrets(&self) -> PathBuf {
        let path = self.home.path().join("secret.gpg");
        run(self.gpg().arg("--output").arg(&path).arg("--export-secret-keys"));
        path
    }

    /// A provenance file signed by gpg itself.
    fn sign(&self, name: &str, text: &str, more: &[&str]) -> String {
        let path = self.home.path().join("text");
        fs::write(&path, text).unwrap();
        run(self.gpg().args(more).args(["--local-user", name, "--output", "-", "--clearsign"]).arg(&path))
    }
}

impl Drop for Keys {
    /// gpg started an agent for this home.
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "gpg-agent"]).stderr(Stdio::null()).status();
    }
}

fn address(name: &str) -> String {
    format!("{name} <{name}@offline.test>")
}

/// A chart that helm packed and signed in `repo/`.
fn publish_signed(desk: &Desk, keys: &Keys, by: &str, version: &str) -> PathBuf {
    let packed = desk.publish("web", version);
    let source = format!("src/web-{version}");
    let secrets = keys.secrets();
    desk.helm(&["package", &source, "-d", "repo", "--sign", "--key", by, "--keyring", secrets.to_str().unwrap()]);
    desk.helm(&["repo", "index", "repo"]);
    packed
}

/// The same question to helm and to this program: the same answer, also in words. Helm's own code for failures is 1.
#[track_caller]
fn same(desk: &Desk, args: &[&str]) -> Finished {
    let helm = finish(Command::new(tool("helm3")).env("HOME", desk.path("")).current_dir(desk.path("")).args(["template", "x"]).args(args));
    let ours = desk.run(&[&["template", "x"], args].concat());
    assert_eq!((ours.code != 0, ours.stderr.trim()), (helm.code != 0, helm.stderr.trim()), "{args:?}");
    assert_eq!(ours.stdout.contains("kind:"), helm.stdout.contains("kind:"), "{args:?}");
    ours
}

#[test]
fn signatures_are_judged_as_helm_judges_them() {
    let (desk, keys) = (Desk::new(), Keys::new());
    keys.make("me", "rsa2048", "never").make("other", "ed25519", "never");
    let packed = publish_signed(&desk, &keys, "me", "1.0.0");
    let (mine, others, all) = (keys.ring("mine.gpg", &["me"]), keys.ring("other.gpg", &["other"]), keys.ring("all.gpg", &[]));
    let [mine, others, all, secret] = [mine, others, all, keys.secrets()].map(|path| path.display().to_string());
    let package = packed.display().to_string();
    let verify = |ring: &str| same(&desk, &[&package, "--verify", "--keyring", ring]);
    for ring in [&mine, &all, &secret] {
        verify(ring).ok();
    }
    verify(&others).says("openpgp: signature made by unknown entity");
    verify("none.gpg").says("failed to load keyring: open none.gpg: no such file or directory");
    fs::write(desk.path("bad.gpg"), "no keys").unwrap();
    verify("bad.gpg").says("failed to load keyring: openpgp: invalid data: tag byte does not have MSB set");
    fs::write(desk.path("empty.gpg"), "").unwrap();
    verify("empty.gpg").says("openpgp: signature made by unknown entity");
    fs::write(desk.path("cut.gpg"), &fs::read(&mine).unwrap()[..100]).unwrap();
    verify("cut.gpg").says("failed to load keyring: unexpected EOF");
    same(&desk, &["src/web-1.0.0", "--verify", "--keyring", &mine]).says("unpacked charts cannot be verified");
    fs::copy(&packed, desk.path("web.tar")).unwrap();
    same(&desk, &["./web.tar", "--verify", "--keyring", &mine]).says("chart must be a tgz file");
    // Where helm looks without being told.
    same(&desk, &[&package, "--verify"]).says(".gnupg/pubring.gpg: no such file or directory");
    fs::create_dir(desk.path(".gnupg")).unwrap();
    fs::copy(&mine, desk.path(".gnupg/pubring.gpg")).unwrap();
    same(&desk, &[&package, "--verify"]).ok();
    // The provenance file, spoiled.
    let beside = desk.path("repo/web-1.0.0.tgz.prov");
    let good = fs::read_to_string(&beside).unwrap();
    let digits = good.split("sha256:").nth(1).unwrap()[..64].to_owned();
    for (bad, want) in [
        (good.replace("version: 1.0.0", "version: 1.0.1"), "openpgp: invalid signature: RSA verification failure"),
        (good.replace(&digits, &"a".repeat(64)), "openpgp: invalid signature: RSA verification failure"),
        (good[..good.len() / 2].to_owned(), "failed to decode signature: signature block not found"),
        (good.replace("-----END PGP SIGNATURE-----", ""), "failed to decode signature: signature block not found"),
        (good.replace("Hash: SHA512", "Comment: x"), "failed to decode signature: signature block not found"),
        (String::new(), "failed to decode signature: signature block not found"),
        (keys.sign("me", "apiVersion: v2\nname: web\n", &[]), "message block must have at least two parts"),
        (keys.sign("me", "name: web\n\n...\nfiles:\n  db.tgz: sha256:00\n", &[]), "provenance does not contain a SHA for a file named \"web-1.0.0.tgz\""),
        (
            keys.sign("me", "name: web\n\n...\nfiles:\n  web-1.0.0.tgz: sha256:00\n", &[]),
            "sha256 sum does not match for web-1.0.0.tgz: \"sha256:00\" != \"sha256:",
        ),
        (keys.sign("me", "name: web\n\n...\nfiles: {}\n", &["--digest-algo", "SHA256"]), "provenance does not contain a SHA"),
    ] {
        fs::write(&beside, &bad).unwrap();
        verify(&mine).says(want);
    }
    // What does not change what was signed.
    for fine in [good.replace('\n', "\r\n"), format!("before\n{good}after\n"), good.replace("name: web\n", "name: web \t\n")] {
        fs::write(&beside, fine).unwrap();
        verify(&mine).ok();
    }
    fs::write(&beside, &good).unwrap();
    let mut changed = fs::read(&packed).unwrap();
    changed.extend(b"x");
    fs::write(&packed, changed).unwrap();
    verify(&mine).says("sha256 sum does not match for web-1.0.0.tgz: \"sha256:");
    fs::remove_file(&beside).unwrap();
    verify(&mine).says("could not load provenance file").says("web-1.0.0.tgz.prov: no such file or directory");
    // More than any Chart.yaml: helm has no bound here.
    fs::write(&beside, "x".repeat(7 << 20)).unwrap();
    let giant = desk.run(&["template", "x", &package, "--verify", "--keyring", &mine]);
    giant.says("the most that is read of such a file");
}

#[test]
fn keys_of_all_kinds() {
    let (desk, keys) = (Desk::new(), Keys::new());
    let packed = desk.publish("web", "1.0.0").display().to_string();
    let text = format!("name: web\n\n...\nfiles:\n  web-1.0.0.tgz: {}\n", crate::sources::digest(packed.as_ref()));
    let beside = desk.path("repo/web-1.0.0.tgz.prov");
    for algorithm in ["rsa3072", "dsa2048", "ed25519", "nistp256", "nistp384", "nistp521"] {
        keys.make(algorithm, algorithm, "never");
        let ring = keys.ring(&format!("{algorithm}.gpg"), &[algorithm]).display().to_string();
        let good = keys.sign(algorithm, &text, &[]);
        fs::write(&beside, &good).unwrap();
        same(&desk, &[&packed, "--verify", "--keyring", &ring]).ok();
        fs::write(&beside, good.replace("name: web", "name: wob")).unwrap();
        same(&desk, &[&packed, "--verify", "--keyring", &ring]).says("verification failure");
        // Armored rings are read by Helm 4, and here.
        fs::write(&beside, &good).unwrap();
        let armored = keys.ring(&format!("{algorithm}.asc"), &["--armor", algorithm]).display().to_string();
        desk.run(&["template", "x", &packed, "--verify", "--keyring", &armored]).ok();
        let four = Command::new(tool("helm4")).env("HOME", desk.path("")).args(["template", "x", &packed, "--verify", "--keyring", &armored]).output().unwrap();
        assert!(four.status.success(), "{}", String::from_utf8_lossy(&four.stderr));
    }
    // Others' certifications, attributes and trust are in a ring, and are of no interest.
    let all = keys.ring("all.gpg", &[]).display().to_string();
    same(&desk, &[&packed, "--verify", "--keyring", &all]).ok();
    // A subkey signs.
    keys.make("sub", "ed25519", "never");
    run(keys.gpg().args(["--quick-add-key", &keys.fingerprint("sub"), "rsa2048", "sign", "never"]));
    let ring = keys.ring("sub.gpg", &["sub"]).display().to_string();
    fs::write(&beside, keys.sign("sub", &text, &[])).unwrap();
    same(&desk, &[&packed, "--verify", "--keyring", &ring]).ok();
    // A key that may not sign.
    run(keys.gpg().args(["--quick-gen-key", "certifier", "rsa2048", "cert", "never"]));
    run(keys.gpg().args(["--quick-add-key", &keys.fingerprint("certifier"), "rsa2048", "sign", "never"]));
    let ring = keys.ring("certifier.gpg", &["certifier"]).display().to_string();
    fs::write(&beside, keys.sign("certifier", &text, &[])).unwrap();
    same(&desk, &[&packed, "--verify", "--keyring", &ring]).ok();
    // SHA-1 is no proof any more; helm still takes it.
    fs::write(&beside, keys.sign("rsa3072", &text, &["--digest-algo", "SHA1", "--allow-weak-digest-algos"])).unwrap();
    let ring = keys.home.path().join("rsa3072.gpg").display().to_string();
    desk.run(&["template", "x", &packed, "--verify", "--keyring", &ring]).says("openpgp: unsupported feature: hash function SHA-1");
}

#[test]
fn keys_that_were_taken_back_or_are_out_of_time_do_not_count() {
    let (desk, keys) = (Desk::new(), Keys::new());
    let packed = desk.publish("web", "1.0.0").display().to_string();
    let text = format!("name: web\n\n...\nfiles:\n  web-1.0.0.tgz: {}\n", crate::sources::digest(packed.as_ref()));
    let beside = desk.path("repo/web-1.0.0.tgz.prov");
    let verify = |ring: &PathBuf| same(&desk, &[&packed, "--verify", "--keyring", ring.to_str().unwrap()]);
    // Long ago, for a day.
    run(keys.gpg().args(["--faked-system-time", "20200101T000000", "--quick-gen-key", &address("old"), "ed25519", "cert,sign", "1d"]));
    fs::write(&beside, keys.sign("old", &text, &["--faked-system-time", "20200101T010000"])).unwrap();
    verify(&keys.ring("old.gpg", &["old"])).says("openpgp: key expired");
    // A signature that lasted a day.
    keys.make("me", "ed25519", "never");
    run(keys.gpg().args(["--faked-system-time", "20200101T000000", "--quick-gen-key", &address("long"), "ed25519", "cert,sign", "never"]));
    fs::write(&beside, keys.sign("long", &text, &["--faked-system-time", "20200101T010000", "--default-sig-expire", "1d", "--no-ask-sig-expire"])).unwrap();
    verify(&keys.ring("long.gpg", &["long"])).says("openpgp: signature expired");
    // From the future.
    fs::write(&beside, keys.sign("me", &text, &["--faked-system-time", "20600101T000000", "--ignore-time-conflict"])).unwrap();
    verify(&keys.ring("me.gpg", &["me"])).says("openpgp: signature expired");
    // Taken back: gpg wrote the certificate when it made the key, with a colon before it against accidents.
    fs::write(&beside, keys.sign("me", &text, &[])).unwrap();
    let before = keys.ring("before.gpg", &["me"]);
    verify(&before).ok();
    let certificate = keys.home.path().join("openpgp-revocs.d").join(format!("{}.rev", keys.fingerprint("me")));
    let certificate = fs::read_to_string(certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let path = keys.home.path().join("revocation");
    fs::write(&path, certificate).unwrap();
    run(keys.gpg().arg("--import").arg(&path));
    verify(&keys.ring("revoked.gpg", &["me"])).says("openpgp: signature made by revoked key");
}

#[test]
fn an_export_takes_only_what_was_signed() {
    let (desk, keys, registry) = (Desk::new(), Keys::new(), Registry::start(Setup::default()));
    keys.make("me", "rsa2048", "never").make("other", "ed25519", "never");
    let packed = publish_signed(&desk, &keys, "me", "1.2.0+build.7");
    let (mine, others) = (keys.ring("mine.gpg", &["me"]), keys.ring("other.gpg", &["other"]));
    fs::copy(&mine, desk.path("keys.gpg")).unwrap();
    // helm takes the provenance along.
    desk.helm(&["push", packed.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    let site = Site::folder(desk.path("repo"));
    let (repo, oci) = (format!("repo: '{}', name: web", site.url), format!("oci: 'oci://{}/charts/web'", registry.host));
    for chart in [repo.as_str(), oci.as_str(), "path: 'repo/web-1.2.0+build.7.tgz'"] {
        desk.deliver(&[&format!("{{{chart}, keyring: keys.gpg}}")], "");
        let source = desk.export()["source"].clone();
        assert_eq!(
            (&source["origin"]["signer"], &source["digest"]),
            (&keys.fingerprint("me").into(), &crate::sources::digest(&packed).as_str().into()),
            "{chart}"
        );
        desk.deliver(&[&format!("{{{chart}, keyring: {}}}", others.display())], "");
        desk.refused(4).says("app web0: openpgp: signature made by unknown entity");
    }
    // The lock decides which, the keyring still decides whether; what was verified is here already.
    desk.deliver(&[&format!("{{{repo}, keyring: keys.gpg}}")], "");
    desk.run(&["lock"]).ok();
    site.asked();
    desk.export();
    assert!(site.asked().is_empty());
    fs::copy(&others, desk.path("keys.gpg")).unwrap();
    desk.finish(desk.access()).code(4).says("openpgp: signature made by unknown entity");
    fs::copy(&mine, desk.path("keys.gpg")).unwrap();
    fs::remove_file(desk.path("delivery.lock")).unwrap();
    // No signature, or one for another chart.
    desk.publish("plain", "1.0.0");
    desk.deliver(&[&format!("{{repo: '{}', name: plain, keyring: keys.gpg}}", site.url)], "");
    desk.refused(4).says(&format!("app web0: failed to fetch provenance \"{}/plain-1.0.0.tgz.prov\"", site.url));
    let prov = fs::read(desk.path("repo/web-1.2.0+build.7.tgz.prov")).unwrap();
    fs::write(desk.path("repo/plain-1.0.0.tgz.prov"), prov).unwrap();
    desk.refused(4).says("provenance does not contain a SHA for a file named \"plain-1.0.0.tgz\"");
    desk.chart("own", "own", "0.1.0", "");
    desk.deliver(&["{path: own, keyring: keys.gpg}"], "");
    desk.refused(4).says("unpacked charts cannot be verified");
    // Without end.
    let endless = Site::with(desk.path("repo"), |request| request.path.contains(".prov").then(|| Page { endless: true, ..Page::ok(vec![b'x'; 1 << 20]) }));
    desk.deliver(&[&format!("{{repo: '{}', name: web, keyring: keys.gpg}}", endless.url)], "");
    desk.refused(4).says("failed to fetch provenance");
}

/// The same words for charts elsewhere.
#[test]
fn template_verifies_charts_of_repositories_and_registries() {
    let (desk, keys, registry) = (Desk::new(), Keys::new(), Registry::start(Setup::default()));
    keys.make("me", "rsa2048", "never").make("other", "ed25519", "never");
    let packed = publish_signed(&desk, &keys, "me", "1.0.0");
    desk.helm(&["push", packed.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    let plain = desk.publish("plain", "1.0.0");
    desk.helm(&["push", plain.to_str().unwrap(), &format!("oci://{}/charts", registry.host), "--plain-http"]);
    let site = Site::folder(desk.path("repo"));
    let (mine, others) = (keys.ring("mine.gpg", &["me"]), keys.ring("other.gpg", &["other"]));
    let (oci, url) = (format!("oci://{}/charts/web", registry.host), format!("{}/web-1.0.0.tgz", site.url));
    let unsigned = format!("oci://{}/charts/plain", registry.host);
    for args in [vec!["web", "--repo", &site.url], vec![&url], vec![&oci, "--plain-http"]] {
        let ask = |ring: &PathBuf| {
            let helm_says = |finished: &Finished| finished.stderr.lines().filter(|line| line.starts_with("Error")).collect::<String>();
            let args = [&["template", "x"], args.as_slice(), &["--verify", "--keyring", ring.to_str().unwrap()]].concat();
            let helm = finish(Command::new(tool("helm3")).env("HOME", desk.path("")).current_dir(desk.path("")).args(&args));
            let ours = desk.run(&args);
            assert_eq!((ours.code != 0, helm_says(&ours)), (helm.code != 0, helm_says(&helm)), "{args:?}");
            ours
        };
        ask(&mine).ok();
        ask(&others).says("unknown entity");
    }
    let args = ["template", "x", &unsigned, "--version", "1.0.0", "--plain-http", "--verify", "--keyring", mine.to_str().unwrap()];
    desk.run(&args).says(&format!("failed to fetch provenance \"{unsigned}:1.0.0.prov\""));
    let helm = finish(Command::new(tool("helm3")).env("HOME", desk.path("")).args(args));
    helm.says(&format!("failed to fetch provenance \"{unsigned}:1.0.0.prov\""));
}
