//! Trust through the program: what is not trusted is exit 3 with the entry's name, and no connection to the cluster is even opened.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use crate::{
    quickstart::export,
    support::{Finished, Program, run, tool},
};

/// A cluster that counts who calls, and answers nobody. What never connects has written nothing.
struct Tripwire {
    kubeconfig: PathBuf,
    calls: Arc<AtomicUsize>,
}

impl Tripwire {
    fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        let kubeconfig = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        fs::write(&kubeconfig, text).unwrap();
        Self { kubeconfig, calls }
    }
}

/// A delivered archive that tests damage.
struct Case {
    folder: TempDir,
    bytes: Vec<u8>,
    wire: Tripwire,
}

impl Case {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let bytes = fs::read(export(folder.path())).unwrap();
        let wire = Tripwire::new(folder.path());
        Self { folder, bytes, wire }
    }

    fn run(&self, command: &str, bytes: &[u8], extra: &[&str]) -> Finished {
        fs::write(self.folder.path().join("case.tar"), bytes).unwrap();
        let mut args = vec![command, "case.tar"];
        if command == "install" {
            args.extend(["--kubeconfig", self.wire.kubeconfig.to_str().unwrap(), "--timeout", "5s"]);
        }
        args.extend(extra);
        Program::new(self.folder.path()).run(&args)
    }

    /// Both commands must refuse, naming the entry, with no call to the cluster.
    #[track_caller]
    fn refused(&self, what: &str, bytes: &[u8], names: &str) {
        for command in ["verify", "install"] {
            let finished = self.run(command, bytes, &["--key", "offline.pub"]);
            assert_eq!(finished.code, 3, "{what}, {command}: {}", finished.stderr);
            assert!(finished.stderr.contains(names), "{what}, {command}: no `{names}` in {}", finished.stderr);
        }
        assert_eq!(self.wire.calls.load(Ordering::SeqCst), 0, "{what}: the cluster was called");
    }

    /// Name, offset of the header, offset of the content and size of each entry.
    fn entries(&self) -> Vec<(String, usize, usize, usize)> {
        let mut archive = tar::Archive::new(&self.bytes[..]);
        let offset = |at: u64| usize::try_from(at).unwrap();
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            (name, offset(entry.raw_header_position()), offset(entry.raw_file_position()), offset(entry.size()))
        });
        entries.collect()
    }

    fn entry(&self, name: &str) -> (usize, usize, usize) {
        let (_, header, content, size) = self.entries().into_iter().find(|entry| entry.0 == name).unwrap_or_else(|| panic!("no {name}"));
        (header, content, size)
    }

    /// The archive with entries put in before its end.
    fn with(&self, entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let end = self.entries().iter().map(|(_, _, content, size)| content + size.div_ceil(512) * 512).max().unwrap();
        let mut more = self.bytes[..end].to_vec();
        for (name, kind, content) in entries {
            more.extend(entry_bytes(name, *kind, content));
        }
        more.resize(more.len() + 1024, 0);
        more
    }
}

fn entry_bytes(name: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes()); // set_path refuses `..`
    header.set_size(content.len() as u64);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("oci-layout").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    bytes
}

#[test]
fn the_wire_trips_when_the_archive_is_good() {
    let case = Case::new();
    let finished = case.run("install", &case.bytes, &["--key", "offline.pub"]);
    assert_eq!(finished.code, 5, "{}", finished.stderr);
    assert!(case.wire.calls.load(Ordering::SeqCst) > 0, "the other tests of this file would prove nothing");
}

#[test]
fn a_flipped_byte_in_any_entry() {
    let case = Case::new();
    for (name, header, content, size) in case.entries() {
        let mut bytes = case.bytes.clone();
        let at = if name.ends_with(".sigstore.json") { content + size / 4 } else { content + size / 2 };
        bytes[at] ^= 1;
        case.refused(&format!("content of {name}"), &bytes, &name);
        let mut bytes = case.bytes.clone();
        bytes[header + 157] ^= 1; // the link's name, which is empty: only the checksum tells
        case.refused(&format!("header of {name}"), &bytes, "");
    }
}

