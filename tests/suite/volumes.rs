//! Archives in volumes: written in pieces, joined, read in place; and every piece that is missing or wrong is named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use offline::{
    archive::{
        self, Archive, ArchiveError, BuildError, Trust, VolumeError, VolumeSize, Writer,
        volumes::{VOLUMES_MAX, Volume, VolumeList},
    },
    failure::{Failure, Kind},
    oci::Digest,
    ops::{
        inspect::{self, InspectOptions},
        verify::{self, Elsewhere, TrustOptions, VerifyOptions},
    },
    progress::Silent,
    signing::KeySource,
};
use tempfile::TempDir;

use crate::sample;

/// What `cat NAME.0*` gives: the names sorted as the shell sorts them.
pub(crate) fn joined(folder: &Path) -> Vec<u8> {
    let mut parts: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e != "json")).collect();
    parts.sort();
    parts.iter().flat_map(|part| fs::read(part).unwrap()).collect()
}

/// Sizes of volumes for an archive: the smallest, odd and even ones, at and beside the whole, and some by chance.
pub(crate) fn sizes(whole: u64) -> Vec<u64> {
    let least = whole.div_ceil(VOLUMES_MAX as u64);
    let mut sizes = vec![least, 512, 511, 513, 1024, 4095, 10_000, whole / 2, whole / 2 + 1, whole / 3, whole - 513, whole - 1, whole, whole + 1, u64::MAX];
    // Knuth's multiplier (MMIX): the same sizes in every run.
    let mut state = whole;
    for _ in 0..12 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sizes.push(least + (state >> 11) % (whole - least));
    }
    sizes.retain(|&size| size >= least);
    sizes
}

pub(crate) fn volume(bytes: u64) -> Option<VolumeSize> {
    VolumeSize::new(bytes)
}

#[test]
fn volumes_of_any_size_join_to_the_same_archive() {
    let sample = sample::build("1");
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("a.tar");
    sample.write(&whole, None);
    let bytes = fs::read(&whole).unwrap();
    for size in sizes(bytes.len() as u64) {
        let folder = tempfile::tempdir().unwrap();
        sample.write_in(&folder.path().join("a.tar"), None, volume(size));
        assert!(joined(folder.path()) == bytes, "volumes of {size} bytes do not join to the archive");
        let list = VolumeList::parse(&fs::read(folder.path().join("a.tar.volumes.json")).unwrap()).unwrap();
        assert_eq!((list.size, list.index), (bytes.len() as u64, Digest::of(sample.layout.index_json())));
        assert_eq!(list.volumes.len() as u64, (bytes.len() as u64).div_ceil(size));
        for (at, part) in list.volumes.iter().enumerate() {
            assert_eq!(part.name, format!("a.tar.{:03}", at + 1));
            let content = fs::read(folder.path().join(&part.name)).unwrap();
            assert_eq!((part.size, &part.digest), (content.len() as u64, &Digest::of(&content)));
        }
    }
}

#[test]
fn more_volumes_than_three_digits_count_are_refused_with_the_size_that_would_do() {
    let sample = sample::build("1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let error = Writer::create_in(&path, &sample.layout, volume(1)).unwrap_err();
    let ArchiveError::Build(BuildError::TooManyVolumes { least, .. }) = error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("wanted are volumes of {least} bytes or more")), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    Writer::create_in(&path, &sample.layout, volume(least)).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an archive that is not finished leaves nothing");
}

