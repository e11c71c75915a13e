//! Images into real nodes.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test that cannot go on panics, and tells what it measured")]

use std::{
    collections::HashMap,
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, Pod, Secret},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use offline::{
    cluster::{
        Cluster, ConnectOptions,
        nodes::{Blobs, ImportOptions, NodeImage, NodeSelection, NodesError, PlatformImage, cleanup, holdings, import},
    },
    oci::{Descriptor, Digest, Platform, media_type},
    progress::{Event, Reporter, SharedReporter, Silent},
};
use serde_json::json;

use crate::support;

const BUSYBOX: &str = "/bin/busybox";

/// The cluster, for this test alone: what it leaves, and what nodes hold, is counted.
fn lab() -> Option<RwLockWriteGuard<'static, ()>> {
    support::lab().map(support::Lab::own)
}

async fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = ConnectOptions { kubeconfigs: vec![support::lab().unwrap().kubeconfig()], ..ConnectOptions::default() };
    Cluster::connect(&options).await.unwrap().client().clone()
}

/// Different in every run, so that no node has it.
fn salt() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap() ^ NEXT.fetch_add(1 << 40, Ordering::Relaxed)
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    std::iter::repeat_with(next).take(length).collect()
}

type Hook = Box<dyn Fn(&Digest, u64, &mut [u8]) -> io::Result<()> + Send + Sync>;

/// Blobs in memory, with something that happens while they are read.
#[derive(Default)]
struct Memory {
    blobs: HashMap<Digest, Vec<u8>>,
    hook: Option<Hook>,
}

impl Blobs for Memory {
    fn read_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let blob = self.blobs.get(digest).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let rest = &blob[usize::try_from(offset).unwrap().min(blob.len())..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        if let Some(hook) = &self.hook {
            hook(digest, offset, &mut buf[..n])?;
        }
        Ok(n)
    }
}

impl Memory {
    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(kind, &bytes);
        self.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// An image of layers (media type, content of the tar), with an index whose other platform is absent, if wanted.
    fn image(&mut self, name: &str, layers: &[(&str, Vec<u8>)], index: bool) -> NodeImage {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for (kind, tar) in layers {
            diff_ids.push(Digest::of(tar));
            let bytes = if kind.ends_with("gzip") {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
                io::Write::write_all(&mut gzip, tar).unwrap();
                gzip.finish().unwrap()
            } else if kind.ends_with("zstd") {
                ruzstd::encoding::compress_to_vec(tar.as_slice(), ruzstd::encoding::CompressionLevel::Fastest)
            } else {
                tar.clone()
            };
            descriptors.push(self.add(kind, bytes));
        }
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh", "-c", "sleep 3600"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "comment": name});
        let config = self.add(media_type::OCI_CONFIG, config.to_string().into_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": descriptors});
        let manifest = self.add(media_type::OCI_MANIFEST, manifest.to_string().into_bytes());
        let mut documents = vec![manifest.clone(), config];
        let mut root = manifest.clone();
        if index {
            let mut own = manifest.clone();
            own.platform = Some(Platform::linux_amd64());
            let mut other = Descriptor::of(media_type::OCI_MANIFEST, b"never here");
            other.platform = Some("linux/arm64".parse().unwrap());
            let text = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [other, own]});
            root = self.add(media_type::OCI_INDEX, text.to_string().into_bytes());
            documents.insert(0, root.clone());
        }
        let per_platform = vec![PlatformImage { platform: Platform::linux_amd64(), manifest, documents, layers: descriptors }];
        NodeImage { names: vec![name.to_owned()], root, per_platform }
    }
}

fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn busybox() -> Vec<u8> {
    let program = fs::read(BUSYBOX).expect("a static busybox (Debian's busybox-static)");
    tar(&[("bin/sh", &program, 0o755), ("bin/sleep", &program, 0o755)])
}

fn options(namespace: &str) -> ImportOptions {
    ImportOptions { namespace: namespace.to_owned(), timeout: Duration::from_mins(3), ..ImportOptions::default() }
}

/// No object of ours is left; the namespace is gone or going.
async fn assert_nothing_left(client: &Client, options: &ImportOptions) {
    let all = ListParams::default();
    let ours = ListParams::default().labels(&format!("offline.dev/import={}", options.run));
    assert_eq!(Api::<Job>::all(client.clone()).list(&ours).await.unwrap().items.len(), 0, "Jobs");
    assert_eq!(Api::<Pod>::all(client.clone()).list(&ours).await.unwrap().items.len(), 0, "pods");
    assert_eq!(Api::<Secret>::all(client.clone()).list(&ours).await.unwrap().items.len(), 0, "Secrets");
    let namespaces = Api::<Namespace>::all(client.clone()).list(&all).await.unwrap();
    for namespace in namespaces.items.iter().filter(|n| n.metadata.name.as_deref().is_some_and(|n| n.starts_with(&options.namespace))) {
        assert!(namespace.metadata.deletion_timestamp.is_some(), "{:?} stays", namespace.metadata.name);
    }
}

