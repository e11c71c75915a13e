//! Exports from registries that fail: each fault ends in the archive that would have come without it, byte for byte, or in an error that
//! names the blob, the image and the host.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use offline::{
    archive::{self, Trust},
    failure::{Failure, Kind},
    oci::{Digest, Platform},
    ops::{
        ChartAccess,
        export::{self, ExportOptions, ExportOutcome},
        keygen::{self, KeygenOptions},
        lock::{self, LockOptions},
        read_delivery,
        sign::SigningKeys,
    },
    progress::Silent,
    registry::Patience,
    signing::{KeySource, PublicKey, TrustedKeys},
};
use tempfile::TempDir;

use crate::support::faulty::{Fault, Faulty, Request};

type Plan = Box<dyn Fn(&Request) -> Fault + Send + Sync>;

/// Sizes of the layers of the image `app`; the largest is not the first.
const LAYERS: [usize; 3] = [70_001, 900_003, 300_000];

/// A delivery of images of a registry.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) registry: Faulty,
    pub(crate) layers: Vec<Digest>,
}

impl Site {
    pub(crate) fn new(sizes: &[usize]) -> Self {
        let registry = Faulty::start();
        let layers = registry.image("app", sizes);
        let folder = tempfile::tempdir().unwrap();
        describe(folder.path(), &[&registry], &["app"]);
        Self { folder, registry, layers }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The archive as it should be.
    pub(crate) async fn wanted(&self) -> Vec<u8> {
        let path = self.path("wanted.tar");
        export(self.folder.path(), &path).await.unwrap_or_else(|failure| panic!("{failure}"));
        fs::read(&path).unwrap()
    }

    /// Exports to `a.tar` with a fault.
    async fn with(&self, plan: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Result<Vec<u8>, Failure> {
        self.registry.plan(plan);
        let path = self.path("a.tar");
        let _ = fs::remove_file(&path);
        export(self.folder.path(), &path).await?;
        Ok(fs::read(&path).unwrap())
    }

    fn blob(&self, number: usize) -> String {
        format!("/v2/app/blobs/{}", self.layers[number])
    }
}

/// delivery.yaml with the images of all registries.
pub(crate) fn describe(folder: &Path, registries: &[&Faulty], names: &[&str]) {
    let sources: String = registries.iter().map(|registry| format!("    '{}': {{plainHTTP: true}}\n", registry.host)).collect();
    let images: String = registries.iter().flat_map(|registry| names.iter().map(move |name| format!("  - {{ref: '{}/{name}:1'}}\n", registry.host))).collect();
    let head = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec:\n  platforms: [linux/amd64]\n";
    fs::write(folder.join("delivery.yaml"), format!("{head}  sources:\n{sources}  images:\n{images}")).unwrap();
}

pub(crate) fn options(folder: &Path, output: &Path) -> ExportOptions {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let delivery = read_delivery(&folder.join("delivery.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let agent = offline::cluster::nodes::AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() };
    let patience = Patience { stall: Duration::from_millis(300), pause: Duration::from_millis(2), longest: Duration::from_secs(2), attempts: 5 };
    let access = ChartAccess { patience, ..ChartAccess::default() };
    ExportOptions {
        delivery,
        output: Some(output.into()),
        signer: None,
        platforms: None,
        access,
        agents: vec![agent],
        dry_run: false,
        locked: false,
        ask: None,
    }
}

pub(crate) async fn export(folder: &Path, output: &Path) -> Result<ExportOutcome, Failure> {
    export::run(options(folder, output), Arc::new(Silent)).await
}

/// A key in a file of the folder, to be opened with a password.
fn key(folder: &Path, password: &str) -> Option<SigningKeys> {
    let name = folder.join("k");
    if !name.with_extension("key").exists() {
        keygen::run(&KeygenOptions { name: name.clone(), password: "right".into() }).unwrap();
    }
    SigningKeys::read(&[KeySource::File(name.with_extension("key"))], Some(&password.into())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_opened_while_layers_come_and_a_wrong_password_changes_nothing() {
    let site = Site::new(&[300_000, 5_000_000]);
    let (folder, archive) = (site.folder.path(), site.path("a.tar"));
    let plain = options(folder, &archive);
    lock::run(LockOptions { delivery: plain.delivery, access: plain.access, check: false, ask: None }, Arc::new(Silent)).await.unwrap();
    // The lock is to change.
    site.registry.image("more", &[1000]);
    describe(folder, &[&site.registry], &["app", "more"]);
    let signed = |password| ExportOptions { signer: key(folder, password), ..options(folder, &archive) };
    let right = signed("right");
    let files = || {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| (fs::read(&path).unwrap(), path)).map(|(bytes, path)| (path, bytes)).collect::<BTreeMap<_, _>>()
    };
    let before = files();
    let wrong = export::run(signed("wrong"), Arc::new(Silent)).await.unwrap_err();
    assert!(wrong.to_string().contains("k.key") && files() == before, "{wrong}");
    // Nobody waits for a layer that does not end.
    site.registry.plan(|request| if is_blob(&request.path) { Fault::Slow(100) } else { Fault::Nothing });
    let wrong = export::run(signed("wrong"), Arc::new(Silent)).await.unwrap_err();
    assert!(wrong.to_string().contains("k.key") && files() == before, "{wrong}");
    // What an earlier run has written is not lost either.
    site.registry.plan(|request| if is_blob(&request.path) { Fault::Drop(if request.from.is_some() { 0 } else { 200_000 }) } else { Fault::Nothing });
    export::run(options(folder, &archive), Arc::new(Silent)).await.unwrap_err();
    assert!(site.path("a.tar.part").exists());
    export::run(signed("wrong"), Arc::new(Silent)).await.unwrap_err();
    assert!(site.path("a.tar.part").exists());
    site.registry.plan(|_| Fault::Nothing);
    assert!(export::run(right, Arc::new(Silent)).await.unwrap().signed);
    let public = PublicKey::from_pem(&fs::read_to_string(folder.join("k.pub")).unwrap()).unwrap();
    archive::open(&archive).unwrap().verify(&Trust::Keys(Box::new(TrustedKeys::new(vec![public]))), &Silent).unwrap();
    assert!(files()[&folder.join("delivery.lock")] != before[&folder.join("delivery.lock")]);
}

fn is_blob(path: &str) -> bool {
    path.contains("/blobs/")
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_leave_no_trace() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let first = |fault: Fault| -> Plan { Box::new(move |request| if request.before == 0 { fault.clone() } else { Fault::Nothing }) };
    let blobs = |fault: Fault| -> Plan { Box::new(move |request| if is_blob(&request.path) && request.before < 2 { fault.clone() } else { Fault::Nothing }) };
    let plans: Vec<(&str, Plan)> = vec![
        ("drops at once", first(Fault::Drop(0))),
        ("drops in the middle", blobs(Fault::Drop(33_333))),
        ("drops each time, and always gets further", Box::new(|request| if is_blob(&request.path) { Fault::Drop(100_000) } else { Fault::Nothing })),
        ("status 500", first(Fault::Status(500, ""))),
        ("status 429", first(Fault::Status(429, ""))),
        ("status 503, back in a second", first(Fault::Status(503, "Retry-After: 1\r\n"))),
        ("stalls", blobs(Fault::Stall(20_000, Duration::from_millis(1500)))),
        ("wrong bytes once", Box::new(|request| if is_blob(&request.path) && request.before == 0 { Fault::Flip(100) } else { Fault::Nothing })),
        (
            "does not know ranges",
            Box::new(|request| if is_blob(&request.path) && request.before < 2 { Fault::Whole(50_000) } else { Fault::Whole(usize::MAX) }),
        ),
        (
            "sends another range",
            Box::new(|request| match request.before {
                0 if is_blob(&request.path) => Fault::Drop(10_000),
                1 => Fault::Elsewhere,
                _ => Fault::Nothing,
            }),
        ),
        ("says no length", blobs(Fault::Short(usize::MAX))),
        ("says no length, and ends early", blobs(Fault::Short(12_345))),
        (
            "promises more than it sends",
            Box::new(|request| match request.before {
                0 if is_blob(&request.path) => Fault::Drop(1),
                _ => Fault::Nothing,
            }),
        ),
    ];
    for (name, plan) in plans {
        let found = site.with(plan).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(found == wanted, "{name}: another archive");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_stay_are_told_with_blob_image_and_host() {
    let site = Site::new(&LAYERS);
    site.wanted().await;
    let (blob, length) = (site.blob(1), LAYERS[1]);
    let always = |fault: Fault| {
        let blob = blob.clone();
        move |request: &Request| if request.path == blob { fault.clone() } else { Fault::Nothing }
    };
    for (fault, says) in [
        (Fault::Drop(0), "broke 5 times in a row, last after 0 of 900003 bytes"),
        (Fault::Status(500, ""), "status 500"),
        (Fault::Status(429, ""), "status 429"),
        (Fault::Status(429, "Retry-After: 3600\r\n"), "asked again in 3600 s"),
        (Fault::Status(404, ""), "does not have it"),
        (Fault::Stall(1000, Duration::from_secs(2)), "nothing came for"),
        (Fault::Flip(500_000), "got content with digest"),
        (Fault::Says(length - 1), "says that it has 900002 bytes; wanted 900003"),
        (Fault::Says(length + 1), "says that it has 900004 bytes; wanted 900003"),
        (Fault::Short(1000), "broke 5 times"),
        (Fault::More(100_000), "wanted 900003"),
    ] {
        for left in ["a.tar.part", "a.tar.part.journal"] {
            let _ = fs::remove_file(site.path(left));
        }
        let begun = Instant::now();
        let name = format!("{fault:?}");
        let failure = match fault {
            // What comes next is as short.
            Fault::Short(length) => {
                let blob = blob.clone();
                site.with(
                    move |request| {
                        if request.path == blob { if request.from.is_some() { Fault::Short(0) } else { Fault::Short(length) } } else { Fault::Nothing }
                    },
                )
                .await
            }
            fault => site.with(always(fault)).await,
        }
        .map(|_| "an archive")
        .expect_err(&name);
        let text = failure.to_string();
        assert_eq!(failure.kind, Kind::Source, "{name}: {text}");
        for part in [site.layers[1].as_str(), &format!("{}/app:1", site.registry.host), &format!("from {}", site.registry.host), says] {
            assert!(text.contains(part), "{name}: no `{part}` in: {text}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{name} took {:?}", begun.elapsed());
        let stays = matches!(name.split(['(', ' ']).next(), Some("Drop" | "Status" | "Stall" | "Short")) && !name.contains("404");
        assert!(!site.path("a.tar").exists());
        assert_eq!([site.path("a.tar.part").exists(), site.path("a.tar.part.journal").exists()], [stays; 2], "{name}: what may pass stays, and no more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_goes_on_where_it_broke() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let blob = site.blob(1);
    let of_it = blob.clone();
    let found = site.with(move |request| if request.path == of_it && request.before == 0 { Fault::Drop(400_000) } else { Fault::Nothing }).await.unwrap();
    assert!(found == wanted);
    let asked: Vec<Option<usize>> = site.registry.seen().into_iter().filter(|request| request.path == blob).map(|request| request.from).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], None);
    // The client may lose what it had not read yet when the connection ended, never what it had.
    assert!(asked[1].is_some_and(|from| from > 0 && from <= 400_000), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_to_be_left_alone_is_left_alone() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    let begun = Instant::now();
    let found = site
        .with(|request| if request.path.ends_with("/manifests/1") && request.before == 0 { Fault::Status(429, "Retry-After: 1\r\n") } else { Fault::Nothing });
    assert!(found.await.unwrap() == wanted);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_the_middle_is_asked_for_anew() {
    let site = Site::new(&LAYERS);
    let wanted = site.wanted().await;
    site.registry.token("first");
    let (registry, blob) = (site.registry.clone(), site.blob(1));
    let of_it = blob.clone();
    let found = site.with(move |request| {
        if request.path == of_it && request.before < 2 && request.from.is_none() {
            registry.token("second");
            return Fault::Drop(200_000);
        }
        Fault::Nothing
    });
    assert!(found.await.unwrap_or_else(|failure| panic!("{failure}")) == wanted);
    let asked: Vec<Option<String>> =
        site.registry.seen().into_iter().filter(|request| request.path == blob).filter_map(|request| request.authorization).map(Some).collect();
    assert!(asked.contains(&Some("Bearer first".into())) && asked.last() == Some(&Some("Bearer second".into())), "{asked:?}");
    let tokens = site.registry.seen().iter().filter(|request| request.path.starts_with("/token")).count();
    assert!((2..=3).contains(&tokens), "one for all who ask at a time, not {tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_come_first_and_no_host_is_asked_too_much_at_a_time() {
    let (one, two) = (Faulty::start(), Faulty::start());
    let sizes: Vec<usize> = (1..=14).map(|n| n * 40_000).collect();
    one.image("app", &sizes[..12]);
    two.image("app", &sizes[12..]);
    let folder = tempfile::tempdir().unwrap();
    describe(folder.path(), &[&one, &two], &["app"]);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (now.clone(), most.clone());
    one.plan(move |request| {
        if !is_blob(&request.path) {
            return Fault::Nothing;
        }
        let (now, most) = &counted;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        now.fetch_sub(1, Ordering::SeqCst);
        Fault::Nothing
    });
    let begun = Instant::now();
    let quick = Arc::new(std::sync::Mutex::new(None));
    let told = quick.clone();
    two.plan(move |request| {
        if is_blob(&request.path) {
            *told.lock().unwrap() = Some(begun.elapsed());
        }
        Fault::Nothing
    });
    export(folder.path(), &folder.path().join("a.tar")).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!((5..=6).contains(&most.load(Ordering::SeqCst)), "{most:?} at a time");
    let asked: Vec<String> = one.seen().into_iter().map(|request| request.path).filter(|path| is_blob(path)).collect();
    // The config comes first; within the six at a time, their order is the network's.
    let large: Vec<String> =
        sizes[6..12].iter().map(|size| format!("/v2/app/blobs/{}", Digest::of(&crate::support::faulty::noise(*size as u64, *size)))).collect();
    assert!(asked[1..7].iter().all(|path| large.contains(path)), "{asked:?}");
    let all = begun.elapsed();
    assert!(quick.lock().unwrap().is_some_and(|at| at < all.mul_f32(0.8)), "the other host waits for the slow one");
}
