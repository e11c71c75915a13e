//! Archives in volumes, and deltas, signed where they lie: wherever they are cut, whatever interrupts it, and held against other people's tools.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use offline::{
    archive::{self, Trust, volumes::VolumeList},
    failure::{Failure, Kind},
    oci::Digest,
    ops::{
        inspect::{self, InspectOptions},
        sign::{self, SignOptions, SignOutcome},
        verify::{self, Elsewhere, TrustOptions, VerifyOptions},
    },
    progress::Silent,
    signing::{KeySource, PrivateKey},
};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use tempfile::TempDir;

use crate::{
    interop, sample,
    volumes::{boundaries, cut, joined, volume},
};

/// Tells the test's own program to sign: archive and key.
const CHILD: &str = "OFFLINE_TEST_SIGN";

/// A folder with two keys that have no password, `one.key` and `two.key`, and what verifies them.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            let pem = p256::ecdsa::SigningKey::random(&mut rand_core::OsRng).to_pkcs8_pem(LineEnding::LF).unwrap();
            fs::write(folder.path().join(format!("{name}.pub")), PrivateKey::from_pem(&pem, None).unwrap().public().to_pem()).unwrap();
            fs::write(folder.path().join(format!("{name}.key")), pem.as_bytes()).unwrap();
        }
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn private(&self, name: &str) -> PrivateKey {
        PrivateKey::from_pem(&fs::read_to_string(self.at(&format!("{name}.key"))).unwrap(), None).unwrap()
    }

    fn sign(&self, archive: &Path, name: &str, add: bool) -> Result<SignOutcome, Failure> {
        self.sign_with(archive, name, add, &Elsewhere::default())
    }

    fn sign_with(&self, archive: &Path, name: &str, add: bool, elsewhere: &Elsewhere) -> Result<SignOutcome, Failure> {
        let keys = vec![KeySource::File(self.at(&format!("{name}.key")))];
        sign::run_with(&SignOptions { archive: archive.into(), keys, password: None, add, make_room: false }, elsewhere, &Silent)
    }

    /// Verifies that all of these have signed.
    fn verify(&self, archive: &Path, names: &[&str]) -> Result<(), Failure> {
        let keys = names.iter().map(|name| KeySource::File(self.at(&format!("{name}.pub")))).collect();
        let trust = TrustOptions { keys, require: names.len(), ..TrustOptions::default() };
        verify::run(&VerifyOptions { archive: archive.into(), trust, deep: false }, &Silent).map(drop)
    }
}

/// What volumes and their list are, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

/// The list says of each volume what it is.
fn listed(folder: &Path) {
    let list = VolumeList::parse(&fs::read(folder.join("a.tar.volumes.json")).unwrap()).unwrap();
    for volume in &list.volumes {
        let bytes = fs::read(folder.join(&volume.name)).unwrap();
        assert_eq!((volume.size, &volume.digest), (bytes.len() as u64, &Digest::of(&bytes)), "{}", volume.name);
    }
}

#[test]
fn wherever_an_archive_is_cut_it_is_verified_inspected_and_signed() {
    let keys = Keys::new();
    let sample = sample::build_small("1");
    let whole = tempfile::tempdir().unwrap();
    let path = whole.path().join("a.tar");
    sample.write(&path, Some(&keys.private("one")));
    let before = fs::read(&path).unwrap();
    keys.sign(&path, "two", false).unwrap();
    let after = fs::read(&path).unwrap();
    assert!(before != after && before.len() == after.len());
    let index = Digest::of(sample.layout.index_json());
    let mut places = boundaries(&before);
    // Beside each block, those in the middle of the signature included.
    places.extend((512..before.len()).step_by(512).flat_map(|at| [at - 1, at, at + 1]).filter(|&at| at < before.len()));
    places.sort_unstable();
    places.dedup();
    for pair in places.chunks(2) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        cut(folder.path(), &before, &index, pair);
        let what = |failure: Failure| -> Failure { panic!("cut at {pair:?}: {failure}") };
        keys.verify(&at("a.tar.001"), &["one"]).map_err(what).unwrap();
        let inspected = inspect::run(&InspectOptions { archive: at("a.tar.volumes.json"), trust: TrustOptions::default() }).map_err(what).unwrap();
        assert_eq!((inspected.apps.len(), inspected.images.len()), (2, 3));
        let signed = keys.sign(&at("a.tar"), "two", false).map_err(what).unwrap();
        assert_eq!((signed.before, signed.signatures, signed.rewritten), (1, 1, false));
        assert!(joined(folder.path()) == after, "cut at {pair:?}: another archive");
        listed(folder.path());
        assert_eq!(files(folder.path()).len(), pair.len() + 2, "nothing else stays");
        keys.verify(&at("a.tar"), &["two"]).map_err(what).unwrap();
        assert_eq!(keys.verify(&at("a.tar"), &["one"]).unwrap_err().kind, Kind::Untrusted);
    }
}

