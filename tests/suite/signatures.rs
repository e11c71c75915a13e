//! Several signatures in one archive: whose count, how many are wanted, where they stand, and that cosign verifies each of them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use offline::{
    archive::{self, Signer, Standing, Trust},
    failure::Kind,
    ops::{
        keygen::{self, KeygenOptions},
        sign::{self, SignOptions, SignOutcome},
        verify::{self, TrustOptions, VerifyOptions, VerifyOutcome},
    },
    progress::Silent,
    signing::KeySource,
};

use crate::{interop::Work, sample};

const PASSWORD: &str = "pässword";

/// A folder with keys and an archive that has room for so many signatures.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(room: usize) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for name in ["one", "two", "three"] {
            keygen::run(&KeygenOptions { name: desk.at(name), password: PASSWORD.into() }).unwrap();
        }
        sample::build_with_room("1.0", room).write(&desk.at("a.tar"), None);
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key(&self, name: &str) -> KeySource {
        self.at(name).into()
    }

    fn sign(&self, keys: &[&str], change: impl FnOnce(&mut SignOptions)) -> Result<SignOutcome, offline::failure::Failure> {
        let keys = keys.iter().map(|name| self.key(&format!("{name}.key"))).collect();
        let mut options = SignOptions { archive: self.at("a.tar"), keys, password: Some(PASSWORD.into()), add: false, make_room: false };
        change(&mut options);
        sign::run(&options, &Silent)
    }

    fn verify(&self, keys: &[&str], require: usize) -> Result<VerifyOutcome, offline::failure::Failure> {
        let keys = keys.iter().map(|name| self.key(&format!("{name}.pub"))).collect();
        let trust = TrustOptions { keys, require, ..TrustOptions::default() };
        verify::run(&VerifyOptions { archive: self.at("a.tar"), trust, deep: false }, &Silent)
    }

    /// What is not a signature.
    fn payload(&self) -> Vec<(String, Vec<u8>)> {
        entries(&self.at("a.tar")).into_iter().filter(|(name, _)| !name.ends_with(".sigstore.json")).collect()
    }
}

fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn signers(standing: &Standing) -> usize {
    match standing {
        Standing::Signed { also, .. } => 1 + also.len(),
        _ => 0,
    }
}

