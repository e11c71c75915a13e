//! What is attached to images travels, and images that must be signed are: against real cosign and real registries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use base64::Engine as _;
use offline::{
    archive::{self, Archive, Trust},
    delivery::Delivery,
    failure::{Failure, Kind},
    oci::{Digest, Platform},
    ops::{
        ChartAccess,
        export::{self, ExportOptions, ExportOutcome},
        lock::{self, LockOptions},
        read_delivery,
    },
    progress::Silent,
};

use crate::{
    registry::Layout,
    support::{self, Daemon, free_port, registry::Registry, registry::Setup, tool},
};

const UPLOAD: [&str; 3] = ["--tlog-upload=false", "--use-signing-config=false", "-y"];

/// A registry with the image `app:1`, and a folder with keys and a delivery.
struct Work {
    folder: tempfile::TempDir,
    host: String,
    layout: Layout,
    _registry: Option<Registry>,
    _crane: Option<Daemon>,
}

impl Work {
    /// Debian's registry, which has no list of referrers.
    fn new() -> Self {
        let registry = Registry::start(Setup::default());
        Self::on(registry.host.clone(), Some(registry), None)
    }

    /// crane's, which has one.
    fn with_referrers() -> Self {
        let port = free_port();
        let host = format!("127.0.0.1:{port}");
        let log = std::env::temp_dir().join(format!("crane-{port}.log"));
        let crane = tool("crane").display().to_string();
        let daemon = Daemon::start(&[&crane, "registry", "serve", "--address", &host], &log).listening(port);
        fs::remove_file(log).unwrap();
        Self::on(host, None, Some(daemon))
    }

    fn on(host: String, registry: Option<Registry>, crane: Option<Daemon>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let work = Self { folder: tempfile::tempdir().unwrap(), host, layout: Layout::new(), _registry: registry, _crane: crane };
        let to = format!("docker://{}/app:1", work.host);
        support::run(
            Command::new("skopeo")
                .args(["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"])
                .arg(format!("oci:{}:app", work.layout.path().display()))
                .arg(to),
        );
        for key in ["right", "wrong"] {
            work.cosign(&["generate-key-pair", "--output-key-prefix", key]);
        }
        work
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn cosign(&self, arguments: &[&str]) {
        support::run(Command::new(tool("cosign")).args(arguments).current_dir(self.path()).env("COSIGN_PASSWORD", "x").env("HOME", self.path()));
    }

    fn image(&self) -> String {
        format!("{}/app@{}", self.host, self.layout.index)
    }

    fn sign(&self, key: &str, more: &[&str]) {
        self.cosign(&[&["sign", "--key", &format!("{key}.key")], &UPLOAD[..], more, &[&self.image()]].concat());
    }

    /// A delivery of the image; `spec` is what else it says.
    fn delivery(&self, spec: &str) -> Delivery {
        let path = self.path().join("delivery.yaml");
        let text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\nspec:\n  images:\n  - {{ref: '{}/app:1'}}\n{spec}",
            self.host
        );
        fs::write(&path, text).unwrap();
        read_delivery(&path).unwrap_or_else(|error| panic!("{error}"))
    }

    fn verified_by(&self, key: &str) -> Delivery {
        self.delivery(&format!("  sources:\n    '{}': {{verify: {{key: {key}.pub}}}}\n", self.host))
    }

    fn options(&self, delivery: Delivery, locked: bool) -> ExportOptions {
        let agent = offline::cluster::nodes::AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() };
        let (output, access, agents) = (Some(self.archive_path()), ChartAccess::default(), vec![agent]);
        ExportOptions { delivery, output, signer: None, platforms: None, access, agents, dry_run: false, locked, ask: None }
    }

    fn archive_path(&self) -> PathBuf {
        self.path().join("a.tar")
    }

    async fn export(&self, delivery: Delivery) -> Result<ExportOutcome, Failure> {
        export::run(self.options(delivery, false), Arc::new(Silent)).await
    }

    fn archive(&self) -> Archive {
        archive::open(&self.archive_path()).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap()
    }
}

fn endings(archive: &Archive) -> BTreeSet<String> {
    archive.attachments().iter().map(|found| found.name.tag().map_or("referrer", |tag| tag.rsplit('.').next().unwrap()).to_owned()).collect()
}