/// An archive in volumes with room for three signatures, of which one is taken; the second one would lie in two volumes.
fn three(keys: &Keys) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (sample, path) = (sample::build_with_room("1", 3), folder.path().join("a.tar"));
    sample.write(&path, None);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut entries = tar::Archive::new(&bytes[..]);
    let mut entries = entries.entries().unwrap().map(|entry| entry.unwrap());
    let second = entries.find(|entry| entry.path().unwrap().ends_with("index.json.1.sigstore.json")).unwrap();
    sample.write_in(&path, Some(&keys.private("one")), volume(second.raw_file_position() + 300));
    folder
}

#[test]
fn signatures_are_added_to_volumes_and_volumes_without_one_are_not_written() {
    let keys = Keys::new();
    let folder = three(&keys);
    let path = folder.path().join("a.tar");
    let before = files(folder.path());
    let untouched = fs::metadata(folder.path().join("a.tar.004")).unwrap().modified().unwrap();
    let signed = keys.sign(&path, "two", true).unwrap();
    assert_eq!((signed.before, signed.signatures), (1, 2));
    keys.verify(&path, &["one", "two"]).unwrap();
    listed(folder.path());
    let after = files(folder.path());
    let changed: Vec<&str> = before.iter().zip(&after).filter(|(old, new)| old != new).map(|(old, _)| old.0.as_str()).collect();
    assert_eq!(changed, ["a.tar.001", "a.tar.002", "a.tar.volumes.json"], "the second place lies in two volumes");
    assert_eq!(fs::metadata(folder.path().join("a.tar.004")).unwrap().modified().unwrap(), untouched);
    // Again: the same bytes.
    keys.sign(&path, "one", true).unwrap();
    assert!(files(folder.path()) == after);
}

#[test]
fn volumes_in_several_folders_are_signed_where_they_are() {
    let keys = Keys::new();
    let folder = three(&keys);
    let usb = folder.path().join("usb");
    fs::create_dir(&usb).unwrap();
    for name in ["a.tar.001", "a.tar.003"] {
        fs::rename(folder.path().join(name), usb.join(name)).unwrap();
    }
    let elsewhere = Elsewhere { volumes: vec![usb.clone()], ..Elsewhere::default() };
    let failure = keys.sign(&folder.path().join("a.tar"), "two", false).unwrap_err();
    assert!(failure.to_string().contains("a.tar.001, a.tar.003 are missing"), "{failure}");
    keys.sign_with(&folder.path().join("a.tar"), "two", false, &elsewhere).unwrap();
    for name in ["a.tar.001", "a.tar.003"] {
        fs::rename(usb.join(name), folder.path().join(name)).unwrap();
    }
    listed(folder.path());
    keys.verify(&folder.path().join("a.tar"), &["two"]).unwrap();
}

#[test]
fn what_cannot_be_signed_in_volumes_is_refused_before_a_byte_is_changed() {
    let keys = Keys::new();
    let folder = three(&keys);
    let (path, before) = (folder.path().join("a.tar"), files(folder.path()));
    let all: Vec<KeySource> = (0..4)
        .map(|number| {
            let pem = p256::ecdsa::SigningKey::random(&mut rand_core::OsRng).to_pkcs8_pem(LineEnding::LF).unwrap();
            let path = keys.at(&format!("{number}.key"));
            fs::write(&path, pem.as_bytes()).unwrap();
            KeySource::File(path)
        })
        .collect();
    let sign = |make_room| sign::run(&SignOptions { archive: path.clone(), keys: all.clone(), password: None, add: false, make_room }, &Silent).unwrap_err();
    assert!(sign(false).to_string().contains("there are 4 signatures, and the archive has room for 3"));
    let failure = sign(true);
    assert!(failure.to_string().contains("has room for 3 signatures and is in volumes") && failure.hints[0].contains("`cat`"), "{failure}");
    assert_eq!(failure.kind, Kind::Usage);
    assert!(files(folder.path()) == before);
    // Nobody vouches for what is damaged.
    let mut bytes = fs::read(folder.path().join("a.tar.005")).unwrap();
    bytes[100] ^= 1;
    fs::write(folder.path().join("a.tar.005"), bytes).unwrap();
    let before = files(folder.path());
    let failure = keys.sign(&path, "two", false).unwrap_err();
    assert!(failure.kind == Kind::Untrusted && failure.to_string().contains("a.tar.005`, is damaged"), "{failure}");
    assert!(files(folder.path()) == before);
}