#[test]
fn so_many_different_keys_must_have_signed() {
    let desk = Desk::new(4);
    desk.sign(&["one", "two"], |_| ()).unwrap();
    assert_eq!(signers(&desk.verify(&["one", "two", "three"], 2).unwrap().signature), 2);
    assert_eq!(signers(&desk.verify(&["one", "three"], 1).unwrap().signature), 1);
    let error = desk.verify(&["one", "three"], 2).unwrap_err();
    assert_eq!(error.kind, Kind::Untrusted);
    assert!(error.to_string().contains("signed by 1 of the trusted keys") && error.to_string().contains("by 2"), "{error}");
    assert_eq!(desk.verify(&["one", "two", "three"], 3).unwrap_err().kind, Kind::Untrusted);
    assert_eq!(desk.verify(&["three"], 1).unwrap_err().kind, Kind::Untrusted);
    // The same key does not count twice, neither as trusted nor as a signature.
    assert_eq!(desk.verify(&["one", "one"], 2).unwrap_err().kind, Kind::Usage);
    let archive = archive::open(&desk.at("a.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap();
    let one = sign::SigningKeys::read(&[desk.key("one.key")], Some(&PASSWORD.into())).unwrap().unwrap().open().unwrap().unwrap();
    let bundle = one.keys()[0].sign(archive.index_json()).unwrap();
    archive.put_signatures(&[bundle.clone(), bundle]).unwrap();
    assert_eq!(desk.verify(&["one", "two"], 2).unwrap_err().kind, Kind::Untrusted);
    assert_eq!(signers(&desk.verify(&["one", "two"], 1).unwrap().signature), 1);
}

#[test]
fn signing_moves_nothing() {
    let desk = Desk::new(3);
    let before = (desk.payload(), fs::metadata(desk.at("a.tar")).unwrap().len());
    desk.sign(&["one"], |_| ()).unwrap();
    let first = fs::read(desk.at("a.tar")).unwrap();
    let added = desk.sign(&["two"], |o| o.add = true).unwrap();
    assert_eq!((added.before, added.signatures), (1, 2));
    desk.verify(&["one", "two"], 2).unwrap();
    let both = fs::read(desk.at("a.tar")).unwrap();
    // Again by a key that has signed: in its place, with the same bytes.
    assert_eq!(desk.sign(&["one"], |o| o.add = true).unwrap().signatures, 2);
    assert_eq!(fs::read(desk.at("a.tar")).unwrap(), both);
    // Without --add the others go.
    assert_eq!(desk.sign(&["one"], |_| ()).unwrap().before, 2);
    assert!(fs::read(desk.at("a.tar")).unwrap() == first);
    assert!(before == (desk.payload(), fs::metadata(desk.at("a.tar")).unwrap().len()));
}

#[test]
fn room_is_made_only_when_that_is_said() {
    let desk = Desk::new(1);
    let payload = desk.payload();
    desk.sign(&["one"], |_| ()).unwrap();
    let before = fs::read(desk.at("a.tar")).unwrap();
    let error = desk.sign(&["two", "three"], |o| o.add = true).unwrap_err();
    assert!(error.to_string().contains("room for 1") && error.hints[0].contains("--make-room"), "{error}");
    assert!(fs::read(desk.at("a.tar")).unwrap() == before, "a refusal changes nothing");
    let made = desk.sign(&["two", "three"], |o| (o.add, o.make_room) = (true, true)).unwrap();
    assert!(made.rewritten && made.signatures == 3);
    desk.verify(&["one", "two", "three"], 3).unwrap();
    assert!(desk.payload() == payload);
    // It is the very archive that is written with this room from the start.
    sample::build_with_room("1.0", 3).write(&desk.at("b.tar"), None);
    let archive = archive::open(&desk.at("a.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap();
    archive.put_signatures(&[]).unwrap();
    assert!(fs::read(desk.at("a.tar")).unwrap() == fs::read(desk.at("b.tar")).unwrap());
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 8, "no temporary file stays");
    let many = desk.sign(&["one"], |_| ()).unwrap();
    assert!(!many.rewritten);
}

/// Strangers' signatures are passed over; what was damaged is not, however many good ones stand beside it.
#[test]
fn damage_in_any_place_for_a_signature_is_noticed() {
    let desk = Desk::new(4);
    desk.sign(&["one", "two"], |_| ()).unwrap();
    let good = fs::read(desk.at("a.tar")).unwrap();
    let places: Vec<(String, usize)> = {
        let mut archive = tar::Archive::new(&good[..]);
        let place =
            |e: std::io::Result<tar::Entry<'_, &[u8]>>| e.map(|e| (e.path().unwrap().display().to_string(), usize::try_from(e.raw_file_position()).unwrap()));
        archive.entries().unwrap().map(|e| place(e).unwrap()).filter(|(name, _)| name.ends_with(".sigstore.json")).collect()
    };
    assert_eq!(places.len(), 4);
    for (name, at) in places {
        for offset in [1, 300, 4000] {
            let mut bad = good.clone();
            bad[at + offset] ^= 1;
            fs::write(desk.at("a.tar"), bad).unwrap();
            let error = desk.verify(&["one", "two"], 1).unwrap_err();
            assert!(error.kind == Kind::Untrusted && error.to_string().contains(&name), "{name} at {offset}: {error}");
        }
    }
}

/// A signature of ours for every kind of key and every place that a key can come from; the judge is cosign.
#[test]
fn cosign_verifies_every_kind_of_signature() {
    let (Some(cosign), Some(openssl)) = (crate::interop::tool("cosign"), crate::interop::tool("openssl")) else { return };
    let work = Work::new();
    let at = |name: &str| work.path().join(name);
    sample::build_with_room("1.0", 2).write(&at("a.tar"), None);
    work.run(&openssl, &["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]);
    work.run(&openssl, &["pkey", "-in", "ed.pem", "-pubout", "-out", "ed.pub"]);
    work.run(&openssl, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sec1.pem"]);
    work.run(&openssl, &["pkey", "-in", "sec1.pem", "-pubout", "-out", "sec1.pub"]);
    work.run(&cosign, &["generate-key-pair", "--output-key-prefix", "theirs"]);
    let text = fs::read_to_string(at("theirs.key")).unwrap();
    let keys = vec![
        at("ours.key").into(),
        KeySource::parse("env://KEY".as_ref(), |_| Some(text.as_str().into())),
        KeySource::parse(format!("exec:cat {}", at("ed.pem").display()).as_ref(), |_| None),
        at("sec1.pem").into(),
    ];
    let options = SignOptions { archive: at("a.tar"), keys, password: Some(PASSWORD.into()), add: false, make_room: true };
    assert_eq!(sign::run(&options, &Silent).unwrap().signatures, 4);
    tar::Archive::new(fs::File::open(at("a.tar")).unwrap()).unpack(at("signed")).unwrap();
    let bundles = ["index.json", "index.json.1", "index.json.2", "index.json.3"];
    for (bundle, key) in bundles.iter().zip(["ours.pub", "theirs.pub", "ed.pub", "sec1.pub"]) {
        let bundle = format!("signed/{bundle}.sigstore.json");
        let verify = |key: &str| work.try_run(&cosign, &["verify-blob", "--key", key, "--bundle", &bundle, "--insecure-ignore-tlog", "signed/index.json"]);
        verify(key).unwrap();
        verify(if key == "ours.pub" { "theirs.pub" } else { "ours.pub" }).unwrap_err();
    }
    let trust = TrustOptions { keys: ["ours.pub", "theirs.pub", "ed.pub", "sec1.pub"].map(|key| at(key).into()).into(), require: 4, ..TrustOptions::default() };
    let archive = Arc::new(verify::open(&at("a.tar"), &trust, &Silent).unwrap());
    assert_eq!(signers(archive.standing()), 4);
    // And their tools read an archive with room for more than there is.
    if let Some(skopeo) = crate::interop::tool("skopeo") {
        work.run(&skopeo, &["inspect", "oci-archive:a.tar:registry.dev:5000/team/one:1.0"]);
        work.run(&skopeo, &["inspect", "docker-archive:a.tar:docker.io/library/two:latest"]);
    }
}

/// Through the program: keys of every place, pinned keys, the threshold, and the oldest version.
#[test]
fn the_program_trusts_whom_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    sample::build_with_room("1.4.0", 2).write(&at("a.tar"), None);
    let program = crate::support::Program::new(folder.path());
    for name in ["one", "two", "stranger"] {
        program.run(&["keygen", "-o", name]).ok();
    }
    let with_key = crate::support::Program::new(folder.path()).env("KEY", &fs::read_to_string(at("one.key")).unwrap());
    with_key.run(&["sign", "a.tar", "--key", "env://KEY", "--key", "exec:cat two.key"]).ok();
    program.run(&["sign", "a.tar", "--key", "env://KEY"]).code(2).says("no variable `KEY`");
    program.run(&["sign", "a.tar", "--key", "stranger.key", "--add"]).code(1).says("--make-room");

    program.run(&["verify", "a.tar"]).code(3).says("trust add");
    assert!(program.run(&["trust", "list"]).ok().stdout.starts_with("NAME"));
    for name in ["one", "two"] {
        assert!(program.run(&["trust", "add", name, &format!("{name}.pub")]).ok().stdout.contains("sha256:"));
    }
    let verified = program.run(&["verify", "a.tar", "--require", "2", "--format", "json"]).ok().json();
    assert_eq!((&verified["signature"]["by"]["name"], &verified["signature"]["also"][0]["by"]["name"]), (&"one".into(), &"two".into()));
    assert!(program.run(&["verify", "a.tar"]).ok().stdout.contains("signed by one (sha256:"));
    program.run(&["verify", "a.tar", "--require", "3"]).code(2).says("only 2 are trusted");
    program.run(&["verify", "a.tar", "--key", "stranger.pub"]).code(3);
    program.run(&["trust", "remove", "two"]).ok();
    program.run(&["verify", "a.tar", "--require", "2"]).code(2);
    let listed = program.run(&["trust", "list", "--format", "json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().iter().map(|key| &key["name"]).collect::<Vec<_>>(), ["one"]);
    assert!(at(".config/kubectl-offline/trust/one.pub").exists());

    program.run(&["verify", "a.tar", "--minimum-version", "1.4"]).ok();
    program.run(&["verify", "a.tar", "--minimum-version", "1.10"]).code(3).says("sample 1.4.0 is older than 1.10");
    program.run(&["verify", "a.tar", "--minimum-version", "friday"]).code(2);
    fs::write(at(".config/kubectl-offline/trust/broken.pub"), "hello").unwrap();
    program.run(&["verify", "a.tar"]).code(2).says("broken.pub");
}
