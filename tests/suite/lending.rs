//! What a delta archive leaves out, from a registry that has the images: found, hashed, used; or refused with its name and where it was looked for.

use std::{fs, path::Path, sync::Arc};

use offline::{
    failure::{Failure, Kind},
    oci::Digest,
    ops::{
        extract::{self, ExtractOptions, Parts},
        reach::{Destination, hand_on},
        verify::{self, Elsewhere, VerifyOptions, VerifyOutcome},
    },
    progress::{SharedReporter, Silent},
    transport::Reach,
};
use tokio::sync::watch;

use crate::{
    delta::{Product, layer, unsigned},
    support::{
        Program,
        registry::{Registry, Setup},
    },
};

const APP: &str = "r.dev/app:1.0";
const SIDE: &str = "r.dev/side:1";

/// The archive 1.0 as a layout, from which images are pushed.
fn layout(product: &Product) -> std::path::PathBuf {
    let folder = product.path("layout");
    tar::Archive::new(fs::File::open(product.path("1.0.tar")).unwrap()).unpack(&folder).unwrap();
    folder
}

/// A product, and a registry that has both images of 1.0.
async fn delivered() -> (Product, Registry) {
    let product = Product::releases().await;
    let registry = Registry::start(Setup::default());
    let layout = layout(&product);
    registry.push(&layout, APP, "mirror/app:1.0");
    registry.push(&layout, SIDE, "mirror/side:1");
    (product, registry)
}

fn elsewhere(bases: &[&Path], blobs_from: &[String]) -> Elsewhere {
    Elsewhere { bases: bases.iter().map(|base| base.to_path_buf()).collect(), blobs_from: blobs_from.to_vec(), ..Elsewhere::default() }
}

fn verify(product: &Product, archive: &str, elsewhere: &Elsewhere) -> Result<VerifyOutcome, Failure> {
    verify::run_with(&VerifyOptions { archive: product.path(archive), trust: unsigned(), deep: true }, elsewhere, &Silent)
}

fn extraction(product: &Product, to: &str, images: &[&str], elsewhere: &Elsewhere) -> Result<extract::Ready, Failure> {
    let options = ExtractOptions {
        archive: product.path("1.1.tar"),
        trust: unsigned(),
        folder: Some(product.path(to)),
        parts: Parts::default(),
        apps: Vec::new(),
        images: images.iter().map(|image| image.parse().unwrap()).collect(),
        platform: None,
    };
    extract::prepare(&options, elsewhere, &Silent)
}

fn write(ready: extract::Ready) -> Result<(), Failure> {
    let (_stop, asked) = watch::channel(false);
    ready.write(&asked, &(Arc::new(Silent) as SharedReporter)).map(drop)
}