/// All that an interrupted run can leave behind: what is to be written is told, and any of the writes behind it have happened.
#[test]
fn an_interrupted_signing_is_told_and_ends_when_signed_again() {
    let keys = Keys::new();
    let template = three(&keys);
    let copy = || {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files(template.path()) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    };
    let signed = copy();
    keys.sign(&signed.path().join("a.tar"), "two", true).unwrap();
    let (old, new) = (files(template.path()), files(signed.path()));
    let bundles = archive::open(&signed.path().join("a.tar")).unwrap().signatures().unwrap();
    let list = VolumeList::parse(&fs::read(signed.path().join("a.tar.volumes.json")).unwrap()).unwrap();
    let all: Vec<Option<&str>> = bundles.iter().map(|(_, bundle)| Some(bundle.as_str())).chain([None]).collect();
    let told = serde_json::json!({"format": 1, "index": list.index, "signatures": all}).to_string();
    // Whether each file that changes is the old one, the new one, or torn in the middle.
    let changing: Vec<usize> = (0..old.len()).filter(|&at| old[at] != new[at]).collect();
    for state in 0..3_usize.pow(2) * 2 {
        let folder = copy();
        let path = folder.path().join("a.tar");
        let kinds = [state % 3, state / 3 % 3, state / 9];
        for (&at, kind) in changing.iter().zip(kinds) {
            let mut bytes = old[at].1.clone();
            let differing: Vec<usize> = (0..bytes.len().min(new[at].1.len())).filter(|&byte| bytes[byte] != new[at].1[byte]).collect();
            match kind {
                0 => {}
                1 => bytes.clone_from(&new[at].1),
                _ => differing[..differing.len() / 2].iter().for_each(|&byte| bytes[byte] = new[at].1[byte]),
            }
            fs::write(folder.path().join(&old[at].0), bytes).unwrap();
        }
        fs::write(folder.path().join("a.tar.volumes.json.signing"), &told).unwrap();
        for name in ["a.tar", "a.tar.001", "a.tar.volumes.json"] {
            let failure = keys.verify(&folder.path().join(name), &["one"]).unwrap_err();
            assert!(failure.kind == Kind::Untrusted && failure.to_string().contains("was begun and never ended"), "{failure}");
            assert!(failure.hints[0].contains("`sign` again"), "{:?}", failure.hints);
        }
        assert!(inspect::run(&InspectOptions { archive: path.clone(), trust: TrustOptions::default() }).is_err());
        let outcome = keys.sign(&path, "two", true).unwrap_or_else(|failure| panic!("{kinds:?}: {failure}"));
        assert_eq!((outcome.before, outcome.signatures), (2, 2));
        assert!(files(folder.path()) == new, "{kinds:?}");
    }
}

#[test]
fn what_tells_of_another_signing_is_not_followed() {
    let keys = Keys::new();
    let folder = three(&keys);
    let path = folder.path().join("a.tar");
    let before = joined(folder.path());
    let other = serde_json::json!({"format": 1, "index": Digest::of(b"x"), "signatures": []}).to_string();
    for (text, says) in [("", "is not the JSON"), ("{\"format\": 1}", "missing field"), (other.as_str(), "of another archive")] {
        fs::write(folder.path().join("a.tar.volumes.json.signing"), text).unwrap();
        let failure = keys.sign(&path, "two", true).unwrap_err();
        assert!(failure.kind == Kind::Untrusted && failure.to_string().contains(says) && failure.hints[0].contains("remove it"), "{failure}");
    }
    fs::remove_file(folder.path().join("a.tar.volumes.json.signing")).unwrap();
    assert!(joined(folder.path()) == before);
    // A new archive of this name has nothing to do with it.
    fs::write(folder.path().join("a.tar.volumes.json.signing"), other).unwrap();
    sample::build_with_room("1", 3).write_in(&path, Some(&keys.private("one")), volume(30_000));
    keys.verify(&path, &["one"]).unwrap();
}

