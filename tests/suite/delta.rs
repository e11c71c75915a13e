//! Delta archives: 1.1 over 1.0 carries only what is new, together they verify to what 1.1 alone would be, and no other base will do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use offline::{
    archive::{self, Archive, ArchiveError, Trust},
    failure::{Failure, Kind},
    oci::{Digest, Platform},
    ops::{
        ChartAccess,
        export::{self, ExportOptions, ExportOutcome, Shape},
        inspect::{self, InspectOptions},
        lock::{self, LockOptions},
        read_delivery,
        sign::{self, SignOptions},
        verify::{self, BaseOutcome, Elsewhere, TrustOptions, VerifyOptions},
    },
    progress::{Event, Reporter, Silent},
    signing::{KeySource, PrivateKey},
};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    pulling::{self, Site},
    support::faulty::{Fault, Request},
};

/// A layer of 300 kB that nothing else has.
pub(crate) fn layer(seed: u8) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(300_000);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, format!("file-{seed}"), &vec![seed; 300_000][..]).unwrap();
    tar.into_inner().unwrap()
}

/// What `docker save` writes for one image.
pub(crate) fn docker_archive(path: &Path, name: &str, layers: &[u8]) {
    let layers: Vec<Vec<u8>> = layers.iter().map(|&seed| layer(seed)).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
    let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let list = json!([{"Config": "c.json", "RepoTags": [name], "Layers": names}]).to_string();
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    let layers = names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice));
    for (name, bytes) in [("c.json", config.as_bytes()), ("manifest.json", list.as_bytes())].into_iter().chain(layers) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.into_inner().unwrap();
}

/// A product whose images are made of these layers.
pub(crate) struct Product {
    folder: TempDir,
}