fn digest(seed: u8) -> Digest {
    Digest::of(&layer(seed))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_gives_what_the_delta_leaves_out() {
    let (product, registry) = delivered().await;
    let from = elsewhere(&[], &[format!("{}/mirror", registry.host)]);
    let outcome = verify(&product, "1.1.tar", &from).unwrap_or_else(|error| panic!("{error}"));
    let base = outcome.base.unwrap();
    assert!(base.checked);
    let given: Vec<_> = base.blobs.iter().map(|blob| (blob.digest.clone(), blob.from.clone().unwrap())).collect();
    for (seed, repository) in [(1, "app"), (2, "app"), (3, "side")] {
        assert!(given.contains(&(digest(seed), format!("{}/mirror/{repository}", registry.host))), "{given:?}");
    }
    // All layers were unpacked, and what comes out is what the whole archive would give.
    assert_eq!(outcome.deep.unwrap().layers, 4);
    write(extraction(&product, "lent", &[], &from).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    write(extraction(&product, "based", &[], &elsewhere(&[&product.path("1.0.tar")], &[])).unwrap()).unwrap();
    let images = |folder: &str| fs::read(product.path(folder).join("images.tar")).unwrap();
    assert!(images("lent") == images("based"));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_looked_for_below_the_prefix_then_in_it() {
    let product = Product::releases().await;
    let registry = Registry::start(Setup::default());
    let layout = layout(&product);
    registry.push(&layout, APP, "all/images:app");
    registry.push(&layout, SIDE, "all/images:side");
    let place = format!("{}/all/images", registry.host);
    let base = verify(&product, "1.1.tar", &elsewhere(&[], &[format!("oci://{place}")])).unwrap_or_else(|error| panic!("{error}")).base.unwrap();
    assert!(base.blobs.iter().all(|blob| blob.from.as_deref() == Some(&place)), "{base:?}");
    // Of two registries the one that has it gives it.
    let other = Registry::start(Setup::default());
    let base = verify(&product, "1.1.tar", &elsewhere(&[], &[other.host.clone(), place.clone()])).unwrap_or_else(|error| panic!("{error}")).base.unwrap();
    assert!(base.checked);
    // A base and a registry together: of a chain of deltas, one link each.
    product.export("1.2", &[("r.dev/app:1.2", &[1, 2, 4, 6]), ("r.dev/side:1", &[1, 3])], "1.2.tar", product.over("1.1.tar")).await.unwrap();
    let base = verify(&product, "1.2.tar", &elsewhere(&[&product.path("1.1.tar")], &[place])).unwrap_or_else(|error| panic!("{error}")).base.unwrap();
    let of_base = base.blobs.iter().filter(|blob| blob.from.as_deref().is_some_and(|from| from.ends_with("1.1.tar"))).count();
    assert_eq!((base.checked, base.blobs.len(), of_base), (true, 4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_no_registry_has_is_named_with_where_it_was_looked_for() {
    let product = Product::releases().await;
    let registry = Registry::start(Setup::default());
    let layout = layout(&product);
    registry.push(&layout, APP, "app:1.0");
    let from = elsewhere(&[], std::slice::from_ref(&registry.host));
    let failures = [verify(&product, "1.1.tar", &from).unwrap_err(), extraction(&product, "out", &[], &from).unwrap_err()];
    for failure in failures {
        let told = failure.to_string();
        assert!(failure.kind == Kind::Usage && told.starts_with("1 layers (301") && told.contains("made over product 1.0 (sha256:"), "{told}");
        let host = &registry.host;
        assert!(told.contains(&format!("{} (", digest(3))) && told.contains("of r.dev/side:1: "), "{told}");
        assert!(told.contains(&format!("{host}/side does not have it; {host}/app does not have it")), "{told}");
        assert!(failure.hints[0].contains("--base ARCHIVE") && failure.hints[0].contains("--blobs-from"), "{:?}", failure.hints);
    }
    assert!(!product.path("out").exists());
    // What does not need it is given.
    write(extraction(&product, "app", &["r.dev/app:1.1"], &from).unwrap()).unwrap();
    // The person who installs may still find it on the nodes, so opening is no error, and what is missing is known.
    let archive = verify::open_with(&product.path("1.1.tar"), &from, &unsigned(), &Silent).unwrap();
    assert_eq!(archive.missing().into_keys().collect::<Vec<_>>(), [digest(3)]);
    assert_eq!(archive.tried(&digest(3)).len(), 2);
}

/// Other bytes under a blob's name, of the same size.
fn spoil(registry: &Registry, seed: u8) {
    let mut bytes = layer(seed);
    bytes[600] ^= 1;
    fs::write(registry.blob(&digest(seed)), bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_of_a_registry_are_refused_before_anything_uses_them() {
    let (product, registry) = delivered().await;
    let from = elsewhere(&[], &[format!("{}/mirror", registry.host)]);
    let named = format!("{}/mirror/app@{}", registry.host, digest(2));
    // Changed after it was verified, too.
    let ready = extraction(&product, "late", &[], &from).unwrap();
    spoil(&registry, 2);
    let late = write(ready).unwrap_err();
    for failure in [late, verify(&product, "1.1.tar", &from).unwrap_err(), extraction(&product, "out", &[], &from).unwrap_err()] {
        let told = failure.to_string();
        assert!(failure.kind == Kind::Untrusted && told.contains(&named) && told.contains("its bytes have the digest sha256:"), "{told}");
    }
    assert!(!product.path("late").exists() && !product.path("out").exists());
    // A blob that is shorter than it was, and one that is gone meanwhile.
    fs::write(registry.blob(&digest(2)), &layer(2)[..1000]).unwrap();
    let failure = verify(&product, "1.1.tar", &from).unwrap_err();
    assert!(failure.to_string().contains(digest(2).as_str()), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_says_why() {
    let (product, registry) = delivered().await;
    let ask = |archive: &str, from: &str| verify(&product, archive, &elsewhere(&[], &[from.to_owned()])).unwrap_err();
    let failure = ask("whole.tar", &registry.host);
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("is whole, and layers were to be had for it"), "{failure}");
    let failure = ask("1.1.tar", "mirror/team");
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("`mirror/team` is no place of images"), "{failure}");
    let failure = ask("1.1.tar", "127.0.0.1:1");
    assert!(failure.kind == Kind::Source && failure.to_string().contains("127.0.0.1:1"), "{failure}");
    let closed = Registry::start(Setup { auth: true, ..Setup::default() });
    let failure = ask("1.1.tar", &closed.host);
    assert!(failure.kind == Kind::Usage && failure.to_string().contains(&format!("{}/app: the registry wants credentials", closed.host)), "{failure}");
    // With an account it is what any registry is.
    closed.push(&product.path("layout"), APP, "app:1.0");
    closed.push(&product.path("layout"), SIDE, "side:1");
    let reach = Reach { docker_config: Some(closed.docker_config(crate::support::registry::PASSWORD)), ..Reach::default() };
    let trust = verify::TrustOptions { reach, ..unsigned() };
    let options = VerifyOptions { archive: product.path("1.1.tar"), trust, deep: false };
    let outcome = verify::run_with(&options, &elsewhere(&[], std::slice::from_ref(&closed.host)), &Silent).unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome.base.unwrap().checked);
}

/// The base itself may lie in a registry, as an archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_in_a_registry_is_a_base() {
    let product = Product::releases().await;
    let registry = Registry::start(Setup::default());
    let place = format!("{}/archives/product:1.0", registry.host);
    let reporter: SharedReporter = Arc::new(Silent);
    hand_on(&product.path("1.0.tar"), &Destination::Registry(place.parse().unwrap()), &Reach::default(), &reporter).await.unwrap();
    let base = verify(&product, "1.1.tar", &elsewhere(&[Path::new(&format!("oci://{place}"))], &[])).unwrap_or_else(|error| panic!("{error}")).base.unwrap();
    assert!(base.checked && base.blobs.iter().all(|blob| blob.from == Some(format!("oci://{place}"))), "{base:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_where_the_layers_can_come_from() {
    let (product, registry) = delivered().await;
    let folder = product.path(".");
    let program = Program::new(&folder);
    let from = format!("{}/mirror", registry.host);
    let told = program.run(&["verify", "1.1.tar", "--allow-unsigned"]).ok().stdout;
    assert!(told.contains("the nodes must hold them, or --base ARCHIVE gives them, or --blobs-from REGISTRY"), "{told}");
    let told = program.run(&["inspect", "1.1.tar"]).ok().stdout;
    assert!(told.contains("--blobs-from REGISTRY"), "{told}");
    let told = program.run(&["verify", "1.1.tar", "--allow-unsigned", "--blobs-from", &from]).ok().stdout;
    assert!(told.contains(&format!("were checked: 2 in {from}/app, 1 in {from}/side")), "{told}");
    program.run(&["verify", "1.1.tar", "--allow-unsigned", "--blobs-from", &registry.host]).code(2).says("/side does not have it");
    program.run(&["extract", "1.1.tar", "--allow-unsigned", "--blobs-from", &from, "-o", "out"]).ok();
    program.run(&["extract", "1.1.tar", "--allow-unsigned", "-o", "no"]).code(2).says("--blobs-from REGISTRY[/PREFIX], where that has the images");
}
