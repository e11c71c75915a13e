//! Exports that are killed, that find the disk full, and that find layers in a store.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use offline::{
    archive::{self, Trust, VolumeSize},
    failure::Failure,
    oci::Digest,
    ops::{
        ChartAccess,
        export::{self, ExportOptions, ExportOutcome, Shape},
    },
    progress::Silent,
    registry::Patience,
    store::Store,
};

use crate::{
    pulling::{self, Site},
    support::faulty::Fault,
};

/// More than what is noted at a time, and several smaller ones.
const LAYERS: [usize; 5] = [300_000, 21_000_000, 700_000, 900_001, 2_000_000];
/// Tells the test's own program to be an export: folder and archive.
const CHILD: &str = "OFFLINE_TEST_EXPORT";

/// What these tests count are requests, so a busy machine must not look like a registry that stalls.
fn options(folder: &Path, archive: &Path) -> ExportOptions {
    let options = pulling::options(folder, archive);
    let patience = Patience { stall: Duration::from_secs(30), ..options.access.patience };
    ExportOptions { access: ChartAccess { patience, ..options.access }, ..options }
}

async fn finish(site: &Site, archive: &Path) -> Result<ExportOutcome, Failure> {
    export::run(options(site.folder.path(), archive), Arc::new(Silent)).await
}

/// Not a test: what `killed` starts, so that a process can be killed that is not the tests' own.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [folder, archive, volume, base, store] = told.split('|').collect::<Vec<_>>().try_into().unwrap();
    let shape = Shape { volume: volume.parse().ok(), base: (!base.is_empty()).then(|| base.into()) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut options = options(Path::new(folder), Path::new(archive));
    options.access.store = (!store.is_empty()).then(|| Store::new(store.into(), 1 << 30));
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let begun = clock();
    let exporting = export::run_shaped(options, shape, Arc::new(Silent));
    runtime.block_on(exporting).unwrap_or_else(|failure| panic!("{failure}"));
    fs::write(Path::new(folder).join("clock"), format!("{begun} {}", clock())).unwrap();
}

fn start(site: &Site, archive: &Path, shape: &Shape) -> Child {
    command(site, archive, shape, "").spawn().unwrap()
}

