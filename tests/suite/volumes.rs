//! Archives in volumes: written in pieces, joined, read in place; and every piece that is missing or wrong is named.

use std::{fs, path::Path};

use offline::{
    archive::{
        ArchiveError, BuildError, VolumeSize, Writer,
        volumes::{VOLUMES_MAX, VolumeList},
    },
    oci::Digest,
};

use crate::sample;

/// What `cat NAME.0*` gives: the names sorted as the shell sorts them.
fn joined(folder: &Path) -> Vec<u8> {
    let mut parts: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e != "json")).collect();
    parts.sort();
    parts.iter().flat_map(|part| fs::read(part).unwrap()).collect()
}

/// Sizes of volumes for an archive: the smallest, odd and even ones, at and beside the whole, and some by chance.
fn sizes(whole: u64) -> Vec<u64> {
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

fn volume(bytes: u64) -> Option<VolumeSize> {
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
    let error = Writer::create_in(&path, &sample.layout, None, volume(1)).unwrap_err();
    let ArchiveError::Build(BuildError::TooManyVolumes { least, .. }) = error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("wanted are volumes of {least} bytes or more")), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    Writer::create_in(&path, &sample.layout, None, volume(least)).unwrap();
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
    let error = Writer::create_in(&path, &sample.layout, None, volume(bytes.len() as u64 / 2 + 1)).unwrap_err();
    assert!(matches!(&error, ArchiveError::InTheWay { path, .. } if path.ends_with("a.tar.003")), "{error}");
    fs::remove_file(folder.path().join("a.tar.003")).unwrap();
    fs::write(&path, "whole").unwrap();
    let error = Writer::create_in(&path, &sample.layout, None, volume(5_000)).unwrap_err();
    assert!(matches!(&error, ArchiveError::InTheWay { path: other, .. } if *other == path), "{error}");
}