async fn everything_travels(work: &Work) {
    fs::write(work.path().join("predicate.json"), "{\"a\":1}").unwrap();
    fs::write(work.path().join("sbom.json"), "{\"spdxVersion\":\"SPDX-2.3\"}").unwrap();
    work.sign("right", &[]);
    work.sign("right", &["--new-bundle-format=false"]);
    let image = work.image();
    work.cosign(&[&["attest", "--key", "right.key", "--predicate", "predicate.json"], &UPLOAD[..], &[&image]].concat());
    work.cosign(&[&["attest", "--key", "right.key", "--predicate", "predicate.json", "--new-bundle-format=false"], &UPLOAD[..], &[&image]].concat());
    work.cosign(&["attach", "sbom", "--sbom", "sbom.json", "--type", "spdx", &image]);
    work.export(work.delivery("")).await.unwrap_or_else(|error| panic!("{error}"));
    let archive = work.archive();
    assert_eq!(endings(&archive), ["att", "referrer", "sbom", "sig"].map(str::to_owned).into());
    assert_eq!(archive.attachments().len(), 5, "{:?}", archive.attachments());
    assert!(archive.attachments().iter().all(|found| found.subject == work.layout.index), "{:?}", archive.attachments());
    assert_eq!(archive.images().len(), 1, "what is attached is no image");
    // Without their names skopeo and cosign find nothing; with the layout pushed somewhere else, cosign verifies what travelled.
    let folder = work.path().join("layout");
    tar::Archive::new(fs::File::open(work.archive_path()).unwrap()).unpack(&folder).unwrap();
    let other = Registry::start(Setup::default());
    let to = format!("{}/moved", other.host);
    for found in archive.attachments() {
        let name = found.name.tag().map_or_else(|| format!("{to}@{}", found.root.digest), |tag| format!("{to}:{tag}"));
        let blob = format!("{}/blobs/sha256/{}", folder.display(), found.root.digest.hex());
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&blob).unwrap()).unwrap();
        for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let digest: Digest = part["digest"].as_str().unwrap().parse().unwrap();
            assert!(folder.join("blobs/sha256").join(digest.hex()).is_file(), "{name}: {digest}");
        }
    }
    // The same registry, the same bytes.
    let first = fs::read(work.archive_path()).unwrap();
    work.export(work.delivery("")).await.unwrap();
    assert!(first == fs::read(work.archive_path()).unwrap());
    work.export(work.delivery("  attachments: false\n")).await.unwrap();
    assert!(work.archive().attachments().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_attestations_and_sboms_travel() {
    everything_travels(&Work::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_travel_from_a_registry_that_lists_referrers() {
    everything_travels(&Work::with_referrers()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_must_be_signed_is_refused_without_its_signature() {
    for more in [&[][..], &["--new-bundle-format=false"]] {
        let work = Work::new();
        let failure = work.export(work.verified_by("right")).await.unwrap_err();
        assert!(failure.kind == Kind::Source && failure.to_string().contains("no signature is attached to sha256:"), "{failure}");
        work.sign("wrong", more);
        let failure = work.export(work.verified_by("right")).await.unwrap_err();
        assert!(failure.to_string().contains("is not signed by the key") && failure.to_string().contains("another key made it"), "{failure}");
        assert!(!work.archive_path().exists());
        work.sign("right", more);
        work.export(work.verified_by("right")).await.unwrap_or_else(|error| panic!("{error}"));
        // One of several is enough, as for cosign.
        work.export(work.verified_by("wrong")).await.unwrap_or_else(|error| panic!("{error}"));
        // A switch that leaves signatures behind does not leave out their check.
        work.cosign(&["generate-key-pair", "--output-key-prefix", "third"]);
        let spec = format!("  attachments: false\n  sources:\n    '{}': {{verify: {{key: third.pub}}}}\n", work.host);
        work.export(work.delivery(&spec)).await.unwrap_err();
        work.export(work.delivery(&spec.replace("third", "right"))).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(work.archive().attachments().is_empty());
    }
}

impl Work {
    /// A key made by openssl, which cosign takes as well.
    fn key(&self, name: &str, kind: &str) {
        let pem = format!("{name}.pem");
        support::run(Command::new("openssl").arg("genpkey").args(kind.split(' ')).args(["-out", &pem]).current_dir(self.path()));
        self.cosign(&["import-key-pair", "--key", &pem, "--output-key-prefix", name]);
    }

    /// Attaches a signature that openssl makes over `signed`, with the payload `shown`.
    fn attach(&self, key: &str, options: &[&str], (signed, shown): (&str, &str)) {
        fs::write(self.path().join("signed.json"), signed).unwrap();
        fs::write(self.path().join("shown.json"), shown).unwrap();
        let key = format!("{key}.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign", &key, "-out", "signature"]).args(options).arg("signed.json");
        support::run(openssl.current_dir(self.path()));
        let signature = base64::engine::general_purpose::STANDARD.encode(fs::read(self.path().join("signature")).unwrap());
        fs::write(self.path().join("signature"), signature).unwrap();
        self.cosign(&["attach", "signature", "--payload", "shown.json", "--signature", "signature", &self.image()]);
    }
}

const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const KINDS: [(&str, &str); 5] = [
    ("rsa", RSA),
    ("large", "-algorithm RSA -pkeyopt rsa_keygen_bits:4096"),
    ("p384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    ("p521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
    ("ed25519", "-algorithm ED25519"),
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_kinds_that_cosign_takes_sign_images() {
    for (form, more) in [("bundle", &[][..]), ("simple", &["--new-bundle-format=false"])] {
        let work = Work::new();
        for (kind, openssl) in KINDS {
            for name in [kind, "stranger"] {
                let _ = fs::remove_file(work.path().join(format!("{name}.key")));
                work.key(name, openssl);
            }
            work.export(work.verified_by(kind)).await.expect_err("nobody has signed with it");
            work.sign(kind, more);
            work.export(work.verified_by(kind)).await.unwrap_or_else(|error| panic!("{kind}, {form}: {error}"));
            let failure = work.export(work.verified_by("stranger")).await.unwrap_err();
            assert!(failure.to_string().contains("another key made it, or it was changed"), "{kind}, {form}: {failure}");
        }
    }
}

/// cosign signs so with keys that others keep; and old signatures over P-384 and P-521 have SHA-256.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_in_other_schemes_count_unless_they_were_changed() {
    let work = Work::new();
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{}/app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        work.host, work.layout.index
    );
    let changed = payload.replace("null", "{}");
    let pss = |salt: &str| vec!["-sigopt".to_owned(), "rsa_padding_mode:pss".to_owned(), "-sigopt".to_owned(), format!("rsa_pss_saltlen:{salt}")];
    let cases = [(0, Vec::new()), (0, pss("digest")), (0, pss("max")), (1, pss("digest")), (1, pss("max")), (2, Vec::new()), (3, Vec::new())];
    for (number, (kind, options)) in cases.iter().enumerate() {
        let (name, options) = (format!("key{number}"), options.iter().map(String::as_str).collect::<Vec<_>>());
        work.key(&name, KINDS[*kind].1);
        work.attach(&name, &options, (&payload, &changed));
        let failure = work.export(work.verified_by(&name)).await.unwrap_err();
        assert!(failure.to_string().contains("another key made it, or it was changed"), "{number}: {failure}");
        work.attach(&name, &options, (&payload, &payload));
        work.export(work.verified_by(&name)).await.unwrap_or_else(|error| panic!("{number}, {options:?}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_does_not_stand_for_a_signature() {
    let work = Work::new();
    fs::write(work.path().join("predicate.json"), "{}").unwrap();
    work.cosign(&[&["attest", "--key", "right.key", "--predicate", "predicate.json"], &UPLOAD[..], &[&work.image()]].concat());
    let failure = work.export(work.verified_by("right")).await.unwrap_err();
    assert!(failure.to_string().contains("says nothing of who stands for the image"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_an_archive_has_no_signature() {
    let work = Work::new();
    let archive = work.path().join("app.tar");
    let name = format!("docker-archive:{}:{}/other:1", archive.display(), work.host);
    support::run(Command::new("skopeo").args(["copy", "--quiet", "--override-arch=amd64"]).arg(format!("oci:{}:app", work.layout.path().display())).arg(name));
    let spec = format!("  - {{archive: app.tar}}\n  sources:\n    '{}': {{verify: {{key: right.pub}}}}\n", work.host);
    work.sign("right", &[]);
    let failure = work.export(work.delivery(&spec)).await.unwrap_err();
    assert!(failure.to_string().contains("it comes from an image archive"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_holds_what_is_attached() {
    let work = Work::new();
    work.sign("right", &[]);
    let delivery = work.delivery("");
    lock::run(LockOptions { delivery: delivery.clone(), access: ChartAccess::default(), check: false, ask: None }, Arc::new(Silent)).await.unwrap();
    let text = fs::read_to_string(delivery.lock_path()).unwrap();
    assert!(text.contains("attachments:") && text.contains(work.layout.index.as_str()), "{text}");
    let locked = || export::run(work.options(delivery.clone(), true), Arc::new(Silent));
    let first = locked().await.unwrap_or_else(|error| panic!("{error}"));
    // Somebody else signs as well: what is locked does not change.
    work.sign("wrong", &["--new-bundle-format=false"]);
    assert_eq!(locked().await.unwrap().digest, first.digest);
    assert_eq!(work.archive().attachments().len(), 1);
    // Without --locked the lock follows.
    let second = work.export(delivery.clone()).await.unwrap();
    assert_ne!(second.digest, first.digest);
    assert_eq!(locked().await.unwrap().layers_size, second.layers_size);
}

/// An image of one platform, which any registry takes alone, with a signature and an attestation in each form, and an SBOM: exported.
async fn signed(work: &Work) -> Digest {
    fs::write(work.path().join("predicate.json"), "{\"a\":1}").unwrap();
    fs::write(work.path().join("sbom.json"), "{\"spdxVersion\":\"SPDX-2.3\"}").unwrap();
    let one = format!("docker://{}/app:1", work.host);
    let from = format!("oci:{}:app", work.layout.path().display());
    support::run(Command::new("skopeo").args(["copy", "--quiet", "--override-arch=amd64", "--dest-tls-verify=false", &from, &one]));
    let digest = support::run(Command::new(tool("crane")).args(["digest", "--insecure", &format!("{}/app:1", work.host)]));
    let image = format!("{}/app@{}", work.host, digest.trim());
    for old in [false, true] {
        let form = format!("--new-bundle-format={}", !old);
        work.cosign(&[&["sign", "--key", "right.key", &form], &UPLOAD[..], &[&image]].concat());
        work.cosign(&[&["attest", "--key", "right.key", "--predicate", "predicate.json", &form], &UPLOAD[..], &[&image]].concat());
    }
    work.cosign(&["attach", "sbom", "--sbom", "sbom.json", "--type", "spdx", &image]);
    work.export(work.delivery("")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(work.archive().attachments().len(), 5);
    digest.trim().parse().unwrap()
}

impl Work {
    fn extract(&self, to: &str, arguments: &[&str]) -> String {
        let program = support::Program::new(self.path());
        program.run(&[&["extract", "a.tar", "--allow-unsigned", "-o", to], arguments].concat()).ok().stderr
    }

    /// Whether cosign accepts something, in both forms of signatures and attestations, by the right key and not by another.
    fn verified(&self, image: &str, forms: &[&str], more: &[&str]) {
        for form in forms {
            for (what, kind) in [("verify", &[][..]), ("verify-attestation", &["--type", "custom"])] {
                let verify = |key: &str| {
                    let mut cosign = Command::new(tool("cosign"));
                    cosign.args([what, "--key", key, "--insecure-ignore-tlog", &format!("--new-bundle-format={form}")]).args(kind).args(more).arg(image);
                    support::finish(cosign.current_dir(self.path()).env("HOME", self.path()))
                };
                verify("right.pub").ok();
                assert_ne!(verify("wrong.pub").code, 0, "{what} {form}");
            }
        }
    }
}

/// The tags of a layout that are not names of images.
fn tags(layout: &Path) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let names = index["manifests"].as_array().unwrap().iter().map(|root| root["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("sha256-")).collect()
}

async fn comes_out(work: &Work) {
    let digest = signed(work).await;
    work.extract("out", &["--images", "oci"]);
    let layout = work.path().join("out/images");
    let stem = format!("sha256-{}", digest.hex());
    assert_eq!(tags(&layout).into_iter().collect::<BTreeSet<_>>(), ["", ".sig", ".att", ".sbom"].map(|end| format!("{stem}{end}")).into());
    // cosign's own forms: the folder as it is, and put into a registry.
    work.verified("out/images", &["false"], &["--local-image"]);
    let other = Registry::start(Setup::default());
    work.cosign(&["load", "--dir", "out/images", &format!("{}/loaded:1", other.host)]);
    work.verified(&format!("{}/loaded@{digest}", other.host), &["false"], &[]);
    // regctl copies all of it.
    let regctl = |arguments: &[&str]| support::run(Command::new(tool("regctl")).args(arguments).current_dir(work.path()).env("HOME", work.path()));
    regctl(&["registry", "set", "--tls", "disabled", &other.host]);
    let to = format!("{}/copied:1", other.host);
    regctl(&["image", "copy", "--referrers", "--digest-tags", &format!("ocidir://out/images@{digest}"), &to]);
    work.verified(&to, &["false", "true"], &[]);
    let sbom = support::run(Command::new(tool("crane")).args(["export", "--insecure", &format!("{}/copied:{stem}.sbom", other.host), "-"]));
    assert!(sbom.contains("SPDX-2.3"), "{sbom}");
    // A tar is for runtimes, which take what has a name for an image.
    let told = work.extract("tar", &["--images", "oci-archive"]);
    assert!(told.contains("5 signatures, attestations and SBOMs of the images are not in images.tar"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attached_comes_out_so_that_cosign_verifies_it() {
    comes_out(&Work::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_of_a_registry_that_lists_them_come_out_too() {
    comes_out(&Work::with_referrers()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_folder_has_attachments_by_themselves() {
    let work = Work::new();
    let digest = signed(&work).await;
    work.extract("plain", &["--plain"]);
    let layout = work.path().join("plain/attachments");
    assert_eq!(tags(&layout).len(), 4);
    let other = Registry::start(Setup::default());
    let copy = |from: &str, to: &str| {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "--insecure-policy"]);
        support::run(skopeo.arg(from).arg(format!("docker://{}/app:{to}", other.host)).current_dir(work.path()));
    };
    copy(&format!("oci-archive:plain/images.tar:{}/app:1", work.host), "1");
    for tag in tags(&layout) {
        if tag.contains('.') {
            copy(&format!("oci:plain/attachments:{tag}"), &tag);
            continue;
        }
        // The list of referrers, and with it what it lists; skopeo takes no index of things that are no images.
        let regctl = |arguments: &[&str]| support::run(Command::new(tool("regctl")).args(arguments).current_dir(work.path()).env("HOME", work.path()));
        regctl(&["registry", "set", "--tls", "disabled", &other.host]);
        regctl(&["image", "copy", &format!("ocidir://plain/attachments:{tag}"), &format!("{}/app:{tag}", other.host)]);
    }
    work.verified(&format!("{}/app@{digest}", other.host), &["false", "true"], &[]);
    support::run(Command::new("sha256sum").args(["-c", "--strict", "--quiet", "SHA256SUMS"]).current_dir(work.path().join("plain")));
    // An image that nothing is attached to has no such folder.
    work.export(work.delivery("  attachments: false\n")).await.unwrap();
    work.extract("bare", &["--plain"]);
    assert!(!work.path().join("bare/attachments").exists());
}

/// An index of which not all platforms travelled: no registry takes it, and cosign verifies it where it lies.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_index_is_verified_in_its_folder() {
    let work = Work::new();
    work.sign("right", &["--new-bundle-format=false"]);
    fs::write(work.path().join("predicate.json"), "{\"a\":1}").unwrap();
    work.cosign(&[&["attest", "--key", "right.key", "--predicate", "predicate.json", "--new-bundle-format=false"], &UPLOAD[..], &[&work.image()]].concat());
    work.export(work.delivery("")).await.unwrap_or_else(|error| panic!("{error}"));
    work.extract("out", &["--images", "oci"]);
    work.verified("out/images", &["false"], &["--local-image"]);
}

/// One image under two names, of which each has a signature of its own.
#[tokio::test(flavor = "multi_thread")]
async fn two_repositories_may_say_different_things_of_one_image() {
    let work = Work::new();
    let from = format!("oci:{}:app", work.layout.path().display());
    for name in ["app:1", "twin:1"] {
        let to = format!("docker://{}/{name}", work.host);
        support::run(Command::new("skopeo").args(["copy", "--quiet", "--override-arch=amd64", "--dest-tls-verify=false", &from, &to]));
    }
    let digest = support::run(Command::new(tool("crane")).args(["digest", "--insecure", &format!("{}/app:1", work.host)]));
    for (name, key) in [("app", "right.key"), ("twin", "wrong.key")] {
        let image = format!("{}/{name}@{}", work.host, digest.trim());
        work.cosign(&[&["sign", "--key", key, "--new-bundle-format=false"], &UPLOAD[..], &[&image]].concat());
    }
    let delivery = work.delivery(&format!("  - {{ref: '{}/twin:1'}}\n", work.host));
    work.export(delivery).await.unwrap_or_else(|error| panic!("{error}"));
    work.extract("out", &["--images", "oci"]);
    let index: serde_json::Value = serde_json::from_slice(&fs::read(work.path().join("out/images/index.json")).unwrap()).unwrap();
    let roots = index["manifests"].as_array().unwrap();
    let names: Vec<&str> = roots.iter().map(|root| root["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap()).collect();
    let tag = format!("{}.sig", digest.trim().replace(':', "-"));
    assert_eq!(names, [format!("{}/app:1", work.host), format!("{}/twin:1", work.host), tag.clone(), format!("{}/twin:{tag}", work.host)]);
    assert_ne!(roots[2]["digest"], roots[3]["digest"]);
}
