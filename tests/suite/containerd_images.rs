//! Images from a running containerd, 1.6 and 2: what ctr has imported is what travels.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use offline::{
    archive::{self, Trust},
    cluster::nodes::AgentBinary,
    failure::{Failure, Kind},
    oci::{Descriptor, Digest, Platform, Reference},
    ops::{
        ChartAccess,
        export::{self, ExportOptions, ExportOutcome},
        read_delivery,
    },
    progress::Silent,
    registry::BlobSink,
    source::{ContainerdPlace, LocalArchive, SourceError},
};

use crate::{
    interop,
    registry::Layout,
    support::{self, Daemon},
};

const NAME: &str = "registry.dev:5000/team/app:1.0";

/// A containerd of its own, which needs root but no rights over the machine's one.
pub(crate) struct Containerd {
    folder: tempfile::TempDir,
    pub(crate) ctr: PathBuf,
    layout: Layout,
    _daemon: Daemon,
}

impl Containerd {
    pub(crate) fn start(containerd: &str, ctr: &str) -> Option<Self> {
        let (containerd, ctr) = (interop::tool(containerd)?, interop::tool(ctr)?);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let disabled = "disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt']";
        let config = format!("version = 2\nroot = '{}'\nstate = '{}'\n{disabled}\n[grpc]\naddress = '{}'\n", at("root"), at("state"), at("sock"));
        fs::write(at("config.toml"), config).unwrap();
        let daemon = Daemon::start(&[&containerd.display().to_string(), "--config", &at("config.toml")], Path::new(&at("log")));
        let this = Self { folder, ctr, layout: Layout::new(), _daemon: daemon };
        let until = Instant::now() + Duration::from_mins(1);
        while !this.command("default", &["version"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
            assert!(Instant::now() < until, "containerd does not start: {}", fs::read_to_string(this.path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        let (from, to) = (format!("oci:{}:app", this.layout.path().display()), format!("oci-archive:{}:{NAME}", this.path("app.tar").display()));
        support::run(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy", "--all", "--preserve-digests", &from, &to]));
        Some(this)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, namespace: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(self.path("sock")).args(["--namespace", namespace]).args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn ctr(&self, namespace: &str, args: &[&str]) -> String {
        support::run(&mut self.command(namespace, args))
    }

    fn import(&self, namespace: &str, more: &[&str]) {
        self.ctr(namespace, &[&["images", "import", "--no-unpack"], more, &["app.tar"]].concat());
    }

    fn place(&self, namespace: Option<&str>) -> ContainerdPlace {
        ContainerdPlace { address: Some(self.path("sock").display().to_string()), namespace: namespace.map(str::to_owned) }
    }

    fn take(&self, namespace: Option<&str>, name: &str, platforms: &[&str]) -> Result<LocalArchive, SourceError> {
        let platforms: Vec<Platform> = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        LocalArchive::of_containerd(&self.place(namespace), &name.parse::<Reference>().unwrap(), &platforms)
    }

    fn refused(&self, namespace: Option<&str>, name: &str, platforms: &[&str]) -> String {
        self.take(namespace, name, platforms).unwrap_err().to_string()
    }

    /// As it is where a platform was never pulled: what ctr leaves aside is there until containerd collects it. Tells the manifest that is gone.
    fn forget_arm(&self, namespace: &str) -> Digest {
        let archive = self.take(Some(namespace), NAME, &["linux/amd64", "linux/arm64"]).unwrap();
        let of_arm = |descriptor: &Descriptor| descriptor.platform.as_ref().is_some_and(|platform| platform.architecture == "arm64");
        let (manifest, _) = archive.images()[0].content.documents.iter().find(|(descriptor, _)| of_arm(descriptor)).unwrap();
        self.ctr(namespace, &["content", "rm", manifest.digest.as_str()]);
        manifest.digest.clone()
    }

    async fn export(&self, platforms: &str) -> Result<ExportOutcome, Failure> {
        let path = self.path("delivery.yaml");
        let spec = format!("spec:\n  platforms: [{platforms}]\n  images:\n  - {{containerd: '{NAME}'}}\n");
        fs::write(&path, format!("apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\n{spec}")).unwrap();
        let agent = |platform: &str| AgentBinary { platform: platform.parse().unwrap(), loader: "loader".into(), agent: "agent".into() };
        let options = ExportOptions {
            delivery: read_delivery(&path).unwrap_or_else(|error| panic!("{error}")),
            output: Some(self.path("a.tar")),
            signer: None,
            platforms: None,
            access: ChartAccess { containerd: self.place(None), ..ChartAccess::default() },
            agents: vec![agent("linux/amd64"), agent("linux/arm64")],
            dry_run: false,
            locked: false,
            ask: None,
        };
        export::run(options, Arc::new(Silent)).await
    }

    fn digest(&self, namespace: &str) -> String {
        let listed = self.ctr(namespace, &["images", "ls", &format!("name=={NAME}")]);
        listed.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap_or_else(|| panic!("{listed}")).to_owned()
    }
}

/// Takes so many bytes and no more, and hashes what comes.
struct Sink {
    taken: Vec<u8>,
    max: usize,
    largest: usize,
}

impl Sink {
    fn new(max: usize) -> Self {
        Self { taken: Vec::new(), max, largest: 0 }
    }
}

impl BlobSink for Sink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.largest = self.largest.max(chunk.len());
        self.taken.extend_from_slice(chunk);
        if self.taken.len() > self.max { Err("no more".into()) } else { Ok(()) }
    }
    fn written(&self) -> u64 {
        self.taken.len() as u64
    }
    fn restart(&mut self) {
        self.taken.clear();
    }
    fn digest(&self) -> Digest {
        Digest::of(&self.taken)
    }
}

fn images_are_taken(work: &Containerd) {
    // In the second of the places where images are looked for.
    work.import("default", &["--all-platforms"]);
    assert_eq!(work.digest("default"), work.layout.index.as_str(), "ctr keeps the index");
    let both = ["linux/amd64", "linux/arm64"];
    let archive = work.take(None, NAME, &both).unwrap_or_else(|error| panic!("{error}"));
    let [image] = archive.images() else { panic!("{:?}", archive.images()) };
    assert_eq!((image.names[0].to_string(), &image.content.root.digest), (NAME.to_owned(), &work.layout.index));
    assert_eq!((image.content.platforms.len(), image.content.layers.len()), (2, 2));
    for layer in &image.content.layers {
        let mut sink = Sink::new(usize::MAX);
        archive.layer(&layer.digest, &mut sink).unwrap();
        assert_eq!((sink.digest(), sink.written()), (layer.digest.clone(), layer.size));
        assert!(sink.largest <= 16 << 20);
        // From where a sink stands, and no further than it goes.
        let mut rest = Sink::new(usize::MAX);
        rest.taken = sink.taken[..100_000].to_vec();
        archive.layer(&layer.digest, &mut rest).unwrap();
        assert_eq!(rest.digest(), layer.digest);
        let error = archive.layer(&layer.digest, &mut Sink::new(1000)).unwrap_err().to_string();
        assert!(error.contains("no more"), "{error}");
    }
    // By its digest too, and by no other.
    let name = NAME.trim_end_matches(":1.0");
    let pinned = format!("{NAME}@{}", work.layout.index);
    work.ctr("default", &["images", "tag", NAME, &pinned]);
    assert_eq!(work.take(None, &pinned, &both).unwrap().images()[0].content.root.digest, work.layout.index);
    let other = format!("{name}@{}", Digest::of(b"other"));
    work.ctr("default", &["images", "tag", NAME, &other]);
    let error = work.refused(None, &other, &both);
    assert!(error.contains(&format!("there the name stands for {}", work.layout.index)), "{error}");
}

fn what_is_not_there_is_told(work: &Containerd) {
    work.import("k8s.io", &["--all-platforms"]);
    let manifest = work.forget_arm("k8s.io");
    assert_eq!(work.take(Some("k8s.io"), NAME, &["linux/amd64"]).unwrap().images()[0].content.root.digest, work.layout.index);
    let error = work.refused(Some("k8s.io"), NAME, &["linux/amd64", "linux/arm64"]);
    let get = format!("`ctr -n k8s.io content fetch --platform linux/amd64 --platform linux/arm64 {NAME}` gets it");
    let what = format!("its document {manifest} for linux/arm64 is not in containerd's content store: that platform was never pulled");
    assert!(error.contains(&what) && error.contains(&get), "{error}");
    let error = work.refused(Some("k8s.io"), NAME, &["linux/s390x"]);
    assert!(error.contains("it has no content for linux/s390x; it has linux/amd64, linux/arm64"), "{error}");
    let error = work.refused(Some("none"), NAME, &["linux/amd64"]);
    assert!(error.contains("no image of that name in the namespace none; `ctr -n none images pull") && error.contains(NAME), "{error}");
    let error = work.refused(None, "absent:1", &["linux/amd64"]);
    assert!(error.contains("in the namespace k8s.io or default") && error.contains("docker.io/library/absent:1"), "{error}");
    // A layer that is thrown away after it was unpacked, and one that goes while it is needed.
    let archive = work.take(Some("k8s.io"), NAME, &["linux/amd64"]).unwrap();
    let layer = archive.images()[0].content.layers[0].digest.clone();
    work.ctr("k8s.io", &["content", "rm", layer.as_str()]);
    for error in [work.refused(Some("k8s.io"), NAME, &["linux/amd64"]), archive.layer(&layer, &mut Sink::new(usize::MAX)).unwrap_err().to_string()] {
        assert!(error.contains(&format!("layer {layer}")) && error.contains("is not in containerd's content store"), "{error}");
    }
}

async fn it_travels(work: &Containerd) {
    work.ctr("k8s.io", &["images", "rm", NAME]);
    let outcome = work.export("linux/amd64, linux/arm64").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.images.len(), 1);
    let archive = archive::open(&work.path("a.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap();
    assert_eq!(archive.images()[0].1.digest, work.layout.index);
    let first = fs::read(work.path("a.tar")).unwrap();
    work.ctr("again", &["images", "import", "--no-unpack", "--platform", "linux/arm64", "a.tar"]);
    assert_eq!(work.digest("again"), work.digest("default"), "what comes back is what was there");
    fs::remove_file(work.path("a.tar")).unwrap();
    work.export("linux/amd64, linux/arm64").await.unwrap();
    assert!(first == fs::read(work.path("a.tar")).unwrap(), "the same image makes the same archive");
    work.forget_arm("default");
    let failure = work.export("linux/amd64, linux/arm64").await.unwrap_err();
    assert!(failure.kind == Kind::Source && failure.to_string().contains("content fetch --platform linux/amd64 --platform linux/arm64"), "{failure}");
    work.export("linux/amd64").await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_running_containerd_1_are_taken() {
    let Some(work) = Containerd::start("containerd", "ctr") else { return };
    images_are_taken(&work);
    what_is_not_there_is_told(&work);
    it_travels(&work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_running_containerd_2_are_taken() {
    let Some(work) = Containerd::start("containerd2", "ctr2") else { return };
    images_are_taken(&work);
    what_is_not_there_is_told(&work);
    it_travels(&work).await;
}
