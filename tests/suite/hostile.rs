//! Attacks and accidents: whatever happens to an archive after it was signed is found, and the message names the place.

use std::path::PathBuf;

use offline::{
    archive::{self, ArchiveError, BuildError, Limits, Signer as _, Standing, Trust, Writer},
    failure::Kind,
    oci::Digest,
    ops::{
        inspect::{self, InspectOptions},
        sign::{self, SignOptions},
        verify::{self, TrustOptions, VerifyOptions},
    },
    progress::Silent,
    signing::{PrivateKey, TrustedKeys},
};

use tar::EntryType as T;

use crate::sample;

/// A signed archive in a folder, and the key to check it with.
struct Case {
    folder: tempfile::TempDir,
    key: PrivateKey,
    bytes: Vec<u8>,
}

/// An entry of the tar: where its header and its content begin, and the content's size.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    head: usize,
    at: usize,
    size: usize,
}

impl Entry {
    fn end(&self) -> usize {
        self.at + self.size.next_multiple_of(512)
    }
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate().unwrap();
        let path = folder.path().join("good.tar");
        sample::build("1.0").write(&path, Some(&key));
        std::fs::write(folder.path().join("k.pub"), key.public().to_pem()).unwrap();
        Self { bytes: std::fs::read(&path).unwrap(), folder, key }
    }

    fn entries(&self) -> Vec<Entry> {
        entries(&self.bytes)
    }

    fn entry(&self, name: &str) -> Entry {
        self.entries().into_iter().find(|e| e.name == name).unwrap()
    }

    fn blobs(&self) -> Vec<Entry> {
        self.entries().into_iter().filter(|e| e.name.starts_with("blobs/")).collect()
    }

    fn trust(&self) -> Trust {
        Trust::Keys(Box::new(TrustedKeys::new(vec![self.key.public().clone()])))
    }

    fn put(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("case.tar");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> Result<archive::Archive, ArchiveError> {
        archive::open(&self.put(bytes))?.verify(&self.trust(), &Silent)
    }

    /// The bytes must be refused, with a message that says all of this.
    #[track_caller]
    fn refused(&self, what: &str, bytes: &[u8], says: &[&str]) {
        let error = self.open(bytes).map(|_| ()).expect_err(what);
        let failure = verify::run(&VerifyOptions { archive: self.put(bytes), trust: self.options(), deep: false }, &Silent).expect_err(what);
        assert_eq!((failure.kind, failure.to_string()), (Kind::Untrusted, error.to_string()), "{what}");
        let text = error.to_string();
        for say in says {
            assert!(text.contains(say), "{what}: `{text}` does not say `{say}`");
        }
    }

    fn options(&self) -> TrustOptions {
        TrustOptions { keys: vec![self.folder.path().join("k.pub").into()], ..TrustOptions::default() }
    }

    /// The archive with `new` in the place of `range`.
    fn with(&self, range: std::ops::Range<usize>, new: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.splice(range, new.iter().copied());
        bytes
    }

    fn flipped(&self, at: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at] ^= 1;
        bytes
    }

    /// The archive with an entry's header changed.
    fn with_header(&self, entry: &Entry, change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
        let mut header = tar::Header::from_byte_slice(&self.bytes[entry.head..entry.at]).clone();
        change(&mut header);
        set_checksum(&mut header);
        self.with(entry.head..entry.at, header.as_bytes())
    }
}