#[test]
fn truncated_appended_duplicated_renamed_oversized() {
    let case = Case::new();
    let (last, _, content, size) = case.entries().into_iter().next_back().unwrap();
    case.refused("truncated in a layer", &case.bytes[..content + size / 2], &last);
    case.refused("truncated in index.json", &case.bytes[..case.entry("index.json").1 + 10], "index.json");
    case.refused("empty", &[], "");
    let file = tar::EntryType::Regular;
    case.refused("appended", &case.with(&[("extra", file, b"x")]), "extra");
    case.refused("duplicated", &case.with(&[("oci-layout", file, br#"{"imageLayoutVersion":"1.0.0"}"#)]), "oci-layout");
    let unknown = format!("blobs/sha256/{}", "0".repeat(64));
    case.refused("a blob that nothing names", &case.with(&[(&unknown, file, b"x")]), &unknown);
    let mut renamed = case.bytes.clone();
    rename(&mut renamed, case.entry(&last).0, &unknown);
    case.refused("renamed", &renamed, "blobs/sha256/");
    let mut oversized = case.bytes.clone();
    resize(&mut oversized, case.entry("index.json").0, 0o7_777_777_777);
    case.refused("oversized", &oversized, "index.json");
}

#[test]
fn paths_that_climb_and_links() {
    let case = Case::new();
    for name in ["../evil", "blobs/../../evil", "/evil"] {
        case.refused(name, &case.with(&[(name, tar::EntryType::Regular, b"x")]), "evil");
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::Char, tar::EntryType::Directory] {
        case.refused(&format!("{kind:?}"), &case.with(&[("blobs/evil", kind, b"")]), "evil");
    }
    assert!(!case.folder.path().parent().unwrap().join("evil").exists());
}

#[test]
fn stripped_foreign_and_swapped_signatures() {
    let case = Case::new();
    let bundle = "index.json.sigstore.json";
    let (header, content, size) = case.entry(bundle);
    let mut stripped = case.bytes.clone();
    stripped.drain(header..content + size.div_ceil(512) * 512);
    case.refused("stripped", &stripped, bundle);

    let other = Program::new(case.folder.path());
    other.run(&["keygen", "-o", "other"]).ok();
    fs::write(case.folder.path().join("foreign.tar"), &case.bytes).unwrap();
    other.run(&["sign", "foreign.tar", "--key", "other.key"]).ok();
    let foreign_only = |bytes: &[u8]| case.run("verify", bytes, &["--key", "other.pub"]);
    let code = foreign_only(&case.bytes).code;
    assert_eq!(code, 3, "a key that did not sign");

    let delivery = TempDir::new().unwrap();
    export(delivery.path()); // the same delivery, another key
    let theirs = fs::read(delivery.path().join("quickstart.tar")).unwrap();
    case.refused("foreign", &theirs, "sign");
    let mut swapped = case.bytes.clone();
    swapped[content..content + size].copy_from_slice(&theirs[content..content + size]);
    case.refused("swapped", &swapped, "sign");
}

#[test]
fn no_key_is_no_trust_unless_said() {
    let case = Case::new();
    assert_eq!(case.run("verify", &case.bytes, &[]).code, 3);
    assert_eq!(case.run("install", &case.bytes, &[]).code, 3);
    assert_eq!(case.wire.calls.load(Ordering::SeqCst), 0);
    let allowed = case.run("verify", &case.bytes, &["--allow-unsigned"]).ok();
    assert!((allowed.stdout + &allowed.stderr).to_lowercase().contains("unsigned"), "it must be said");
}

#[test]
fn cosign_verifies_ours_and_we_accept_cosigns() {
    let case = Case::new();
    let at = case.folder.path();
    for name in ["index.json", "index.json.sigstore.json"] {
        let mut archive = tar::Archive::new(&case.bytes[..]);
        let mut entry = archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new(name)).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        fs::write(at.join(name), content).unwrap();
    }
    let cosign = || {
        let mut command = Command::new(tool("cosign"));
        command.current_dir(at).env("HOME", at).env("COSIGN_PASSWORD", "");
        command
    };
    run(cosign().args(["verify-blob", "--key", "offline.pub", "--bundle", "index.json.sigstore.json", "--insecure-ignore-tlog", "index.json"]));

    run(cosign().args(["generate-key-pair"]));
    fs::write(at.join("noservices.json"), r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}"#).unwrap();
    run(cosign().args(["sign-blob", "--yes", "--key", "cosign.key", "--signing-config", "noservices.json", "--bundle", "theirs.json", "index.json"]));
    let mut theirs = fs::read(at.join("theirs.json")).unwrap();
    let (_, content, size) = case.entry("index.json.sigstore.json");
    assert!(theirs.len() <= size, "cosign's bundle does not fit in the room kept for signatures");
    theirs.resize(size, b' ');
    let mut bytes = case.bytes.clone();
    bytes[content..content + size].copy_from_slice(&theirs);
    case.run("verify", &bytes, &["--key", "cosign.pub"]).ok();
    case.refused("cosign's signature, our key", &bytes, "sign");

    // keys go both ways as well; ours is one without a password
    run(cosign().args(["sign-blob", "--yes", "--key", "offline.key", "--signing-config", "noservices.json", "--bundle", "again.json", "index.json"]));
    run(cosign().args(["verify-blob", "--key", "offline.pub", "--bundle", "again.json", "--insecure-ignore-tlog", "index.json"]));
    fs::write(at.join("resigned.tar"), &case.bytes).unwrap();
    Program::new(at).run(&["sign", "resigned.tar", "--key", "cosign.key"]).ok();
    Program::new(at).run(&["verify", "resigned.tar", "--key", "cosign.pub"]).ok();
}

fn rename(bytes: &mut [u8], header: usize, name: &str) {
    bytes[header..header + 100].fill(0);
    bytes[header..header + name.len()].copy_from_slice(name.as_bytes());
    checksum(&mut bytes[header..header + 512]);
}

fn resize(bytes: &mut [u8], header: usize, size: u64) {
    bytes[header + 124..header + 136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    checksum(&mut bytes[header..header + 512]);
}

fn checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