impl Product {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn export(&self, version: &str, images: &[(&str, &[u8])], output: &str, shape: Shape) -> Result<ExportOutcome, Failure> {
        let mut text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: product, version: '{version}'}}\nspec:\n  platforms: [linux/amd64]\n  images:\n"
        );
        for (at, (name, layers)) in images.iter().enumerate() {
            docker_archive(&self.path(&format!("{at}.tar")), name, layers);
            text.extend(["  - {archive: ", &at.to_string(), ".tar}\n"]);
        }
        fs::write(self.path("delivery.yaml"), text).unwrap();
        let delivery = read_delivery(&self.path("delivery.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let agents = vec![offline::cluster::nodes::AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() }];
        let (output, access) = (Some(self.path(output)), ChartAccess::default());
        let options = ExportOptions { delivery, output, signer: None, platforms: None, access, agents, dry_run: false, locked: false, ask: None };
        export::run_shaped(options, shape, Arc::new(Silent)).await
    }

    /// 1.0, 1.1 as a whole and as a delta.
    pub(crate) async fn releases() -> Self {
        let product = Self::new();
        product.export("1.0", &[("r.dev/app:1.0", &[1, 2]), ("r.dev/side:1", &[1, 3])], "1.0.tar", Shape::default()).await.unwrap();
        product.export("1.1", ONE_ONE, "whole.tar", Shape::default()).await.unwrap();
        let outcome = product.export("1.1", ONE_ONE, "1.1.tar", product.over("1.0.tar")).await.unwrap_or_else(|error| panic!("{error}"));
        let base = outcome.base.unwrap();
        assert_eq!((base.blobs, base.left_out), (3, layer(1).len() as u64 * 3));
        product
    }

    pub(crate) fn over(&self, base: &str) -> Shape {
        Shape { base: Some(self.path(base)), ..Shape::default() }
    }

    fn verify(&self, archive: &str, bases: &[&str]) -> Result<verify::VerifyOutcome, Failure> {
        verify::run_with(&VerifyOptions { archive: self.path(archive), trust: unsigned(), deep: false }, &self.elsewhere(bases), &Silent)
    }

    fn elsewhere(&self, bases: &[&str]) -> Elsewhere {
        Elsewhere { bases: bases.iter().map(|base| self.path(base)).collect(), ..Elsewhere::default() }
    }

    pub(crate) fn open(&self, archive: &str, bases: &[&str]) -> Archive {
        verify::open_with(&self.path(archive), &self.elsewhere(bases), &unsigned(), &Silent).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// One layer of one image is new.
const ONE_ONE: &[(&str, &[u8])] = &[("r.dev/app:1.1", &[1, 2, 4]), ("r.dev/side:1", &[1, 3])];

pub(crate) fn unsigned() -> TrustOptions {
    TrustOptions { allow_unsigned: true, ..TrustOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_carries_what_is_new_and_is_with_its_base_what_the_whole_is() {
    let product = Product::releases().await;
    let size = |name: &str| fs::metadata(product.path(name)).unwrap().len();
    // The new layer, and not the three old ones.
    assert_eq!(size("whole.tar") - size("1.1.tar"), 3 * (512 + layer(1).len() as u64));
    let (delta, whole) = (product.open("1.1.tar", &["1.0.tar"]), product.open("whole.tar", &[]));
    assert!(delta.is_complete());
    assert_eq!(delta.images(), whole.images());
    for (_, image) in whole.images() {
        assert_eq!(delta.blobs(image), whole.blobs(image));
        for (digest, _) in whole.blobs(image) {
            assert!(delta.read(&digest).unwrap() == whole.read(&digest).unwrap(), "{digest}");
        }
    }
    let base = product.verify("1.1.tar", &["1.0.tar"]).unwrap().base.unwrap();
    assert!(base.checked);
    assert_eq!(product.verify("whole.tar", &[]).unwrap().base, None);

    product.export("1.1", ONE_ONE, "again.tar", product.over("1.0.tar")).await.unwrap();
    assert!(fs::read(product.path("again.tar")).unwrap() == fs::read(product.path("1.1.tar")).unwrap(), "same in, same out");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_base_a_delta_tells_what_was_not_checked() {
    let product = Product::releases().await;
    let told = |base: BaseOutcome| {
        assert!(!base.checked);
        assert_eq!((base.base.name.as_str(), base.base.version.as_deref()), ("product", Some("1.0")));
        assert_eq!(base.base.digest, Digest::of(product.open("1.0.tar", &[]).index_json()));
        let mut wanted: Vec<Digest> = [1, 2, 3].map(|seed| Digest::of(&layer(seed))).into();
        wanted.sort();
        assert_eq!(base.blobs.iter().map(|blob| blob.digest.clone()).collect::<Vec<_>>(), wanted);
        let shared = base.blobs.iter().find(|blob| blob.digest == Digest::of(&layer(1))).unwrap();
        assert_eq!(shared.images.iter().map(ToString::to_string).collect::<Vec<_>>(), ["r.dev/app:1.1", "r.dev/side:1"]);
    };
    told(product.verify("1.1.tar", &[]).unwrap().base.unwrap());
    told(inspect::run(&InspectOptions { archive: product.path("1.1.tar"), trust: TrustOptions::default() }).unwrap().base.unwrap());
    let archive = product.open("1.1.tar", &[]);
    assert!(!archive.is_complete());
    assert!(matches!(archive.read(&Digest::of(&layer(1))), Err(ArchiveError::NoSuchBlob { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_base_is_refused_with_its_name() {
    let product = Product::releases().await;
    // The same version once more, and with something else in it.
    product.export("1.0", &[("r.dev/app:1.0", &[1, 2]), ("r.dev/side:1", &[1, 5])], "other.tar", Shape::default()).await.unwrap();
    let failure = product.verify("1.1.tar", &["other.tar"]).unwrap_err();
    let [wanted, found] = ["1.0.tar", "other.tar"].map(|name| Digest::of(product.open(name, &[]).index_json()));
    let told = failure.to_string();
    assert!(told.contains(&format!("was made over product 1.0 ({wanted})")) && told.contains(&format!("other.tar` is product 1.0 ({found})")), "{told}");
    assert_eq!(failure.kind, Kind::Untrusted);
    let failure = product.verify("whole.tar", &["1.0.tar"]).unwrap_err();
    assert!(failure.to_string().contains("is whole and has no base"), "{failure}");
    assert_eq!(failure.kind, Kind::Usage);
    // A damaged base is no base.
    let mut bytes = fs::read(product.path("1.0.tar")).unwrap();
    let at = bytes.len() - 100_000;
    bytes[at] ^= 1;
    fs::write(product.path("damaged.tar"), bytes).unwrap();
    let failure = product.verify("1.1.tar", &["damaged.tar"]).unwrap_err();
    assert!(failure.to_string().contains("damaged.tar` is damaged"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_may_be_the_base_of_the_next_one() {
    let product = Product::releases().await;
    let images: &[(&str, &[u8])] = &[("r.dev/app:1.2", &[1, 2, 4, 6]), ("r.dev/side:1", &[1, 3])];
    let outcome = product.export("1.2", images, "1.2.tar", product.over("1.1.tar")).await.unwrap();
    assert_eq!(outcome.base.unwrap().blobs, 4);
    assert!(product.verify("1.2.tar", &["1.1.tar", "1.0.tar"]).unwrap().base.unwrap().checked);
    let failure = product.verify("1.2.tar", &["1.1.tar"]).unwrap_err();
    let told = failure.to_string();
    assert!(told.contains("is in none of the archives that were given as its base (product 1.1 (") && told.contains("r.dev/"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_common_makes_a_whole_archive() {
    let product = Product::releases().await;
    let images: &[(&str, &[u8])] = &[("r.dev/new:1", &[8, 9])];
    let outcome = product.export("2.0", images, "2.0.tar", product.over("1.0.tar")).await.unwrap();
    assert_eq!(outcome.base, None);
    product.export("2.0", images, "plain.tar", Shape::default()).await.unwrap();
    assert!(fs::read(product.path("2.0.tar")).unwrap() == fs::read(product.path("plain.tar")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_in_volumes_over_a_base_in_volumes() {
    let product = Product::releases().await;
    let volume = "250kB".parse().ok();
    product.export("1.0", &[("r.dev/app:1.0", &[1, 2]), ("r.dev/side:1", &[1, 3])], "cut.tar", Shape { volume, base: None }).await.unwrap();
    let shape = Shape { volume, base: Some(product.path("cut.tar")) };
    product.export("1.1", ONE_ONE, "new.tar", shape).await.unwrap();
    assert!(product.path("new.tar.002").exists());
    assert!(product.verify("new.tar", &["cut.tar.volumes.json"]).unwrap().base.unwrap().checked);
    assert!(product.verify("1.1.tar", &["cut.tar.001"]).unwrap().base.unwrap().checked, "cut or whole, it is the same archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_is_a_base() {
    let product = Product::releases().await;
    let node = |name: &str, seeds: &[u8]| json!({"node": name, "platform": {"architecture": "amd64", "os": "linux"}, "images": {}, "blobs": seeds.iter().map(|&seed| Digest::of(&layer(seed))).collect::<Vec<_>>()});
    let inventory = json!({"format": 1, "nodes": [node("a", &[1, 2]), node("b", &[1, 2, 3])]}).to_string();
    fs::write(product.path("nodes.json"), &inventory).unwrap();
    let outcome = product.export("1.1", ONE_ONE, "inv.tar", product.over("nodes.json")).await.unwrap_or_else(|error| panic!("{error}"));
    let base = outcome.base.unwrap();
    assert_eq!((base.blobs, &base.base.digest), (2, &Digest::of(inventory.as_bytes())));
    assert!(base.base.to_string().starts_with("the inventory nodes.json (sha256:"));
    assert!(!product.verify("inv.tar", &[]).unwrap().base.unwrap().checked);
    // Whatever archive has the layers will do: who held them was not an archive.
    assert!(product.verify("inv.tar", &["whole.tar"]).unwrap().base.unwrap().checked);

    fs::write(product.path("nodes.json"), inventory.replace("\"format\":1", "\"format\":7")).unwrap();
    let failure = product.export("1.1", ONE_ONE, "x.tar", product.over("nodes.json")).await.unwrap_err();
    assert!(failure.to_string().contains("it has format 7"), "{failure}");
    assert_eq!(failure.kind, Kind::Usage);
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Reporter for Notes {
    fn event(&self, event: Event) {
        if let Event::Note(note) = event {
            self.0.lock().unwrap().push(note);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_a_base_whose_images_are_asked_for() {
    let site = Site::new(&[70_001, 300_000]);
    site.registry.image("side", &[70_001, 50_000]);
    pulling::describe(site.folder.path(), &[&site.registry], &["app", "side"]);
    pulling::export(site.folder.path(), &site.path("1.0.tar")).await.unwrap_or_else(|error| panic!("{error}"));
    let ExportOptions { delivery, access, .. } = pulling::options(site.folder.path(), &site.path("no.tar"));
    lock::run(LockOptions { delivery, access, check: false, ask: None }, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    fs::rename(site.path("delivery.lock"), site.path("1.0.lock")).unwrap();
    let old = fs::read_to_string(site.path("1.0.lock")).unwrap();
    site.registry.image("app", &[70_001, 300_000, 400_000]);
    let over = async |name: &str| {
        let notes = Arc::new(Notes::default());
        let shape = Shape { base: Some(site.path("1.0.lock")), ..Shape::default() };
        let outcome = export::run_shaped(pulling::options(site.folder.path(), &site.path(name)), shape, notes.clone()).await;
        (outcome.map(|outcome| outcome.base), notes.0.lock().unwrap().join(" "))
    };

    let (outcome, notes) = over("1.1.tar").await;
    let base = outcome.unwrap_or_else(|error| panic!("{error}")).unwrap();
    assert_eq!((base.blobs, base.left_out, &base.base.digest), (3, 420_001, &Digest::of(old.as_bytes())), "{notes}");
    let verify = |archive: &str, bases: &[&str]| {
        let bases = Elsewhere { bases: bases.iter().map(|base| site.path(base)).collect(), ..Elsewhere::default() };
        verify::run_with(&VerifyOptions { archive: site.path(archive), trust: unsigned(), deep: false }, &bases, &Silent).unwrap().base.unwrap().checked
    };
    assert!(!verify("1.1.tar", &[]) && verify("1.1.tar", &["1.0.tar"]));

    // The old image is nowhere any more: what only it has travels. Where it may only be for now that it cannot be had, nothing is made.
    let old = old.split("sha256:").map(|rest| &rest[..rest.len().min(64)]).map(str::to_owned).collect::<Vec<_>>();
    let of_old = move |request: &Request| request.path.contains("/app/manifests/sha256:") && old.iter().any(|digest| request.path.ends_with(digest));
    let gone = of_old.clone();
    site.registry.plan(move |request| if gone(request) { Fault::Status(404, "") } else { Fault::Nothing });
    let (outcome, notes) = over("gone.tar").await;
    let base = outcome.unwrap_or_else(|error| panic!("{error}")).unwrap();
    assert_eq!((base.blobs, base.left_out), (2, 120_001));
    assert!(notes.contains("of the base counts as not there"), "{notes}");
    site.registry.plan(move |request| if of_old(request) { Fault::Status(503, "") } else { Fault::Nothing });
    let failure = over("busy.tar").await.0.unwrap_err();
    assert!(failure.to_string().contains("/app"), "{failure}");
    assert!(!site.path("busy.tar").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lock_says_of_image_archives_counts_where_it_is_still_so() {
    let product = Product::releases().await;
    fs::remove_file(product.path("delivery.lock")).ok();
    product.export("1.0", &[("r.dev/app:1.0", &[1, 2]), ("r.dev/side:1", &[1, 3])], "again.tar", Shape::default()).await.unwrap();
    let ExportOptions { delivery, access, .. } = pulling::options(product.folder.path(), &product.path("no.tar"));
    lock::run(LockOptions { delivery, access, check: false, ask: None }, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{error}"));
    fs::rename(product.path("delivery.lock"), product.path("1.0.lock")).unwrap();
    // Of `side`, which is the same; nobody is asked about `app`.
    let base = product.export("1.1", ONE_ONE, "l.tar", product.over("1.0.lock")).await.unwrap_or_else(|error| panic!("{error}")).base.unwrap();
    assert_eq!(base.blobs, 2);
    fs::write(product.path("1.0.lock"), "kind: Lock\n").unwrap();
    let failure = product.export("1.1", ONE_ONE, "x.tar", product.over("1.0.lock")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage, "{failure}");
}

/// What was left out is signed: one layer less is another archive.
#[tokio::test(flavor = "multi_thread")]
async fn taking_more_out_of_a_delta_is_refused() {
    let product = Product::releases().await;
    let bytes = fs::read(product.path("1.1.tar")).unwrap();
    let size = (512 + layer(4).len().next_multiple_of(512)) as u64;
    let last = tar::Archive::new(&bytes[..]).entries().unwrap().map(|e| e.unwrap()).find(|e| e.size() == layer(4).len() as u64).unwrap().raw_header_position();
    let (from, to) = (usize::try_from(last).unwrap(), usize::try_from(last + size).unwrap());
    let less = [&bytes[..from], &bytes[to..]].concat();
    fs::write(product.path("less.tar"), less).unwrap();
    let failure = product.verify("less.tar", &[]).unwrap_err();
    assert!(failure.to_string().contains("index.json: what is missing is not what was left out"), "{failure}");
    assert_eq!(failure.kind, Kind::Untrusted);
    // And from a whole archive nothing may be taken at all.
    let whole = fs::read(product.path("whole.tar")).unwrap();
    let first = tar::Archive::new(&whole[..]).entries().unwrap().map(|e| e.unwrap()).find(|e| e.size() == layer(1).len() as u64).unwrap().raw_header_position();
    let (from, to) = (usize::try_from(first).unwrap(), usize::try_from(first + size).unwrap());
    fs::write(product.path("less.tar"), [&whole[..from], &whole[to..]].concat()).unwrap();
    let error = archive::open(&product.path("less.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap_err();
    assert!(error.to_string().contains("it is missing, and blobs/sha256/"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_a_delta_is_told_what_was_not_checked() {
    let product = Product::releases().await;
    let pem = p256::ecdsa::SigningKey::random(&mut rand_core::OsRng).to_pkcs8_pem(LineEnding::LF).unwrap();
    let key = PrivateKey::from_pem(&pem, None).unwrap();
    fs::write(product.path("a.key"), pem.as_bytes()).unwrap();
    fs::write(product.path("a.pub"), key.public().to_pem()).unwrap();
    let sign = |archive: &str, bases: &[&str]| {
        let keys = vec![KeySource::File(product.path("a.key"))];
        let options = SignOptions { archive: product.path(archive), keys, password: None, add: false, make_room: false };
        sign::run_with(&options, &product.elsewhere(bases), &Silent)
    };
    let unsigned = fs::read(product.path("1.1.tar")).unwrap();
    let failure = sign("1.1.tar", &["whole.tar"]).unwrap_err();
    assert!(failure.kind == Kind::Untrusted && failure.to_string().contains("was made over product 1.0 ("), "{failure}");
    let mut damaged = fs::read(product.path("1.0.tar")).unwrap();
    let at = damaged.len() - 2000;
    damaged[at] ^= 1;
    fs::write(product.path("damaged.tar"), damaged).unwrap();
    assert_eq!(sign("1.1.tar", &["damaged.tar"]).unwrap_err().kind, Kind::Untrusted);
    assert!(sign("whole.tar", &["1.0.tar"]).unwrap_err().to_string().contains("is whole and has no base"));
    assert!(fs::read(product.path("1.1.tar")).unwrap() == unsigned, "nothing was signed");

    let alone = sign("1.1.tar", &[]).unwrap().base.unwrap();
    assert!(!alone.checked && alone.blobs.len() == 3);
    let signed = fs::read(product.path("1.1.tar")).unwrap();
    assert!(sign("1.1.tar", &["1.0.tar"]).unwrap().base.unwrap().checked);
    assert!(fs::read(product.path("1.1.tar")).unwrap() == signed, "the same signature");
    assert_eq!(sign("whole.tar", &[]).unwrap().base, None);
    // And in volumes.
    let shape = Shape { volume: "250kB".parse().ok(), ..product.over("1.0.tar") };
    product.export("1.1", ONE_ONE, "cut.tar", shape).await.unwrap();
    assert!(sign("cut.tar", &["1.0.tar"]).unwrap().base.unwrap().checked);
    let trust = TrustOptions { keys: vec![KeySource::File(product.path("a.pub"))], ..TrustOptions::default() };
    for archive in ["1.1.tar", "cut.tar"] {
        let elsewhere = Elsewhere::default();
        verify::run_with(&VerifyOptions { archive: product.path(archive), trust: trust.clone(), deep: false }, &elsewhere, &Silent).unwrap();
    }
    let mut joined = Vec::new();
    for number in 1.. {
        let Ok(bytes) = fs::read(product.path(&format!("cut.tar.{number:03}"))) else { break };
        joined.extend(bytes);
    }
    assert!(joined == signed);
}