/// Runs an image on a node and waits until its container runs.
async fn assert_runs(client: &Client, node: &str, name: &str, image: &str, policy: &str) {
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": image, "imagePullPolicy": policy}]}});
    api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let started = Instant::now();
    let phase = loop {
        let status = api.get(name).await.unwrap().status.unwrap_or_default();
        let waiting = status.container_statuses.as_deref().and_then(|c| c.first()?.state.clone()?.waiting?.reason);
        if status.phase.as_deref() == Some("Running") || started.elapsed() > Duration::from_secs(30) {
            break format!("{:?} {waiting:?}", status.phase);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    api.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(phase.starts_with("Some(\"Running\")"), "{image} with {policy} on {node}: {phase}");
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Reporter for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// What `install` of a delta archive and `nodes status` ask.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_tell_what_they_hold_and_get_nothing_by_being_asked() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let mut memory = Memory::default();
    let layer = (media_type::OCI_LAYER, tar(&[("etc/own", &noise(salt, 700_000), 0o644)]));
    let images = [memory.image(&format!("registry.invalid/t{salt}/held:1"), &[layer], false)];
    let all: std::collections::BTreeSet<Digest> = memory.blobs.keys().cloned().collect();
    let options = options(&format!("offline-h{salt:x}"));
    for _ in 0..2 {
        let before = holdings(&client, &images, &options.for_holdings(), Arc::new(Silent)).await.unwrap();
        assert_eq!(before.len(), 2);
        assert!(before.iter().all(|node| node.held.is_empty() && node.lacking == all), "{before:?}");
    }
    import(&client, Arc::new(memory), &images, &options, Arc::new(Silent)).await.unwrap();
    let after = holdings(&client, &images, &options.for_holdings(), Arc::new(Silent)).await.unwrap();
    assert!(after.iter().all(|node| node.lacking.is_empty() && node.held == all), "{after:?}");
    assert_nothing_left(&client, &options.for_holdings()).await;
}

/// A namespace was deleted by a run that had found it empty, while another began in it.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_runs_that_begin_and_end_together_do_not_take_the_namespace_away() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let mut memory = Memory::default();
    let images = [memory.image(&format!("registry.invalid/r{salt}/race:1"), &[(media_type::OCI_LAYER, tar(&[("etc/own", b"x", 0o644)]))], false)];
    let namespace = format!("offline-r{salt:x}");
    let runs = (0..3_u64).map(|person| {
        let (client, images, namespace) = (client.clone(), images.clone(), namespace.clone());
        tokio::spawn(async move {
            for time in 0..4_u64 {
                let selection = NodeSelection::Names(vec![format!("node{}", 1 + person % 2)]);
                let options = ImportOptions { nodes: selection, run: format!("{person}{time}{salt:x}"), ..options(&namespace) };
                holdings(&client, &images, &options, Arc::new(Silent)).await.unwrap_or_else(|error| panic!("{person}, {time}: {error}"));
            }
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
    assert_nothing_left(&client, &options(&namespace)).await;
}

/// What `install` of a delta without its base does where one node has a layer and another lacks it.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_take_from_each_other_what_is_not_on_this_side() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let (mut memory, name) = (Memory::default(), format!("registry.invalid/p{salt}/app:1"));
    // One that goes with the small ones otherwise, and a large one.
    let own = |n: u64, size| (media_type::OCI_LAYER, tar(&[(&*format!("etc/own{n}"), &noise(salt + n, size), 0o644)]));
    let images = [memory.image(&name, &[(media_type::OCI_LAYER_GZIP, busybox()), own(1, 900), own(2, 3_000_000)], true)];
    let layers: Vec<Descriptor> = images[0].per_platform[0].layers[1..].to_vec();
    let first = ImportOptions { nodes: NodeSelection::Names(vec!["node1".into()]), ..options(&format!("offline-p{salt:x}")) };
    let held = memory.blobs.clone();
    import(&client, Arc::new(memory), &images, &first, Arc::new(Silent)).await.unwrap();

    let passed_on = layers.iter().map(|layer| layer.digest.clone()).collect();
    let blobs = Memory { blobs: held.into_iter().filter(|(digest, _)| layers.iter().all(|layer| layer.digest != *digest)).collect(), hook: None };
    let blobs = Arc::new(blobs);
    // Nobody who is asked has it.
    let alone = ImportOptions { nodes: NodeSelection::Names(vec!["node2".into()]), passed_on, ..options(&first.namespace) };
    let error = import(&client, blobs.clone(), &images, &alone, Arc::new(Silent)).await.unwrap_err();
    assert!(matches!(&error, NodesError::NotPassedOn { node, digest } if node == "node2" && layers.iter().any(|layer| layer.digest == *digest)), "{error}");
    assert_nothing_left(&client, &alone).await;
    // One at a time, it would never end.
    let both = ImportOptions { parallel: 1, passed_on: alone.passed_on, ..options(&first.namespace) };
    let outcome = import(&client, blobs, &images, &both, Arc::new(Silent)).await.unwrap();
    println!("{outcome:#?}");
    let [one, two] = &outcome.nodes[..] else { panic!("{outcome:?}") };
    assert_eq!((one.bytes_sent, one.bytes_from_peers, one.changes), (0, 0, 0));
    assert!(two.bytes_from_peers >= layers.iter().map(|layer| layer.size).sum(), "{two:?}");
    assert_nothing_left(&client, &both).await;
    assert_runs(&client, "node2", &format!("p{salt:x}"), &name, "Never").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_get_images_that_run_and_a_second_import_moves_nothing() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let mut memory = Memory::default();
    let base = (media_type::OCI_LAYER_GZIP, busybox());
    let own = |n: u64| tar(&[("etc/own", &noise(salt + n, 700_000), 0o644)]);
    let names: Vec<String> = ["one", "two", "three"].iter().map(|n| format!("registry.invalid/t{salt}/{n}:1")).collect();
    let images = vec![
        memory.image(&names[0], &[base.clone(), (media_type::OCI_LAYER, own(1))], false),
        memory.image(&names[1], &[base.clone(), (media_type::DOCKER_LAYER_GZIP, own(2))], true),
        memory.image(&names[2], &[base, (media_type::OCI_LAYER_ZSTD, own(3))], true),
    ];
    let total: u64 = memory.blobs.values().map(|b| b.len() as u64).sum();
    let blobs = Arc::new(memory);
    let first = options(&format!("offline-a{salt:x}"));
    let heard = Arc::new(Heard::default());
    let outcome = import(&client, blobs.clone(), &images, &first, heard.clone()).await.unwrap();
    println!("{outcome:#?}");
    assert_eq!(outcome.nodes.len(), 2);
    let sent: u64 = outcome.nodes.iter().map(|n| n.bytes_sent).sum();
    let passed_on: u64 = outcome.nodes.iter().map(|n| n.bytes_from_peers).sum();
    // The base may be in a node from an earlier run; documents go to each node.
    assert!(sent <= total + 20_000, "{sent} of {total}: some blob went up twice");
    assert!(passed_on >= 2_000_000, "{passed_on} bytes from node to node");
    for node in &outcome.nodes {
        assert_eq!(node.names_proven, 8, "three tags, three manifest digests, two index digests");
        let pins = node.runtime.starts_with("containerd://2");
        assert_eq!(node.names_pinned, if pins { 8 } else { 0 }, "{}", node.runtime);
        assert!(heard.0.lock().unwrap().iter().any(|e| matches!(e, Event::Finished { task, .. } if *task == node.node)));
    }
    assert_nothing_left(&client, &first).await;

    let repository = |n: usize| names[n].trim_end_matches(":1").to_owned();
    for node in &outcome.nodes {
        let node = node.node.as_str();
        let pod = |n: u32| format!("t{salt:x}-{node}-{n}");
        assert_runs(&client, node, &pod(0), &names[0], "IfNotPresent").await;
        assert_runs(&client, node, &pod(1), &names[2], "Never").await;
        assert_runs(&client, node, &pod(2), &format!("{}@{}", repository(1), images[1].root.digest), "IfNotPresent").await;
        assert_runs(&client, node, &pod(3), &format!("{}@{}", repository(2), images[2].per_platform[0].manifest.digest), "Never").await;
        assert_runs(&client, node, &pod(4), &format!("{}@{}", names[0], images[0].root.digest), "IfNotPresent").await;
    }

    let second = options(&first.namespace);
    let started = Instant::now();
    let again = import(&client, blobs, &images, &second, Arc::new(Silent)).await.unwrap();
    println!("second import: {:?} {again:?}", started.elapsed());
    for node in &again.nodes {
        assert_eq!((node.bytes_sent, node.bytes_from_peers, node.blobs, node.changes), (0, 0, 0, 0), "{}", node.node);
    }
    assert_nothing_left(&client, &second).await;
}

/// Kills a run's data streams on this machine, which is also all of the lab's nodes.
fn kill_data_streams(run: &str) -> usize {
    let mut killed = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().into_string().unwrap();
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let ours = read("environ").windows(run.len()).any(|w| w == run.as_bytes());
        if ours && read("cmdline") == b"/proc/1/exe\0data\0" {
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            killed += 1;
        }
    }
    killed
}

/// Bytes of the layer during which a stream is killed.
const SIZE: usize = 40 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_go_on_where_a_killed_stream_stopped() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let mut memory = Memory::default();
    let layer = (media_type::OCI_LAYER, tar(&[("data", &noise(salt, SIZE), 0o644)]));
    let images = [memory.image(&format!("registry.invalid/k{salt}/big:1"), &[layer], false)];
    let options = ImportOptions { nodes: NodeSelection::Names(vec!["node2".into()]), ..options(&format!("offline-k{salt:x}")) };
    let (run, done) = (options.run.clone(), AtomicBool::new(false));
    memory.hook = Some(Box::new(move |_, offset, _| {
        if offset >= 25 << 20 && !done.swap(true, Ordering::SeqCst) {
            // Let containerd confirm what is on its way.
            std::thread::sleep(Duration::from_millis(500));
            assert!(kill_data_streams(&run) > 0, "no data stream was found");
        }
        Ok(())
    }));
    let heard = Arc::new(Heard::default());
    let outcome = import(&client, Arc::new(memory), &images, &options, heard.clone()).await.unwrap();
    let warned = heard.0.lock().unwrap().iter().any(|e| matches!(e, Event::Warning(text) if text.contains("going on where it stopped")));
    println!("{outcome:?}");
    assert!(warned, "the kill was not noticed");
    let sent = outcome.nodes[0].bytes_sent;
    assert!(sent < (SIZE + (12 << 20)) as u64, "{sent} bytes were sent for a blob of {SIZE}: it did not go on where it stopped");
    assert_nothing_left(&client, &options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_failures_name_their_subject_and_leave_nothing() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let image = |hook: Option<Hook>| {
        let mut memory = Memory::default();
        let layer = (media_type::OCI_LAYER, tar(&[("data", &noise(salt + 77, 300_000), 0o644)]));
        let images = vec![memory.image(&format!("registry.invalid/f{salt}/x:1"), &[layer], false)];
        memory.hook = hook;
        (Arc::new(memory), images)
    };
    let reporter: SharedReporter = Arc::new(Silent);

    let (memory, images) = image(None);
    let wrong = ImportOptions { bootstrap_image: Some("registry.invalid/not/there:1".into()), ..options(&format!("offline-f{salt:x}")) };
    let error = import(&client, memory.clone(), &images, &wrong, reporter.clone()).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, NodesError::NoBootstrap { reason, .. } if reason.contains("ErrImageNeverPull")), "{error}");
    assert_nothing_left(&client, &wrong).await;

    let absent = ImportOptions { nodes: NodeSelection::Names(vec!["node99".into()]), ..options("offline-absent") };
    let error = import(&client, memory, &images, &absent, reporter.clone()).await.unwrap_err();
    assert!(matches!(&error, NodesError::NoSuchNode { node } if node == "node99"), "{error}");

    let failing = options(&format!("offline-g{salt:x}"));
    let large = images[0].per_platform[0].layers[0].clone();
    let (memory, images) = image(Some(Box::new(move |digest, _, _| if *digest == large.digest { Err(io::Error::other("the disk is gone")) } else { Ok(()) })));
    let error = import(&client, memory, &images, &failing, reporter.clone()).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, NodesError::Blob { source, .. } if source.to_string() == "the disk is gone"), "{error}");
    assert_nothing_left(&client, &failing).await;

    let large = images[0].per_platform[0].layers[0].digest.clone();
    let damaged = large.clone();
    let (memory, images) = image(Some(Box::new(move |digest, offset, buf| {
        if *digest == damaged && offset == 0 {
            buf[10] ^= 1;
        }
        Ok(())
    })));
    let damaging = options(&format!("offline-h{salt:x}"));
    let error = import(&client, memory, &images, &damaging, reporter).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, NodesError::Agent { reason, .. } if reason.contains(large.as_str())), "{error}");
    assert_nothing_left(&client, &damaging).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_cancelled_import_can_be_cleaned_up() {
    let Some(_lab) = lab() else { return };
    let client = client().await;
    let salt = salt();
    let mut memory = Memory::default();
    let layer = (media_type::OCI_LAYER, tar(&[("data", &noise(salt, 4 << 20), 0o644)]));
    let images = [memory.image(&format!("registry.invalid/c{salt}/x:1"), &[layer], false)];
    let reached = Arc::new(tokio::sync::Notify::new());
    let tell = reached.clone();
    memory.hook = Some(Box::new(move |_, offset, _| {
        if offset >= 1 << 20 {
            tell.notify_one();
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }));
    let options = options(&format!("offline-c{salt:x}"));
    tokio::select! {
        done = import(&client, Arc::new(memory), &images, &options, Arc::new(Silent)) => panic!("it was to be cancelled: {done:?}"),
        () = reached.notified() => {}
    }
    let started = Instant::now();
    cleanup(&client, &options).await.unwrap();
    println!("cleaned up in {:?}", started.elapsed());
    assert_nothing_left(&client, &options).await;
}

/// What stands before an API server, and may know no other protocol for exec than web sockets.
struct Gate {
    address: String,
    /// Streams that were asked for: over SPDY, and as web sockets.
    asked: Arc<(AtomicU64, AtomicU64)>,
    proxy: std::process::Child,
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl Gate {
    /// `kubectl proxy` does what a gate does with certificates; only the refusal is ours.
    fn before(lab: &support::Lab, spdy: bool) -> Self {
        let mut kubectl = Command::new(support::tool("kubectl"));
        kubectl.env("KUBECONFIG", lab.kubeconfig()).args(["proxy", "--port=0", "--disable-filter=true"]).stdout(std::process::Stdio::piped());
        let mut proxy = kubectl.spawn().unwrap();
        let mut said = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(proxy.stdout.as_mut().unwrap()), &mut said).unwrap();
        let behind = said.trim().rsplit(' ').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server, count) = (client.unwrap(), TcpStream::connect(&behind).unwrap(), Arc::clone(&count));
                let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || io::copy(&mut answers, &mut back).map(|_| back.shutdown(Shutdown::Both)));
                std::thread::spawn(move || pass(client, server, &count, spdy));
            }
        });
        Self { address, asked, proxy }
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, count: &(AtomicU64, AtomicU64), spdy: bool) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = io::Read::read(&mut client, &mut buffer)?;
        let request = buffer[..n].starts_with(b"POST ") || buffer[..n].starts_with(b"GET ");
        let says = |text: &[u8]| request && buffer[..n].windows(text.len()).any(|w| w == text);
        count.0.fetch_add(says(b"SPDY/3.1").into(), Ordering::Relaxed);
        count.1.fetch_add(says(b"sec-websocket-key").into(), Ordering::Relaxed);
        let refused = says(b"SPDY/3.1") && !spdy;
        if refused {
            io::Write::write_all(&mut client, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        }
        if n == 0 || refused {
            return server.shutdown(Shutdown::Both);
        }
        io::Write::write_all(&mut server, &buffer[..n])?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_get_blobs_over_spdy_and_where_that_is_refused_over_websockets() {
    let (Some(_own), Some(lab)) = (lab(), support::lab()) else { return };
    for spdy in [true, false] {
        let gate = Gate::before(lab, spdy);
        let connect = ConnectOptions { kubeconfigs: vec![lab.kubeconfig()], server: Some(gate.address.clone()), ..ConnectOptions::default() };
        let through = Cluster::connect(&connect).await.unwrap().client().clone();
        let salt = salt();
        let mut memory = Memory::default();
        let layer = (media_type::OCI_LAYER, tar(&[("etc/own", &noise(salt, 3_000_000), 0o644)]));
        let images = [memory.image(&format!("registry.invalid/g{salt}/gate:1"), &[layer], false)];
        let options = ImportOptions { nodes: NodeSelection::Names(vec!["node1".into()]), ..options(&format!("offline-g{salt:x}")) };
        let outcome = import(&through, Arc::new(memory), &images, &options, Arc::new(Silent)).await.unwrap();
        assert!(outcome.nodes[0].bytes_sent > 3_000_000, "{outcome:?}");
        let (asked, websockets) = (gate.asked.0.load(Ordering::Relaxed), gate.asked.1.load(Ordering::Relaxed));
        // The control stream is a WebSocket, and is asked for until the agent answers.
        assert!((1..=2).contains(&asked) && websockets > 0, "{asked} over SPDY, {websockets} WebSockets");
        assert_nothing_left(&client().await, &options).await;
    }
}