fn command(site: &Site, archive: &Path, shape: &Shape, store: &str) -> Command {
    let (volume, base) = (shape.volume.map(|size| size.to_string()).unwrap_or_default(), shape.base.clone().unwrap_or_default());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "resuming::child", "--test-threads=1"])
        .env(CHILD, format!("{}|{}|{volume}|{}|{store}", site.folder.path().display(), archive.display(), base.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Bytes of layers that were asked for since the last plan.
fn asked(site: &Site) -> usize {
    asked_of(site, "app", &site.layers, &LAYERS)
}

fn asked_of(site: &Site, image: &str, layers: &[Digest], sizes: &[usize]) -> usize {
    let sizes: BTreeMap<String, usize> = layers.iter().zip(sizes).map(|(digest, size)| (format!("/v2/{image}/blobs/{digest}"), *size)).collect();
    site.registry.seen().iter().filter_map(|request| Some(sizes.get(&request.path)? - request.from.unwrap_or_default())).sum()
}

/// All files of the archive `a.tar`, begun ones included, by name.
fn files(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(site.folder.path()).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).filter(|(name, _)| name.starts_with("a.tar"));
    named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Kills exports at moments by chance, and holds what running again makes of it against `wanted`. Gives how many had begun, and the bytes that
/// were asked for in the second runs.
async fn killed(site: &Site, shape: &Shape, wanted: &BTreeMap<String, Vec<u8>>, rounds: usize, asked: impl Fn() -> usize) -> (usize, Vec<usize>) {
    let archive = site.path("a.tar");
    let clear = || files(site).keys().for_each(|name| fs::remove_file(site.path(name)).unwrap());
    clear();
    site.registry.plan(|_| Fault::Slow(128 << 10));
    let begun = Instant::now();
    assert!(start(site, &archive, shape).wait().unwrap().success());
    let whole = begun.elapsed();
    assert!(files(site) == *wanted);
    let (mut state, mut begun_parts, mut again) = (0x5eed_u64, 0, Vec::new());
    for round in 0..rounds {
        clear();
        site.registry.plan(|_| Fault::Slow(128 << 10));
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole * u32::try_from(state >> 48).unwrap() / (1 << 16);
        let mut process = start(site, &archive, shape);
        thread::sleep(moment);
        let _ = process.kill();
        process.wait().unwrap();
        begun_parts += usize::from(files(site).keys().any(|name| Path::new(name).extension().is_some_and(|last| last == "part")));
        site.registry.plan(|_| Fault::Nothing);
        let exporting = export::run_shaped(options(site.folder.path(), &archive), shape.clone(), Arc::new(Silent));
        exporting.await.unwrap_or_else(|failure| panic!("round {round}, after {moment:?}: {failure}"));
        let found = files(site);
        assert!(found == *wanted, "round {round}, after {moment:?}: another archive, {:?}", found.keys());
        again.push(asked());
    }
    (begun_parts, again)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_export_goes_on_where_it_stopped() {
    let site = Site::new(&LAYERS);
    let wanted = BTreeMap::from([("a.tar".to_owned(), site.wanted().await)]);
    let (begun, again) = killed(&site, &Shape::default(), &wanted, 20, || asked(&site)).await;
    let all: usize = LAYERS.iter().sum();
    let saved: usize = again.iter().map(|asked| all - asked).sum();
    assert!(begun > 3 && saved > all / 2, "{begun} of 20 had begun, {saved} bytes were not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_volumes_go_on_where_they_stopped() {
    let site = Site::new(&LAYERS);
    let whole = site.wanted().await;
    let shape = Shape { volume: VolumeSize::new(3_000_001), base: None };
    export::run_shaped(options(site.folder.path(), &site.path("a.tar")), shape.clone(), Arc::new(Silent)).await.unwrap();
    let wanted = files(&site);
    let joined: Vec<u8> = wanted.iter().filter(|(name, _)| !name.ends_with("json")).flat_map(|(_, bytes)| bytes.clone()).collect();
    assert!(wanted.len() > 8 && joined == whole);
    let (begun, again) = killed(&site, &shape, &wanted, 12, || asked(&site)).await;
    let all: usize = LAYERS.iter().sum();
    let saved: usize = again.iter().map(|asked| all - asked).sum();
    assert!(begun > 2 && saved > all / 4, "{begun} of 12 had begun, {saved} bytes were not asked for again");
    // A run with volumes of another size, or without any, does not take them for its own.
    site.registry.plan(|request| if request.path.contains("/blobs/") && request.from.is_some() { Fault::Drop(0) } else { Fault::Drop(2_500_000) });
    for name in wanted.keys() {
        fs::remove_file(site.path(name)).unwrap();
    }
    export::run_shaped(options(site.folder.path(), &site.path("a.tar")), shape, Arc::new(Silent)).await.unwrap_err();
    assert!(site.path("a.tar.001.part").exists());
    site.registry.plan(|_| Fault::Nothing);
    finish(&site, &site.path("a.tar")).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(fs::read(site.path("a.tar")).unwrap() == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_a_delta_goes_on_where_it_stopped() {
    /// Of which the first two are those of the base.
    const NEXT: [usize; 4] = [300_000, 21_000_000, 11_000_000, 1_500_000];
    let site = Site::new(&LAYERS);
    let base = site.path("base.tar");
    finish(&site, &base).await.unwrap();
    let layers = site.registry.image("next", &NEXT);
    assert_eq!(layers[..2], site.layers[..2]);
    pulling::describe(site.folder.path(), &[&site.registry], &["next"]);
    for volume in [None, VolumeSize::new(2_000_003)] {
        let shape = Shape { volume, base: Some(base.clone()) };
        for name in files(&site).keys() {
            fs::remove_file(site.path(name)).unwrap();
        }
        site.registry.plan(|_| Fault::Nothing);
        let outcome = export::run_shaped(options(site.folder.path(), &site.path("a.tar")), shape.clone(), Arc::new(Silent)).await.unwrap();
        let left_out = outcome.base.map(|base| (base.blobs, base.left_out));
        assert_eq!(left_out, Some((2, 21_300_000)));
        let count = || asked_of(&site, "next", &layers, &NEXT);
        let new = NEXT[2] + NEXT[3];
        assert_eq!(count(), new, "what the base holds is not asked for");
        let (begun, again) = killed(&site, &shape, &files(&site), 10, count).await;
        assert!(begun > 1 && again.iter().all(|asked| *asked <= new) && again.iter().any(|asked| *asked < new), "{begun} of 10 had begun, {again:?}");
    }
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
    finish(&site, &archive).await.unwrap_err();
    let part = site.path("a.tar.part");
    let left = fs::read(&part).unwrap();
    let journal = fs::read(site.path("a.tar.part.journal")).unwrap();
    let again = async |bytes: &[u8], noted: &[u8]| {
        fs::write(&part, bytes).unwrap();
        fs::write(site.path("a.tar.part.journal"), noted).unwrap();
        site.registry.plan(|_| Fault::Nothing);
        finish(&site, &archive).await.unwrap_or_else(|failure| panic!("{failure}"));
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
    let (one, other) = tokio::join!(finish(&site, &archive), async {
        while !site.path("a.tar.part.journal").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        finish(&site, &archive).await
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
    let failure = finish(&site, &archive).await.unwrap_err();
    let text = format!("{failure} {:?}", failure.hints);
    assert!(text.contains("a.tar.part") && text.contains("No space left") && text.contains("same command again"), "{text}");
    assert_eq!(failure.kind, offline::failure::Kind::Other);
    assert!(disk.0.path().join("a.tar.part").exists() && !archive.exists());
    // Still no room: told before anything is asked for, and nothing is lost.
    let failure = finish(&site, &archive).await.unwrap_err();
    assert!(failure.to_string().contains("needs") && disk.0.path().join("a.tar.part").exists(), "{failure}");
    fs::remove_file(&filler).unwrap();
    site.registry.plan(|_| Fault::Nothing);
    finish(&site, &archive).await.unwrap_or_else(|failure| panic!("{failure}"));
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

/// Debian's libfaketime, which gives a process another clock.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = folders.into_iter().find(|path| path.exists());
    if found.is_none() {
        assert_ne!(std::env::var("OFFLINE_LAB").as_deref(), Ok("1"), "OFFLINE_LAB=1, and faketime is not installed");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: faketime is not installed\n");
    }
    found
}

/// The clock of a killed run, of the one that goes on, of the store and of the journal may all be wrong, and jump in between.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_or_jump_change_nothing() {
    let Some(library) = faketime() else { return };
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let (archive, clock, store) = (site.path("a.tar"), site.path("faketime"), site.path("store"));
    let all: usize = LAYERS.iter().sum();
    let start = |time: &str| {
        let _ = fs::remove_file(&archive);
        fs::write(&clock, time).unwrap();
        let mut command = command(&site, &archive, &Shape::default(), store.to_str().unwrap());
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
        // Only the clock on the wall jumps, as it does on machines; files have the kernel's times.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1").spawn().unwrap()
    };
    let told = || -> Vec<u64> { fs::read_to_string(site.path("clock")).unwrap().split(' ').map(|word| word.parse().unwrap()).collect() };
    // The store is filled in the past, used in the future, and used again in between.
    for (time, asks) in [("@1999-12-31 23:59:58", all), ("@2099-01-01 00:00:00", 0), ("+0", 0), ("@1971-01-01 00:00:00", 0)] {
        site.registry.plan(|_| Fault::Nothing);
        assert!(start(time).wait().unwrap().success(), "{time}");
        assert!(fs::read(&archive).unwrap() == wanted, "{time}: another archive");
        assert_eq!(asked(&site), asks, "{time}");
        let year = 1970 + told()[0] / 31_556_952;
        assert!(time == "+0" || (year.abs_diff(time[1..5].parse().unwrap()) <= 1), "{time}: the clock says {year}");
        fs::remove_file(site.path("clock")).unwrap();
    }
    // It jumps back by decades and forward again while layers come.
    fs::remove_dir_all(&store).unwrap();
    let (hand, largest) = (clock.clone(), site.layers[1].clone());
    site.registry.plan(move |request| {
        let time = if request.path.ends_with(largest.as_str()) { "+30y" } else { "-20y" };
        fs::write(&hand, time).unwrap();
        if request.path.contains("/blobs/") && request.before == 0 { Fault::Drop(200_000) } else { Fault::Slow(256 << 10) }
    });
    assert!(start("+0").wait().unwrap().success());
    assert!(fs::read(&archive).unwrap() == wanted);
    let [before, after] = told()[..] else { panic!("two times") };
    assert!(before.abs_diff(after) > 10 * 31_556_952, "the clock went from {before} to {after}");
    // Killed in the future, it goes on in the past, and the other way round.
    for (first, second) in [("+30y", "-20y"), ("-20y", "+30y")] {
        fs::remove_dir_all(&store).unwrap();
        site.registry.plan(|_| Fault::Slow(64 << 10));
        let mut process = start(first);
        while !fs::read_to_string(site.path("a.tar.part.journal")).is_ok_and(|text| text.lines().count() > 2) {
            assert!(process.try_wait().unwrap().is_none(), "it ended before it was killed");
            thread::sleep(Duration::from_millis(2));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        site.registry.plan(|_| Fault::Nothing);
        assert!(start(second).wait().unwrap().success());
        assert!(fs::read(&archive).unwrap() == wanted);
        assert!(asked(&site) < all, "what was there is taken up, whatever the clock says");
    }
}