/// It was that of the quicker thread.
#[test]
fn of_several_damaged_layers_the_first_is_told() {
    let case = Case::new();
    let layers = sample::build("1.0").layers;
    let is_layer = |entry: &Entry| layers.iter().any(|(digest, _)| entry.name.ends_with(digest.hex()));
    let (mut bytes, mut names) = (case.bytes.clone(), Vec::new());
    for entry in case.blobs().into_iter().filter(is_layer) {
        bytes[entry.at + entry.size - 1] ^= 1;
        names.push(entry.name);
    }
    assert!(names.len() > 2);
    for _ in 0..50 {
        case.refused("layers", &bytes, &[&names[0]]);
    }
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(bytes);
    let entry = |e: tar::Entry<'_, &[u8]>| Entry {
        name: e.path().unwrap().display().to_string(),
        head: usize::try_from(e.raw_header_position()).unwrap(),
        at: usize::try_from(e.raw_file_position()).unwrap(),
        size: usize::try_from(e.size()).unwrap(),
    };
    archive.entries().unwrap().map(|e| entry(e.unwrap())).collect()
}

/// Header, content and padding of one entry.
fn made(name: &str, kind: tar::EntryType, content: &[u8], link: Option<&str>) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    if let Some(link) = link {
        header.set_link_name(link).unwrap();
    }
    // The tar crate writes zeros for devices that there are none of.
    header.as_mut_bytes()[329..345].fill(0);
    set_checksum(&mut header);
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// In the form of POSIX, six digits, NUL and a blank; the tar crate writes seven digits and NUL.
fn set_checksum(header: &mut tar::Header) {
    header.set_cksum();
    let text = format!("{:06o}\0 ", header.cksum().unwrap());
    header.as_mut_bytes()[148..156].copy_from_slice(text.as_bytes());
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    made(name, tar::EntryType::Regular, content, None)
}

#[test]
fn the_untouched_archive_is_accepted() {
    let case = Case::new();
    let names: Vec<_> = case.entries().into_iter().map(|e| e.name).collect();
    assert_eq!(names[..4], ["oci-layout", "index.json", "index.json.sigstore.json", "manifest.json"]);
    let archive = case.open(&case.bytes).unwrap();
    assert!(matches!(archive.standing(), Standing::Signed { by, .. } if by.fingerprint == case.key.public().fingerprint()));
    assert_eq!(archive.record().name, "sample");
    assert_eq!((archive.images().len(), archive.charts().len(), archive.agents().len(), archive.manifests().len(), archive.files().len()), (3, 1, 1, 1, 2));
    let (metadata, package) = sample::chart();
    assert_eq!(archive.read(&archive.charts()[0].package.digest).unwrap(), package);
    assert_eq!(archive.read(&archive.charts()[0].metadata.digest).unwrap(), metadata);
    let two = archive.image(&"two".parse().unwrap()).unwrap();
    let amd64 = archive.children(two, &"linux/amd64".parse().unwrap()).unwrap();
    assert_eq!((amd64.indexes.len(), amd64.layers.len()), (1, 2));
    assert!(archive.children(two, &"linux/arm64".parse().unwrap()).is_none(), "its manifest is not in the archive");
    let (offset, size) = archive.locate(&amd64.layers[0].digest).unwrap();
    let at = usize::try_from(offset).unwrap();
    assert_eq!(Digest::of(&case.bytes[at..at + usize::try_from(size).unwrap()]), amd64.layers[0].digest);
    let mut tail = [0; 100];
    assert_eq!(archive.read_at(&amd64.layers[0].digest, size - 10, &mut tail).unwrap(), 10);
    assert_eq!(archive.read_at(&amd64.layers[0].digest, size, &mut tail).unwrap(), 0);
    assert_eq!(archive.read_at(&amd64.layers[0].digest, u64::MAX, &mut tail).unwrap(), 0);
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let case = Case::new();
    let path = case.folder.path().join("again.tar");
    sample::build("1.0").write(&path, Some(&case.key));
    assert_eq!(std::fs::read(path).unwrap(), case.bytes);
}