/// Not a test: what is killed below.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (archive, key) = told.split_once('|').unwrap();
    let options = SignOptions { archive: archive.into(), keys: vec![KeySource::File(key.into())], password: None, add: false, make_room: false };
    sign::run(&options, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn killed_at_any_moment_signing_leaves_the_old_the_new_or_says_so() {
    let keys = Keys::new();
    let folder = three(&keys);
    let path = folder.path().join("a.tar");
    let start = |key: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "resigning::child", "--test-threads=1"]).env(CHILD, format!("{}|{}", path.display(), keys.at(key).display()));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let begun = Instant::now();
    assert!(start("two.key").wait().unwrap().success());
    let whole = begun.elapsed();
    let two = files(folder.path());
    assert!(start("one.key").wait().unwrap().success());
    let one = files(folder.path());
    let mut state = 0x5eed_u64;
    for round in 0..30 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole * u32::try_from(state >> 48).unwrap() / (1 << 16);
        let mut process = start("two.key");
        thread::sleep(moment);
        let _ = process.kill();
        process.wait().unwrap();
        let left = files(folder.path());
        if folder.path().join("a.tar.volumes.json.signing").exists() {
            let failure = keys.verify(&path, &["one"]).unwrap_err();
            assert!(failure.to_string().contains("was begun and never ended"), "round {round}, after {moment:?}: {failure}");
        } else {
            // What was to be renamed when the run ended says nothing.
            let left: Vec<_> = left.into_iter().filter(|(name, _)| !name.starts_with(".part-")).collect();
            assert!(left == one || left == two, "round {round}, after {moment:?}");
        }
        keys.sign(&path, "one", false).unwrap_or_else(|failure| panic!("round {round}, after {moment:?}: {failure}"));
        let after: Vec<_> = files(folder.path()).into_iter().filter(|(name, _)| !name.starts_with(".part-")).collect();
        assert!(after == one, "round {round}, after {moment:?}");
    }
}

/// `cat` joins volumes, signed where they lie, to what other people's tools read.
#[test]
fn joined_volumes_are_read_by_skopeo_podman_and_cosign() {
    let keys = Keys::new();
    let sample = sample::build("1");
    let whole = sample.layout.size();
    let work = interop::Work::new();
    let mut read = 0;
    for size in [whole / 2 + 1, 70_001, 512 * 40, 1_021] {
        let folder = work.path().join(size.to_string());
        fs::create_dir(&folder).unwrap();
        sample.write_in(&folder.join("a.tar"), None, volume(size));
        keys.sign(&folder.join("a.tar"), "two", false).unwrap();
        let cat = format!("cat {0}/a.tar.[0-9]* > joined.tar", folder.display());
        work.run(Path::new("/bin/sh"), &["-c", &cat]);
        if let Some(skopeo) = interop::tool("skopeo") {
            let copied = format!("dir:copied-{size}");
            let from = "oci-archive:joined.tar:registry.dev:5000/team/one:1.0";
            work.run(&skopeo, &["copy", "-q", "--insecure-policy", "--preserve-digests", from, &copied]);
            work.run(&skopeo, &["inspect", "docker-archive:joined.tar:docker.io/library/two:latest"]);
            read += 1;
        }
        if let Some(cosign) = interop::tool("cosign") {
            tar::Archive::new(fs::File::open(work.path().join("joined.tar")).unwrap()).unpack(folder.join("layout")).unwrap();
            let (index, public) = (folder.join("layout/index.json"), keys.at("two.pub"));
            let bundle = format!("{}.sigstore.json", index.display());
            let arguments = ["verify-blob", "--key", public.to_str().unwrap(), "--bundle", &bundle, "--insecure-ignore-tlog", index.to_str().unwrap()];
            work.run(&cosign, &arguments);
        }
    }
    if let Some(podman) = interop::tool("podman") {
        let store = ["--root", "store", "--runroot", "run", "--storage-driver", "vfs"];
        let podman = |args: &[&str]| work.run(&podman, &[&store, args].concat());
        podman(&["load", "-q", "-i", "joined.tar"]);
        let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        assert!(["registry.dev:5000/team/one:1.0", "docker.io/library/two:latest", "ghcr.io/x/two:2"].iter().all(|name| names.contains(name)), "{names}");
        read += 1;
    }
    if read == 0 {
        eprintln!("skipped: neither skopeo nor podman is installed");
    }
}

#[test]
fn the_program_signs_volumes() {
    let keys = Keys::new();
    let folder = three(&keys);
    let program = crate::support::Program::new(folder.path());
    let key = |name: &str| keys.at(name).display().to_string();
    let told = program.run(&["sign", "a.tar.001", "--add", "--key", &key("two.key")]).ok().stdout;
    assert!(told.contains("a.tar.001: signed by sha256:") && told.contains("it carries 2 signatures"), "{told}");
    program.run(&["verify", "a.tar", "--key", &key("one.pub"), "--key", &key("two.pub"), "--require", "2"]).ok();
    fs::write(folder.path().join("a.tar.volumes.json.signing"), "{}").unwrap();
    program.run(&["verify", "a.tar", "--key", &key("one.pub")]).code(3).says("a.tar.volumes.json.signing");
    archive::open(&folder.path().join("a.tar")).map(|unverified| unverified.verify(&Trust::AllowUnsigned, &Silent)).unwrap_err();
}
