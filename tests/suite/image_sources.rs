//! Images from files and from a running docker: what skopeo, podman and docker really write.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use offline::{
    oci::{Digest, Platform, Reference},
    registry::{BlobSink as _, Memory},
    source::LocalArchive,
};

use crate::{
    registry::Layout,
    support::{self, Daemon},
};

const NAME: &str = "registry.dev:5000/team/app:1.0";

fn packed(path: &Path) -> Vec<PathBuf> {
    let name = path.display().to_string();
    support::run(Command::new("gzip").args(["-k", &name]));
    support::run(Command::new("zstd").args(["-q", "-k", &name]));
    ["", ".gz", ".zst"].iter().map(|ending| PathBuf::from(format!("{name}{ending}"))).collect()
}

/// Opens it, and holds every layer against its digest.
fn opened(path: &Path, scratch: &Path) -> LocalArchive {
    let archive = LocalArchive::open(path, scratch, &[Platform::linux_amd64()]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    whole(&archive);
    archive
}

fn whole(archive: &LocalArchive) {
    for image in archive.images() {
        for layer in &image.content.layers {
            let mut blob = Memory::default();
            archive.layer(&layer.digest, &mut blob).unwrap();
            assert_eq!((blob.digest(), blob.written()), (layer.digest.clone(), layer.size));
        }
    }
}

fn only(archive: &LocalArchive) -> (String, Digest) {
    let [image] = archive.images() else { panic!("{:?}", archive.images()) };
    (image.names[0].to_string(), image.content.root.digest.clone())
}

fn skopeo(from: &Path, to: &str, more: &[&str]) {
    support::run(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy"]).args(more).arg(format!("oci:{}:app", from.display())).arg(to));
}

#[test]
fn what_skopeo_writes_is_read() {
    let (layout, folder) = (Layout::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    // With all platforms, so that the index stays what it was.
    skopeo(layout.path(), &format!("oci:{}:{NAME}", at("layout").display()), &["--all", "--preserve-digests"]);
    skopeo(layout.path(), &format!("oci-archive:{}:{NAME}", at("oci.tar").display()), &["--all", "--preserve-digests"]);
    for path in [vec![at("layout")], packed(&at("oci.tar"))].concat() {
        let archive = opened(&path, folder.path());
        assert_eq!(only(&archive), (NAME.to_owned(), layout.index.clone()), "{}", path.display());
        assert_eq!(archive.images()[0].content.platforms.len(), 1, "of the platforms that are wanted");
    }
    skopeo(layout.path(), &format!("docker-archive:{}:{NAME}", at("docker.tar").display()), &["--override-arch=amd64"]);
    let found: BTreeSet<(String, Digest)> = packed(&at("docker.tar")).iter().map(|path| only(&opened(path, folder.path()))).collect();
    assert_eq!(found.len(), 1, "the same image, however it is packed: {found:?}");
    assert_eq!(found.first().unwrap().0, NAME);
}

#[test]
fn what_podman_saves_is_read() {
    let (layout, folder) = (Layout::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    skopeo(layout.path(), &format!("oci-archive:{}:{NAME}", at("oci.tar")), &["--override-arch=amd64"]);
    let podman = |arguments: &[&str]| {
        let store = ["--root", &at("store"), "--runroot", &at("run"), "--storage-driver", "vfs"].map(str::to_owned);
        support::run(Command::new("podman").args(store).args(arguments).env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path()));
    };
    podman(&["load", "-q", "-i", &at("oci.tar")]);
    podman(&["tag", NAME, "registry.dev:5000/team/other:2"]);
    let mut digests = BTreeSet::new();
    for (format, name) in [("docker-archive", "d.tar"), ("oci-archive", "o.tar"), ("oci-dir", "o")] {
        podman(&["save", "-q", "--format", format, "-o", &at(name), NAME]);
        let (found, digest) = only(&opened(Path::new(&at(name)), folder.path()));
        assert_eq!(found, NAME, "{format}");
        digests.insert((format == "docker-archive", digest));
    }
    assert_eq!(digests.len(), 2, "the folder is what the archive is: {digests:?}");
    podman(&["save", "-q", "--format", "docker-archive", "--multi-image-archive", "-o", &at("two.tar"), NAME, "registry.dev:5000/team/other:2"]);
    let archive = opened(Path::new(&at("two.tar")), folder.path());
    let names: BTreeSet<String> = archive.images().iter().flat_map(|image| &image.names).map(ToString::to_string).collect();
    assert_eq!(names, [NAME, "registry.dev:5000/team/other:2"].map(str::to_owned).into());
}

#[test]
fn images_of_a_running_docker_are_taken() {
    let (layout, folder) = (Layout::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let host = format!("unix://{}", at("sock"));
    let options = ["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid"), "-H", &host].map(str::to_owned);
    let quiet = ["--iptables=false", "--bridge=none", "--storage-driver=vfs"].map(str::to_owned);
    let command: Vec<String> = ["dockerd".to_owned()].into_iter().chain(options).chain(quiet).collect();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let _daemon = Daemon::start(&command, &folder.path().join("log"));
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(["-H", &host]).args(arguments).stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while docker(&["version"]).is_none() {
        assert!(std::time::Instant::now() < until, "dockerd does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    skopeo(layout.path(), &format!("docker-archive:{}:{NAME}", at("d.tar")), &["--override-arch=amd64"]);
    docker(&["load", "-i", &at("d.tar")]).unwrap();
    docker(&["tag", NAME, "plain"]).unwrap();
    let take = |name: &str| LocalArchive::of_docker(Some(&host), &name.parse::<Reference>().unwrap(), folder.path(), &[Platform::linux_amd64()]);
    for name in [NAME, "docker.io/library/plain:latest"] {
        let archive = take(name).unwrap_or_else(|error| panic!("{error}"));
        whole(&archive);
        // The image is what `docker save` writes, and what it was loaded from: layers that are not compressed, with their own digests.
        assert_eq!(only(&archive), (name.to_owned(), only(&opened(Path::new(&at("d.tar")), folder.path())).1));
    }
    let error = take("absent:1").unwrap_err().to_string();
    assert!(error.contains("docker does not have it; `docker pull docker.io/library/absent:1` gets it"), "{error}");
    let error = LocalArchive::of_docker(Some(&host), &NAME.parse().unwrap(), folder.path(), &["linux/arm64".parse().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("it has no content for linux/arm64; it has linux/amd64"), "{error}");
}