#[test]
fn a_flipped_byte_is_found_in_every_entry() {
    let case = Case::new();
    for entry in case.entries() {
        // index.json is vouched for by the signature, so that is what no longer fits.
        let says = if entry.name == "index.json" { "index.json.sigstore.json: it was made over other content" } else { &entry.name };
        for at in [entry.at, entry.at + entry.size / 2, entry.at + entry.size - 1] {
            case.refused(&format!("byte {at} of {}", entry.name), &case.flipped(at), &[says]);
        }
        if entry.end() > entry.at + entry.size {
            for at in [entry.at + entry.size, entry.end() - 1] {
                case.refused(&format!("padding of {}", entry.name), &case.flipped(at), &[&entry.name, "not zero"]);
            }
        }
        for at in (entry.head..entry.at).step_by(11) {
            // A changed name is told as it stands there.
            let says: &[&str] = if at - entry.head < 100 { &[] } else { &[&entry.name] };
            case.refused(&format!("byte {} of the header of {}", at - entry.head, entry.name), &case.flipped(at), says);
        }
    }
    let signature = case.entry("index.json.sigstore.json");
    for at in signature.at..signature.at + 420 {
        case.refused(&format!("byte {at} of the signature"), &case.flipped(at), &["index.json.sigstore.json"]);
    }
}

#[test]
fn any_flipped_byte_at_all_is_found() {
    let case = Case::new();
    // A fixed sequence (Knuth's multiplier), so that a failure can be seen again.
    let mut state = 1usize;
    for _ in 0..500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 20) % case.bytes.len();
        assert!(case.open(&case.flipped(at)).is_err(), "byte {at}");
    }
}

#[test]
fn truncation_is_found_anywhere() {
    let case = Case::new();
    let end = case.bytes.len();
    for entry in case.entries() {
        for cut in [entry.head + 100, entry.at, entry.at + entry.size / 2, entry.at + entry.size - 1] {
            case.refused(&format!("cut at {cut}"), &case.bytes[..cut], &["missing"]);
        }
    }
    let last = case.entries().pop().unwrap();
    case.refused("cut in the last entry", &case.bytes[..=last.at], &[&last.name]);
    for cut in [0, 1, 511, last.end(), end - 1024, end - 513, end - 512, end - 1] {
        case.refused(&format!("cut at {cut}"), &case.bytes[..cut], &["missing"]);
    }
}

#[test]
fn nothing_can_be_added() {
    let case = Case::new();
    let end = case.bytes.len() - 1024;
    let blob = case.blobs().pop().unwrap();
    let blob_entry = &case.bytes[blob.head..blob.end()];
    let foreign = b"foreign";
    let foreign_name = format!("blobs/sha256/{}", Digest::of(foreign).hex());
    for (what, tail) in [("a byte", vec![0]), ("zeros", vec![0; 512]), ("garbage", vec![7; 3000]), ("an entry", file("evil", b"x"))] {
        let mut bytes = case.bytes.clone();
        bytes.extend(tail);
        case.refused(&format!("{what} after the end"), &bytes, &["end of the archive", &blob.name, "follow"]);
    }
    let long = "a".repeat(100);
    for (what, entry, says) in [
        ("another name", file("evil", b"x"), ["evil", "has this name"]),
        ("..", file("../evil", b"x"), ["../evil", "has this name"]),
        (".. below blobs", file("blobs/sha256/../../evil", b"x"), ["blobs/sha256/../../evil", "has this name"]),
        ("an absolute path", file("/etc/passwd", b"x"), ["/etc/passwd", "has this name"]),
        ("./", file("./oci-layout", b"x"), ["./oci-layout", "has this name"]),
        ("a long name", file(&long, b"x"), [&long, "has this name"]),
        ("upper case", file(&foreign_name.to_uppercase(), foreign), ["BLOBS", "has this name"]),
        ("a blob that nothing refers to", file(&foreign_name, foreign), [&foreign_name, "nothing in index.json leads to it"]),
        ("a second blob", blob_entry.to_vec(), [&blob.name, "second entry"]),
        ("a second index.json", file("index.json", b"{}"), ["index.json", "second entry"]),
        ("a signature at the end", file("index.json.1.sigstore.json", b"{}"), ["index.json.1.sigstore.json", "not in its place"]),
        ("a hard link", made(&foreign_name, T::Link, b"", Some("index.json")), [&foreign_name, "hard link"]),
        ("a symbolic link", made(&foreign_name, T::Symlink, b"", Some("/etc/passwd")), [&foreign_name, "symbolic link"]),
        ("a folder", made("blobs/", T::Directory, b"", None), ["blobs/", "folder"]),
        ("a device", made(&foreign_name, T::Char, b"", None), [&foreign_name, "device"]),
        ("a fifo", made(&foreign_name, T::Fifo, b"", None), [&foreign_name, "device"]),
        ("a PAX header", made("x", T::XHeader, b"13 size=9999\n", None), ["x", "PAX"]),
        ("a global PAX header", made("g", T::XGlobalHeader, b"13 size=9999\n", None), ["g", "PAX"]),
        ("a GNU long name", made("././@LongLink", T::GNULongName, b"oci-layout\0", None), ["@LongLink", "GNU"]),
        ("a sparse file", made(&foreign_name, T::GNUSparse, b"x", None), [&foreign_name, "GNU"]),
    ] {
        for at in [end, blob.head] {
            case.refused(what, &case.with(at..at, &entry), &says);
        }
    }
    case.refused("a PAX header at the start", &case.with(0..0, &made("x", T::XHeader, b"13 size=9999\n", None)), &["x", "PAX"]);
}