/// `cat NAME.0*` would join the old volumes behind the new ones.
#[test]
fn volumes_of_an_older_archive_do_not_stay_behind_the_new_ones() {
    let sample = sample::build("1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample.write_in(&path, None, volume(5_000));
    let bytes = joined(folder.path());
    assert!(fs::read_dir(folder.path()).unwrap().count() > 4);
    sample.write_in(&path, None, volume(bytes.len() as u64 / 2 + 1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert!(joined(folder.path()) == bytes);

    // What no list speaks for is a person's, and is not removed.
    fs::write(folder.path().join("a.tar.003"), "mine").unwrap();
    let error = Writer::create_in(&path, &sample.layout, volume(bytes.len() as u64 / 2 + 1)).unwrap_err();
    assert!(matches!(&error, ArchiveError::InTheWay { path, .. } if path.ends_with("a.tar.003")), "{error}");
    fs::remove_file(folder.path().join("a.tar.003")).unwrap();
    fs::write(&path, "whole").unwrap();
    let error = Writer::create_in(&path, &sample.layout, volume(5_000)).unwrap_err();
    assert!(matches!(&error, ArchiveError::InTheWay { path: other, .. } if *other == path), "{error}");
}

fn open(path: &Path, folders: &[PathBuf]) -> Result<Archive, ArchiveError> {
    archive::open_in(path, folders)?.verify(&Trust::AllowUnsigned, &Silent)
}

/// Cuts an archive by hand at some offsets, as no writer of ours does, but every reader has to take.
pub(crate) fn cut(folder: &Path, bytes: &[u8], index: &Digest, at: &[usize]) {
    let ends = at.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    let mut volumes = Vec::new();
    for (number, end) in ends.enumerate() {
        let (name, content) = (format!("a.tar.{:03}", number + 1), &bytes[start..end]);
        fs::write(folder.join(&name), content).unwrap();
        volumes.push(Volume { name, size: content.len() as u64, digest: Digest::of(content) });
        start = end;
    }
    let list = VolumeList { format: 1, index: index.clone(), size: bytes.len() as u64, volumes };
    fs::write(folder.join("a.tar.volumes.json"), list.text()).unwrap();
}

/// Opens it by all its names and holds all of it against the whole archive.
fn reads_as(folder: &Path, whole: &Archive, what: &str) {
    let opened = ["a.tar.001", "a.tar.volumes.json", "a.tar"].map(|name| open(&folder.join(name), &[]).unwrap_or_else(|e| panic!("{what}, as {name}: {e}")));
    let [.., archive] = &opened;
    holds_the_same(archive, whole, what);
}

fn holds_the_same(archive: &Archive, whole: &Archive, what: &str) {
    assert_eq!((archive.index_json(), archive.size()), (whole.index_json(), whole.size()));
    for (_, image) in whole.images() {
        for (digest, _) in whole.blobs(image) {
            assert_eq!(archive.read(&digest).unwrap(), whole.read(&digest).unwrap(), "{what}: {digest}");
        }
    }
}

/// At and beside each border of an entry's header, content and padding, and of the end.
pub(crate) fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let entry = entry.unwrap();
        let (header, content) = (entry.raw_header_position(), entry.raw_file_position());
        let ends = [header, content, content + entry.size(), (content + entry.size()).next_multiple_of(512)];
        places.extend(ends.iter().flat_map(|&at| [at.saturating_sub(1), at, at + 1, at + 256]).map(|at| usize::try_from(at).unwrap()));
    }
    places.extend([bytes.len() - 1, bytes.len() - 512, bytes.len() - 513, bytes.len() - 1024]);
    places.sort_unstable();
    places.dedup();
    places.retain(|&at| at > 0 && at < bytes.len());
    assert!(places.len() > 100);
    places
}

#[test]
fn archives_cut_at_every_boundary_read_in_place() {
    let sample = sample::build("1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.tar");
    sample.write(&path, None);
    let bytes = fs::read(&path).unwrap();
    let whole = open(&path, &[]).unwrap();
    let index = Digest::of(sample.layout.index_json());
    for pair in boundaries(&bytes).chunks(2) {
        let folder = tempfile::tempdir().unwrap();
        cut(folder.path(), &bytes, &index, pair);
        reads_as(folder.path(), &whole, &format!("cut at {pair:?}"));
    }
    for size in sizes(bytes.len() as u64) {
        let folder = tempfile::tempdir().unwrap();
        sample.write_in(&folder.path().join("a.tar"), None, volume(size));
        reads_as(folder.path(), &whole, &format!("volumes of {size}"));
    }
}

/// Each byte is once the first and once the last one of a volume.
#[test]
fn archives_cut_at_every_byte_read_in_place() {
    let sample = sample::build_small("1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.tar");
    sample.write(&path, None);
    let bytes = fs::read(&path).unwrap();
    let whole = open(&path, &[]).unwrap();
    let index = Digest::of(sample.layout.index_json());
    assert!(bytes.len() < 60_000, "{}", bytes.len());
    for from in (1..bytes.len()).step_by(VOLUMES_MAX - 1) {
        let window = &bytes[from - 1..bytes.len().min(from + VOLUMES_MAX)];
        if window.iter().all(|byte| *byte == window[0]) {
            // The room for signatures, or the end: one blank is like the other.
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        cut(folder.path(), &bytes, &index, &(from..bytes.len().min(from + VOLUMES_MAX - 1)).collect::<Vec<_>>());
        let what = format!("cut at every byte from {from} on");
        holds_the_same(&open(&folder.path().join("a.tar"), &[]).unwrap_or_else(|e| panic!("{what}: {e}")), &whole, &what);
    }
}

/// Three volumes of a signed archive.
struct Case {
    folder: TempDir,
    key: offline::signing::PrivateKey,
    third: u64,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = offline::signing::PrivateKey::generate().unwrap();
        let sample = sample::build("1");
        let third = sample.layout.size() / 3 + 1;
        sample.write_in(&folder.path().join("a.tar"), Some(&key), volume(third));
        fs::write(folder.path().join("a.pub"), key.public().to_pem()).unwrap();
        Self { folder, key, third }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn verify_as(&self, name: &str, folders: &[&str]) -> Result<(), Failure> {
        let trust = TrustOptions { keys: vec![KeySource::File(self.path("a.pub"))], ..TrustOptions::default() };
        let elsewhere = Elsewhere { volumes: folders.iter().map(|f| self.path(f)).collect(), ..Elsewhere::default() };
        verify::run_with(&VerifyOptions { archive: self.path(name), trust, deep: false }, &elsewhere, &Silent).map(drop)
    }

    /// All names of the archive give the same failure, which says all of this and costs exit code 3.
    fn refused(&self, wanted: &[&str]) -> String {
        let mut told = String::new();
        for name in ["a.tar", "a.tar.volumes.json", "a.tar.001"] {
            let failure = self.verify_as(name, &[]).expect_err(name);
            told = failure.to_string();
            assert_eq!(failure.kind, Kind::Untrusted, "{told}");
            for text in wanted {
                assert!(told.contains(text), "{name}: {text} is not in: {told}");
            }
        }
        told
    }

    fn move_to(&self, name: &str, folder: &str) {
        fs::create_dir_all(self.path(folder)).unwrap();
        fs::rename(self.path(name), self.path(folder).join(name)).unwrap();
    }
}

#[test]
fn volumes_are_found_in_several_folders_and_the_missing_ones_are_named() {
    let case = Case::new();
    case.verify_as("a.tar", &[]).unwrap();
    case.move_to("a.tar.002", "usb");
    let told = case.refused(&["of the 3 volumes of", "a.tar.volumes.json", "a.tar.002 is missing"]);
    assert!(!told.contains("a.tar.001") && !told.contains("a.tar.003"), "{told}");
    case.move_to("a.tar.003", "disk");
    case.refused(&["a.tar.002, a.tar.003 are missing"]);
    for name in ["a.tar", "a.tar.volumes.json", "a.tar.001"] {
        case.verify_as(name, &["usb", "disk"]).unwrap();
    }
    let elsewhere = Elsewhere { volumes: vec![case.path("usb"), case.path("disk")], ..Elsewhere::default() };
    inspect::run_with(&InspectOptions { archive: case.path("a.tar"), trust: TrustOptions::default() }, &elsewhere).unwrap();
    // One that was cut off on the way counts less than a whole one elsewhere.
    fs::write(case.path("a.tar.002"), "x").unwrap();
    case.verify_as("a.tar", &["usb", "disk"]).unwrap();

    case.move_to("a.tar.volumes.json", "usb");
    case.verify_as("a.tar.001", &["disk", "usb"]).unwrap();
    case.verify_as("usb/a.tar.volumes.json", &["disk", "."]).unwrap();
    let failure = case.verify_as("a.tar.001", &[]).unwrap_err();
    assert!(failure.to_string().contains("`a.tar.volumes.json`, is not beside it"), "{failure}");
    assert_eq!(failure.kind, Kind::Untrusted);
}

#[test]
fn a_volume_that_was_cut_off_is_named_at_once() {
    let case = Case::new();
    let mut bytes = fs::read(case.path("a.tar.002")).unwrap();
    bytes.pop();
    fs::write(case.path("a.tar.002"), &bytes).unwrap();
    case.refused(&["volume 2 of 3", "a.tar.002`", &format!("has {} bytes and should have {}", bytes.len(), case.third)]);
    let opened = archive::open(&case.path("a.tar"));
    assert!(matches!(opened, Err(ArchiveError::Volume(VolumeError::Size { number: 2, of: 3, .. }))));
}

#[test]
fn a_damaged_volume_is_named_wherever_the_damage_is() {
    for (number, at) in [(1, 0), (1, 600), (1, 1600), (1, 40_000), (2, 0), (2, 30_000), (3, 3_000)] {
        let case = Case::new();
        let name = format!("a.tar.{number:03}");
        let mut bytes = fs::read(case.path(&name)).unwrap();
        bytes[at] ^= 1;
        fs::write(case.path(&name), &bytes).unwrap();
        if number == 1 && at == 1600 {
            // In index.json, whose digest the list has.
            case.refused(&["a.tar.001` begins another archive"]);
        } else {
            case.refused(&[&format!("volume {number} of 3"), &name, "is damaged, or of another archive"]);
        }
    }
}

#[test]
fn a_volume_of_another_archive_is_named() {
    for number in 1..=3 {
        let case = Case::new();
        let other = tempfile::tempdir().unwrap();
        let second = sample::build("2");
        second.write_in(&other.path().join("a.tar"), Some(&case.key), volume(case.third));
        let name = format!("a.tar.{number:03}");
        let foreign = fs::read(other.path().join(&name)).unwrap();
        if foreign == fs::read(case.path(&name)).unwrap() {
            continue;
        }
        fs::write(case.path(&name), foreign).unwrap();
        case.refused(&[&name, "another archive"]);
    }
}

#[test]
fn a_list_that_is_none_is_named() {
    let case = Case::new();
    for (text, wanted) in [("", "is not the JSON"), ("{\"format\": 2}", "it has format 2"), ("{\"format\": 1}", "missing field")] {
        fs::write(case.path("a.tar.volumes.json"), text).unwrap();
        case.refused(&["a.tar.volumes.json` is no list of volumes", wanted]);
    }
    let huge = vec![b' '; 2 << 20];
    fs::write(case.path("a.tar.volumes.json"), huge).unwrap();
    assert!(case.verify_as("a.tar", &[]).unwrap_err().to_string().contains("is larger than"));
}

/// The list is not signed: whatever it says, nothing but the signed bytes is an archive.
#[test]
fn a_list_cannot_make_another_archive_pass() {
    let case = Case::new();
    let stranger = offline::signing::PrivateKey::generate().unwrap();
    let second = sample::build("2");
    fs::remove_dir_all(case.folder.path().join("usb")).ok();
    second.write_in(&case.path("a.tar"), Some(&stranger), volume(case.third));
    case.refused(&["is not trusted"]);
}
