//! Exports that are killed, that find the disk full, and that find layers in a store.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use offline::{
    archive::{self, Trust},
    ops::{ChartAccess, export, export::ExportOptions},
    progress::Silent,
    store::Store,
};

use crate::{
    pulling::{Site, options},
    support::faulty::Fault,
};

/// More than what is noted at a time, and several smaller ones.
const LAYERS: [usize; 5] = [300_000, 21_000_000, 700_000, 900_001, 2_000_000];
/// Tells the test's own program to be an export: folder and archive.
const CHILD: &str = "OFFLINE_TEST_EXPORT";

/// Not a test: what `killed` starts, so that a process can be killed that is not the tests' own.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (folder, archive) = told.split_once('|').unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(export::run(options(Path::new(folder), Path::new(archive)), Arc::new(Silent))).unwrap_or_else(|failure| panic!("{failure}"));
}

fn start(site: &Site, archive: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resuming::child", "--test-threads=1"])
        .env(CHILD, format!("{}|{}", site.folder.path().display(), archive.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Bytes of layers that were asked for since the last plan.
fn asked(site: &Site) -> usize {
    let sizes: BTreeMap<String, usize> = site.layers.iter().zip(LAYERS).map(|(digest, size)| (format!("/v2/app/blobs/{digest}"), size)).collect();
    site.registry.seen().iter().filter_map(|request| Some(sizes.get(&request.path)? - request.from.unwrap_or_default())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_export_goes_on_where_it_stopped() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let archive = site.path("a.tar");
    site.registry.plan(|_| Fault::Slow(128 << 10));
    let begun = Instant::now();
    assert!(start(&site, &archive).wait().unwrap().success());
    let whole = begun.elapsed();
    assert!(fs::read(&archive).unwrap() == wanted);
    let all: usize = LAYERS.iter().sum();
    let (mut state, mut begun_parts, mut saved) = (0x5eed_u64, 0, 0);
    for round in 0..20 {
        fs::remove_file(&archive).unwrap();
        site.registry.plan(|_| Fault::Slow(128 << 10));
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole * u32::try_from(state >> 48).unwrap() / (1 << 16);
        let mut process = start(&site, &archive);
        thread::sleep(moment);
        let _ = process.kill();
        process.wait().unwrap();
        begun_parts += usize::from(site.path("a.tar.part").exists());
        site.registry.plan(|_| Fault::Nothing);
        crate::pulling::export(site.folder.path(), &archive).await.unwrap_or_else(|failure| panic!("round {round}, after {moment:?}: {failure}"));
        assert!(fs::read(&archive).unwrap() == wanted, "round {round}, after {moment:?}: another archive");
        assert!(!site.path("a.tar.part").exists() && !site.path("a.tar.part.journal").exists());
        saved += all - asked(&site);
    }
    assert!(begun_parts > 3 && saved > all / 2, "{begun_parts} of 20 had begun, {saved} bytes were not asked for again; {whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_is_hashed_before_it_is_trusted() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let archive = site.path("a.tar");
    let broken = site.layers[1].clone();
    // All the other layers are in their places when this one fails, and it is half there.
    site.registry.plan(move |request| match request.from {
        _ if !request.path.ends_with(broken.as_str()) => Fault::Nothing,
        None => Fault::Drop(18_000_000),
        Some(_) => Fault::Drop(0),
    });
    crate::pulling::export(site.folder.path(), &archive).await.unwrap_err();
    let part = site.path("a.tar.part");
    let left = fs::read(&part).unwrap();
    let journal = fs::read(site.path("a.tar.part.journal")).unwrap();
    let again = async |bytes: &[u8], noted: &[u8]| {
        fs::write(&part, bytes).unwrap();
        fs::write(site.path("a.tar.part.journal"), noted).unwrap();
        site.registry.plan(|_| Fault::Nothing);
        crate::pulling::export(site.folder.path(), &archive).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(fs::read(&archive).unwrap() == wanted);
        asked(&site)
    };
    let all: usize = LAYERS.iter().sum();
    let good = again(&left, &journal).await;
    assert!(good < 8_000_000, "{good} bytes were asked for again");
    let mut damaged = left.clone();
    let half = damaged.len() / 2;
    damaged[half] ^= 1;
    // The half layer is wrong in its middle, which shows at its end, and then it comes as a whole.
    assert!(again(&damaged, &journal).await >= LAYERS[1]);
    assert_eq!(again(&left[..left.len() - 1], &journal).await, all, "another length");
    assert_eq!(again(&left, b"offline-export-1 sha256:0\n").await, all, "of another layout");
    assert_eq!(again(&left, b"").await, all, "without a journal");
    let torn = [journal.as_slice(), format!("{} 99", site.layers[0]).as_bytes()].concat();
    assert_eq!(again(&left, &torn).await, good, "the last line was being written");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_run_makes_an_archive() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let archive = site.path("a.tar");
    site.registry.plan(|_| Fault::Slow(64 << 10));
    let (one, other) = tokio::join!(crate::pulling::export(site.folder.path(), &archive), async {
        while !site.path("a.tar.part.journal").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        crate::pulling::export(site.folder.path(), &archive).await
    });
    one.unwrap_or_else(|failure| panic!("{failure}"));
    let text = other.unwrap_err().to_string();
    assert!(text.contains("another run is writing this archive") && text.contains("a.tar.part"), "{text}");
    assert!(fs::read(&archive).unwrap() == wanted);
}

/// A file system of its own, unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(size: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gets_full_is_told_and_goes_on_with_room() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let Some(disk) = Mounted::new(wanted.len() + (1 << 20)) else {
        eprintln!("skipped: only root can mount a small disk");
        return;
    };
    let (archive, filler) = (disk.0.path().join("a.tar"), disk.0.path().join("filler"));
    let (fill, amount, largest) = (filler.clone(), wanted.len() - 12_000_000, site.layers[1].clone());
    site.registry.plan(move |request| {
        if request.path.ends_with(largest.as_str()) && request.before == 0 {
            fs::write(&fill, vec![1; amount]).unwrap();
        }
        Fault::Nothing
    });
    let failure = crate::pulling::export(site.folder.path(), &archive).await.unwrap_err();
    let text = format!("{failure} {:?}", failure.hints);
    assert!(text.contains("a.tar.part") && text.contains("No space left") && text.contains("same command again"), "{text}");
    assert_eq!(failure.kind, offline::failure::Kind::Other);
    assert!(disk.0.path().join("a.tar.part").exists() && !archive.exists());
    // Still no room: told before anything is asked for, and nothing is lost.
    let failure = crate::pulling::export(site.folder.path(), &archive).await.unwrap_err();
    assert!(failure.to_string().contains("needs") && disk.0.path().join("a.tar.part").exists(), "{failure}");
    fs::remove_file(&filler).unwrap();
    site.registry.plan(|_| Fault::Nothing);
    crate::pulling::export(site.folder.path(), &archive).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(fs::read(&archive).unwrap() == wanted);
    assert!(asked(&site) < LAYERS.iter().sum(), "what was there was not asked for again");
}

fn stored(site: &Site, archive: &str) -> ExportOptions {
    let options = options(site.folder.path(), &site.path(archive));
    let store = Some(Store::new(site.path("store"), 1 << 30));
    ExportOptions { access: ChartAccess { store, ..options.access }, ..options }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_export_takes_layers_from_the_store() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let export = async |name: &str| {
        site.registry.plan(|_| Fault::Nothing);
        export::run(stored(&site, name), Arc::new(Silent)).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(fs::read(site.path(name)).unwrap() == wanted, "{name}");
        asked(&site)
    };
    let all: usize = LAYERS.iter().sum();
    assert_eq!(export("first.tar").await, all);
    assert_eq!(export("second.tar").await, 0);
    archive::open(&site.path("second.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap();
    // Damaged in three ways.
    let blob = |number: usize| site.path("store/sha256").join(site.layers[number].hex());
    let mut bytes = fs::read(blob(1)).unwrap();
    bytes[20_000_000] ^= 1;
    fs::write(blob(1), &bytes).unwrap();
    fs::write(blob(2), b"short").unwrap();
    fs::remove_file(blob(3)).unwrap();
    fs::create_dir(blob(3)).unwrap();
    assert_eq!(export("third.tar").await, LAYERS[1] + LAYERS[2] + LAYERS[3]);
    fs::remove_dir(blob(3)).unwrap();
    assert_eq!(export("fourth.tar").await, LAYERS[3], "the others are mended");
    assert_eq!(export("fifth.tar").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exports_share_a_store() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    site.registry.plan(|_| Fault::Slow(256 << 10));
    let run = |name: &'static str| export::run(stored(&site, name), Arc::new(Silent));
    let (one, two, three) = tokio::join!(run("one.tar"), run("two.tar"), run("three.tar"));
    for (outcome, name) in [(one, "one.tar"), (two, "two.tar"), (three, "three.tar")] {
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(fs::read(site.path(name)).unwrap() == wanted, "{name}");
    }
    let names: Vec<String> = fs::read_dir(site.path("store/sha256")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == LAYERS.len() && !names.iter().any(|name| name.starts_with('.')), "{names:?}");
}