#[test]
fn nothing_can_be_taken_away_renamed_or_moved() {
    let case = Case::new();
    for entry in case.entries() {
        case.refused(&format!("without {}", entry.name), &case.with(entry.head..entry.end(), b""), &[&entry.name]);
    }
    let blobs = case.blobs();
    for pair in blobs.windows(2) {
        let mut moved = case.bytes[pair[1].head..pair[1].end()].to_vec();
        moved.extend(&case.bytes[pair[0].head..pair[0].end()]);
        case.refused("two blobs swapped", &case.with(pair[0].head..pair[1].end(), &moved), &[&pair[1].name, "not in its place"]);
    }
    let zeros = format!("blobs/sha256/{}", "0".repeat(64));
    for blob in &blobs {
        let renamed = case.with_header(blob, |h| h.as_mut_bytes()[..zeros.len()].copy_from_slice(zeros.as_bytes()));
        case.refused("a renamed blob", &renamed, &["blobs/sha256/"]);
    }
    let index = case.entry("index.json");
    case.refused("a renamed index", &case.with_header(&index, |h| h.as_mut_bytes()[4] = b'e'), &["inde"]);
}

#[test]
fn sizes_are_held_against_descriptors_and_limits() {
    let case = Case::new();
    for blob in case.blobs() {
        for change in [-1i64, 1] {
            let size = blob.size as u64;
            let bytes = case.with_header(&blob, |h| h.set_size(size.checked_add_signed(change).unwrap()));
            case.refused("a size that is wrong by one", &bytes, &[&blob.name]);
        }
        for size in [1u64 << 33, 1 << 50, u64::MAX - 511, u64::MAX] {
            case.refused("an absurd size", &case.with_header(&blob, |h| h.set_size(size)), &[&blob.name]);
        }
        case.refused("a negative size", &case.with_header(&blob, |h| h.as_mut_bytes()[124..136].fill(0xff)), &[&blob.name]);
    }
    for name in ["oci-layout", "index.json", "index.json.sigstore.json", "manifest.json"] {
        let bytes = case.with_header(&case.entry(name), |h| h.set_size(1 << 40));
        case.refused("an oversized head", &bytes, &[name, "at most"]);
    }
    let path = case.put(&case.bytes);
    for (limits, says) in [
        (Limits { entries: 5, ..Limits::default() }, "more than 5"),
        (Limits { document: 100, ..Limits::default() }, "index.json: it has"),
        (Limits { documents: 1000, ..Limits::default() }, "blobs/sha256/"),
        (Limits { layer: 100, ..Limits::default() }, "blobs/sha256/"),
        (Limits { depth: 0, ..Limits::default() }, "nested"),
    ] {
        let error = archive::open_with(&path, limits).and_then(|u| u.verify(&case.trust(), &Silent)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn signatures_cannot_be_stripped_or_swapped() {
    let case = Case::new();
    let entry = case.entry("index.json.sigstore.json");
    let put = |bundle: &str| {
        let mut content = bundle.as_bytes().to_vec();
        content.resize(entry.size - 1, b' ');
        content.push(b'\n');
        case.with(entry.at..entry.at + entry.size, &content)
    };
    let index = case.entry("index.json");
    let payload = &case.bytes[index.at..index.at + index.size];
    case.open(&put(&case.key.sign(payload).unwrap())).unwrap();
    let stranger = PrivateKey::generate().unwrap();
    case.refused("no signature", &put(""), &["not signed", "index.json.sigstore.json"]);
    case.refused("a stranger's", &put(&stranger.sign(payload).unwrap()), &["index.json.sigstore.json", "not made with a trusted key"]);
    let other = case.key.sign(sample::build("2.0").layout.index_json()).unwrap();
    case.refused("that of another archive", &put(&other), &["index.json.sigstore.json", "other content"]);
    case.refused("garbage", &put("{}"), &["index.json.sigstore.json", "no Sigstore bundle"]);
    // The same, when nobody asks for a signature: damage is found all the same.
    let open = |bytes: &[u8]| archive::open(&case.put(bytes)).and_then(|u| u.verify(&Trust::AllowUnsigned, &Silent));
    assert_eq!(*open(&put("")).unwrap().standing(), Standing::Unsigned);
    assert_eq!(*open(&put("{}")).unwrap().standing(), Standing::Unchecked);
    for blob in case.blobs() {
        assert!(open(&case.flipped(blob.at)).unwrap_err().to_string().contains(&blob.name));
    }
    let broken = open(&case.with(index.at..index.at + 1, b"[")).unwrap_err().to_string();
    assert!(broken.contains("index.json: it is not the JSON"), "{broken}");
}

#[test]
fn a_further_signature_counts_as_well() {
    let case = Case::new();
    let entry = case.entry("index.json.sigstore.json");
    let index = case.entry("index.json");
    let payload = &case.bytes[index.at..index.at + index.size];
    let mine = case.bytes[entry.at..entry.at + entry.size].to_vec();
    let mut theirs = PrivateKey::generate().unwrap().sign(payload).unwrap().into_bytes();
    theirs.resize(entry.size - 1, b' ');
    theirs.push(b'\n');
    let build = |first: &[u8], rest: &[(&str, &[u8])]| {
        let mut new = file("index.json.sigstore.json", first);
        for (name, content) in rest {
            new.extend(file(name, content));
        }
        case.with(entry.head..entry.end(), &new)
    };
    let (one, two) = ("index.json.1.sigstore.json", "index.json.2.sigstore.json");
    let archive = case.open(&build(&theirs, &[(one, &theirs), (two, &mine)])).unwrap();
    assert!(matches!(archive.standing(), Standing::Signed { entry, .. } if entry == two));
    case.refused("out of order", &build(&theirs, &[(two, &mine), (one, &mine)]), &[one, "not in its place"]);
    case.refused("only strangers", &build(&theirs, &[(one, &theirs)]), &["trusted key"]);
    case.refused("zero", &build(&theirs, &[("index.json.0.sigstore.json", &mine)]), &["index.json.0", "has this name"]);
}

#[test]
fn operations_fail_with_the_documented_kind() {
    let case = Case::new();
    let trust = case.options();
    let run = |bytes: &[u8], trust: &TrustOptions| verify::run(&VerifyOptions { archive: case.put(bytes), trust: trust.clone(), deep: false }, &Silent);
    let outcome = run(&case.bytes, &trust).unwrap();
    assert_eq!((outcome.name.as_str(), outcome.apps, outcome.images), ("sample", 2, 3));
    assert_eq!(run(&case.flipped(case.blobs()[0].at), &trust).unwrap_err().kind, Kind::Untrusted);
    assert_eq!(run(&case.bytes[..5000], &trust).unwrap_err().kind, Kind::Untrusted);
    assert_eq!(run(&case.bytes, &TrustOptions::default()).unwrap_err().kind, Kind::Untrusted);
    let missing = VerifyOptions { archive: case.folder.path().join("none"), trust: trust.clone(), deep: false };
    assert_eq!(verify::run(&missing, &Silent).unwrap_err().kind, Kind::Other);

    let inspected = inspect::run(&InspectOptions { archive: case.put(&case.bytes), trust: TrustOptions::default() }).unwrap();
    assert_eq!(inspected.signature, Standing::Unchecked);
    assert_eq!(inspected.signatures[0].key_hint, Some(case.key.public().hint()));
    assert_eq!(
        inspected.images.iter().map(|i| i.reference.to_string()).collect::<Vec<_>>(),
        ["docker.io/library/two:latest", "ghcr.io/x/two:2", "registry.dev:5000/team/one:1.0"]
    );
    assert!(inspected.images.iter().all(|i| i.shared > 0 && i.shared < i.size));
}

#[test]
fn signing_anew_touches_nothing_else() {
    let case = Case::new();
    let path = case.put(&case.bytes);
    let other = PrivateKey::generate().unwrap();
    let key = case.folder.path().join("other.key");
    std::fs::write(&key, other.to_encrypted_pem(&"pw".into()).unwrap()).unwrap();
    let options = SignOptions { archive: path.clone(), keys: vec![key.into()], password: Some("pw".into()), add: false, make_room: false };
    let outcome = sign::run(&options, &Silent).unwrap();
    assert!(outcome.before == 1 && outcome.fingerprints == [other.public().fingerprint()]);
    let bytes = std::fs::read(&path).unwrap();
    let entry = case.entry("index.json.sigstore.json");
    assert_eq!((&bytes[..entry.at], &bytes[entry.end()..]), (&case.bytes[..entry.at], &case.bytes[entry.end()..]));
    let trust = Trust::Keys(Box::new(TrustedKeys::new(vec![other.public().clone()])));
    archive::open(&path).unwrap().verify(&trust, &Silent).unwrap();
    std::fs::write(&path, case.flipped(case.blobs()[0].at)).unwrap();
    assert_eq!(sign::run(&options, &Silent).unwrap_err().kind, Kind::Untrusted, "nobody signs a damaged archive");
}

#[test]
fn a_writer_takes_only_what_was_laid_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let sample = sample::build("1.0");
    let writer = Writer::create(&path, &sample.layout).unwrap();
    let (digest, bytes) = &sample.layers[0];
    let said = |error: ArchiveError| error.to_string();
    assert!(said(writer.layer(&Digest::of(b"x")).map(|_| ()).unwrap_err()).contains("no content is wanted"));
    let mut place = writer.layer(digest).unwrap();
    place.write(&vec![0; bytes.len()]).unwrap();
    assert!(said(place.write(b"x").unwrap_err()).contains(digest.as_str()));
    assert!(said(place.finish().unwrap_err()).contains(digest.as_str()));
    let mut place = writer.layer(digest).unwrap();
    place.write(&bytes[..10]).unwrap();
    assert!(said(writer.layer(digest).unwrap().finish().unwrap_err()).contains("received 0 bytes"));
    place.restart();
    place.write(bytes).unwrap();
    place.finish().unwrap();
    assert_eq!(writer.pending().len(), sample.layers.len() - 1);
    let unfilled = writer.finish().unwrap_err();
    assert!(matches!(unfilled, ArchiveError::Build(BuildError::Unfilled(ref missing)) if missing.len() == 2), "{unfilled}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "what is not finished is removed");
}
