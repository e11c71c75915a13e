//! Archives on web servers and in registries: read in place, put there. The servers here are made to fail as servers do; the registry is Debian's.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use offline::{
    failure::{Failure, Kind},
    io,
    ops::{
        inspect::{self, InspectOptions},
        reach::{Destination, hand_on},
        verify::{self, TrustOptions, VerifyOptions, VerifyOutcome},
    },
    progress::{SharedReporter, Silent},
    redact::{SafeUrl, Secret},
    transport::{self, ARCHIVE, Method, PART, Reach},
};
use serde_json::Value;

use crate::{
    sample,
    support::registry::{Registry, Setup},
};

/// What a request was.
#[derive(Debug, Clone, Default)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn range(&self) -> Option<(usize, usize)> {
        let (start, end) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    }
}

/// Status line and headers, and the body; what is announced may be more.
type Answer = (String, Vec<u8>);

/// A server that answers each request as it is told, and remembers it.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer, count) = (seen.clone(), Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer, count) = (kept.clone(), answer.clone(), count.clone());
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    kept.lock().unwrap().push(request.clone());
                    let (head, body) = answer(count.fetch_add(1, Ordering::SeqCst), &request);
                    let _ = (&stream).write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes()).and_then(|()| (&stream).write_all(&body));
                });
            }
        });
        Self { url, seen }
    }

    /// One that serves a file as servers should.
    fn of(bytes: Vec<u8>) -> Self {
        Self::start(move |_, request| ranged(&bytes, request, "ETag: \"a\""))
    }

    fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request { method: words.next()?, path: words.next()?, ..Request::default() };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        request.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = request.headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn ranged(bytes: &[u8], request: &Request, more: &str) -> Answer {
    let Some((start, end)) = request.range() else { return plain("200 OK", bytes) };
    let end = end.min(bytes.len() - 1);
    let part = &bytes[start..=end];
    (format!("206 Partial Content\r\nContent-Range: bytes {start}-{end}/{}\r\nContent-Length: {}\r\n{more}", bytes.len(), part.len()), part.to_vec())
}

fn plain(status: &str, body: &[u8]) -> Answer {
    (format!("{status}\r\nContent-Length: {}", body.len()), body.to_vec())
}

/// The sample archive, and its bytes.
fn archive() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    // As `main` does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample::build("1.0").write(&path, None);
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

fn verify_with(url: &str, reach: Reach) -> Result<VerifyOutcome, Failure> {
    let trust = TrustOptions { allow_unsigned: true, reach, ..TrustOptions::default() };
    verify::run(&VerifyOptions { archive: url.into(), trust, deep: false }, &Silent)
}

fn verify_at(url: &str) -> Result<VerifyOutcome, Failure> {
    verify_with(url, Reach::default())
}

/// The failure with all its causes.
fn told(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn an_archive_is_read_in_place() {
    let (_folder, path, bytes) = archive();
    let size = bytes.len();
    let server = Server::of(bytes);
    let url = format!("{}/a.tar?signature=secret", server.url);
    let there = verify_at(&url).unwrap();
    let here = verify_at(path.to_str().unwrap()).unwrap();
    assert_eq!((there.version, there.size, there.images), (here.version, here.size, here.images));
    assert_eq!(there.archive, Path::new(&format!("{}/a.tar?***", server.url)), "what grants access is not shown");
    let before = server.requests().len();
    let inspected = inspect::run(&InspectOptions { archive: url.into(), trust: TrustOptions::default() }).unwrap();
    assert_eq!(inspected.apps.len(), 2);
    // Little more than the file is read, and to look into it much less.
    let asked = |requests: &[Request]| -> usize { requests.iter().map(|r| r.range().map_or(0, |(start, end)| end.min(size - 1) + 1 - start)).sum() };
    let all = server.requests();
    assert!(asked(&all[..before]) < 2 * size + (256 << 10), "{} of {size}", asked(&all[..before]));
    assert!(all.iter().all(|r| r.range().is_some() && r.headers["accept-encoding"] == "identity"));
}

/// A server with the files of a folder, for whoever has the token.
fn serving(folder: &Path) -> Server {
    let folder = folder.to_owned();
    Server::start(move |_, request| {
        if request.headers.get("authorization").map(String::as_str) != Some("Bearer tell-nobody") {
            return plain("401 Unauthorized", b"");
        }
        match fs::read(folder.join(request.path.trim_start_matches("/in/").split('?').next().unwrap().replace("%20", " "))) {
            Ok(bytes) => ranged(&bytes, request, "ETag: \"a\""),
            Err(_) => plain("404 Not Found", b""),
        }
    })
}

#[test]
fn volumes_are_read_in_place_by_their_list() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    sample::build("1.0").write_in(&at("a b.tar"), None, "70kB".parse().ok());
    let server = serving(folder.path());
    let verify = || {
        let reach = Reach { token: Some(Secret::from("tell-nobody")), ..Reach::default() };
        verify_with(&format!("{}/in/a%20b.tar.volumes.json?sig=secret", server.url), reach)
    };
    let there = verify().unwrap_or_else(|failure| panic!("{}", told(&failure)));
    let here = verify_at(at("a b.tar").to_str().unwrap()).unwrap();
    assert_eq!((there.version, there.size, there.images), (here.version, here.size, here.images));
    assert!(server.requests().iter().all(|request| request.path.ends_with("volumes.json?sig=secret") || !request.path.contains("secret")));
    // What is wrong with a volume is told with its name.
    let second = fs::read(at("a b.tar.002")).unwrap();
    let mut damaged = second.clone();
    damaged[5000] ^= 1;
    for (change, says) in
        [(Some(damaged), "volume 2 of"), (Some(second[..second.len() - 1].to_vec()), "has 69999 bytes and should have 70000"), (None, "a b.tar.002 is missing")]
    {
        match change {
            Some(bytes) => fs::write(at("a b.tar.002"), bytes).unwrap(),
            None => fs::remove_file(at("a b.tar.002")).unwrap(),
        }
        let failure = verify().unwrap_err();
        let text = told(&failure);
        assert!(failure.kind == Kind::Untrusted && text.contains(says) && text.contains("b.tar") && !text.contains("secret"), "{says}: {text}");
    }
    fs::write(at("a b.tar.volumes.json"), "{}").unwrap();
    let failure = verify().unwrap_err();
    assert!(failure.kind == Kind::Untrusted && told(&failure).contains("is no list of volumes"), "{}", told(&failure));
}

#[test]
fn a_server_without_ranges_is_refused() {
    let (_folder, _, bytes) = archive();
    let server = Server::start(move |_, _| plain("200 OK", &bytes));
    let failure = verify_at(&format!("{}/a.tar", server.url)).unwrap_err();
    assert_eq!(failure.kind, Kind::Source);
    assert!(told(&failure).contains("no Range requests"), "{}", told(&failure));
    let lost = verify_at(&format!("{}/a.tar", Server::start(|_, _| plain("404 Not Found", b"<h1>gone</h1>")).url)).unwrap_err();
    assert!(lost.kind == Kind::Source && told(&lost).contains("404: <h1>gone</h1>"), "{}", told(&lost));
}

#[test]
fn a_file_that_changes_meanwhile_is_noticed() {
    let (_folder, _, bytes) = archive();
    for (first, then) in [("ETag: \"a\"", "ETag: \"b\""), ("Last-Modified: Mon, 05 Oct 2026 00:00:00 GMT", "Last-Modified: Mon, 05 Oct 2026 00:00:01 GMT")] {
        let copy = bytes.clone();
        let server = Server::start(move |number, request| ranged(&copy, request, if number == 0 { first } else { then }));
        let failure = verify_at(&server.url).unwrap_err();
        assert!(failure.kind == Kind::Source && told(&failure).contains("changed while it was read"), "{}", told(&failure));
    }
    let server = Server::start(move |number, request| ranged(if number == 0 { &bytes } else { &bytes[..bytes.len() - 1] }, request, "X-Nothing: 1"));
    let text = told(&verify_at(&server.url).unwrap_err());
    assert!(text.contains("its length"), "{text}");
}

#[test]
fn wrong_bytes_are_damage_wherever_they_come_from() {
    let (_folder, _, mut bytes) = archive();
    let last = bytes.len() - 2000;
    bytes[last] ^= 1;
    assert_eq!(verify_at(&Server::of(bytes).url).unwrap_err().kind, Kind::Untrusted);
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let (_folder, _, bytes) = archive();
    let copy = bytes.clone();
    let server = Server::start(move |number, request| match number {
        0 | 3 => plain("503 Service Unavailable", b"later"),
        // Less than announced, then gone.
        1 | 4 => {
            let (head, mut body) = ranged(&copy, request, "ETag: \"a\"");
            body.truncate(body.len() / 2);
            (head, body)
        }
        _ => ranged(&copy, request, "ETag: \"a\""),
    });
    verify_at(&server.url).unwrap();
    // Bytes of another place are not taken, whatever the status says.
    let server = Server::start(move |_, request| {
        let (head, body) = ranged(&bytes, request, "X-Nothing: 1");
        (head.replace("bytes ", "bytes 1"), body)
    });
    assert!(told(&verify_at(&server.url).unwrap_err()).contains("Content-Range"));
}

#[test]
fn redirects_have_an_end_and_take_no_token_along() {
    let (_folder, _, bytes) = archive();
    let storage = Server::of(bytes);
    let target = storage.url.clone();
    let server = Server::start(move |_, request| match request.headers.get("authorization").map(String::as_str) {
        Some("Bearer tell-nobody") => (format!("307 Temporary Redirect\r\nLocation: {target}/blob?sig=1\r\nContent-Length: 0"), Vec::new()),
        _ => plain("401 Unauthorized", b"who are you"),
    });
    let reach = Reach { token: Some(Secret::from("tell-nobody")), ..Reach::default() };
    verify_with(&server.url, reach.clone()).unwrap();
    assert!(storage.requests().iter().all(|r| !r.headers.contains_key("authorization")), "the token went to another host");
    assert_eq!(server.requests().len(), 1, "the storage is asked directly from then on");
    let refused = verify_at(&server.url).unwrap_err();
    assert!(told(&refused).contains("401") && refused.hints[0].contains("KUBECTL_OFFLINE_TOKEN"), "{}", told(&refused));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "tell-nobody\n").unwrap();
    verify_with(&server.url, Reach { token_file: Some(file.path().into()), ..Reach::default() }).unwrap();

    let circle = Server::start(|_, _| ("302 Found\r\nLocation: /again\r\nContent-Length: 0".to_owned(), Vec::new()));
    assert!(told(&verify_at(&circle.url).unwrap_err()).contains("more than 5 times"));
    assert!(circle.requests().len() <= 6);
    assert!(!format!("{reach:?}").contains("tell-nobody"));
}

#[test]
fn other_machines_are_not_asked_without_tls() {
    let failure = verify_at("http://archive.example/a.tar").unwrap_err();
    assert!(failure.kind == Kind::Usage && told(&failure).contains("--plain-http"), "{}", told(&failure));
    assert_eq!(verify_at("oci://team/a:1").unwrap_err().kind, Kind::Usage);
}

async fn send(path: &Path, url: String, method: Method, reach: &Reach) -> Result<String, Failure> {
    let reporter: SharedReporter = Arc::new(Silent);
    let to = Destination::Web { url: SafeUrl::new(url), method };
    hand_on(path, &to, reach, &reporter).await.map(|handed| serde_json::to_string(&handed).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_sent_to_a_server() {
    let (folder, path, bytes) = archive();
    let reach = Reach { token: Some(Secret::from("tell-nobody")), ..Reach::default() };
    let server = Server::start(|_, _| plain("201 Created", b""));
    let told_where = send(&path, format!("{}/in/?sig=secret", server.url), Method::Put, &reach).await.unwrap();
    assert!(!told_where.contains("secret"), "{told_where}");
    send(&path, format!("{}/in/", server.url), Method::Post, &reach).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen.iter().map(|r| (r.method.as_str(), r.path.as_str())).collect::<Vec<_>>(), [("PUT", "/in/?sig=secret"), ("POST", "/in/a.tar")]);
    assert!(seen.iter().all(|r| r.body == bytes && r.headers["authorization"] == "Bearer tell-nobody"));

    let busy = Server::start(|number, _| plain(if number < 2 { "503 Service Unavailable" } else { "200 OK" }, b""));
    send(&path, busy.url.clone(), Method::Put, &reach).await.unwrap();
    assert_eq!(busy.requests().len(), 3);
    let broken = Server::start(|_, _| plain("500 Internal Server Error", b"oops"));
    send(&path, broken.url.clone(), Method::Post, &reach).await.unwrap_err();
    assert_eq!(broken.requests().len(), 1, "a POST may have done its work");

    let full = Server::start(|_, _| plain("507 Insufficient Storage", b"quota\r\n of 1 GB reached"));
    let failure = send(&path, full.url.clone(), Method::Put, &reach).await.unwrap_err();
    let text = format!("{} {failure:?}", told(&failure));
    assert!(failure.kind == Kind::Source && text.contains("507") && text.contains("quota of 1 GB reached") && !text.contains("tell-nobody"), "{text}");

    // What is not whole on the disk is not sent.
    let mut damaged = bytes;
    let at = damaged.len() - 2000;
    damaged[at] ^= 1;
    let bad = folder.path().join("bad.tar");
    fs::write(&bad, damaged).unwrap();
    let before = server.requests().len();
    assert_eq!(send(&bad, format!("{}/in/", server.url), Method::Put, &reach).await.unwrap_err().kind, Kind::Untrusted);
    assert_eq!(server.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_keeps_an_archive_in_parts() {
    let (folder, path, bytes) = archive();
    let registry = Registry::start(Setup { auth: true, ..Setup::default() });
    let reach = Reach { docker_config: Some(registry.docker_config(crate::support::registry::PASSWORD)), ..Reach::default() };
    let name = format!("{}/team/shop:1.0", registry.host);
    let reference = name.parse().unwrap();
    let reporter: SharedReporter = Arc::new(Silent);
    let part_size = 100_000;
    let push = || transport::push(&path, &reference, BTreeMap::new(), part_size, &reach, &reporter);
    let pushed = push().await.unwrap();
    assert!(pushed.parts > 2 && pushed.sent == bytes.len() as u64, "{pushed:?}");
    let again = push().await.unwrap();
    assert_eq!((again.sent, again.digest), (0, pushed.digest.clone()), "what is there is not sent again");

    let url = format!("oci://{name}");
    let (at, with) = (url.clone(), reach.clone());
    // From a thread of a runtime and from one without: reads come from both.
    assert_eq!(verify_with(&at, with).unwrap().version, "1.0");
    let (at, with) = (url.clone(), reach.clone());
    thread::spawn(move || verify_with(&at, with).unwrap()).join().unwrap();
    let refused = verify_at(&url).unwrap_err();
    assert!(refused.kind == Kind::Source && told(&refused).contains("credentials"), "{}", told(&refused));
    let absent = verify_with(&format!("oci://{}/team/shop:2.0", registry.host), reach.clone()).unwrap_err();
    assert_eq!(absent.kind, Kind::Source, "{}", told(&absent));

    // Other people's tools see an artifact whose layers are the archive.
    if let Some(crane) = crate::interop::tool("crane") {
        fs::copy(reach.docker_config.as_ref().unwrap(), folder.path().join("config.json")).unwrap();
        let crane = |args: &[&str]| {
            let output = std::process::Command::new(&crane).args(args).env("DOCKER_CONFIG", folder.path()).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let manifest: Value = serde_json::from_slice(&crane(&["manifest", &name])).unwrap();
        assert_eq!((manifest["artifactType"].as_str(), manifest["layers"].as_array().unwrap().len()), (Some(ARCHIVE), pushed.parts));
        let mut joined = Vec::new();
        for (number, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
            assert_eq!(layer["mediaType"], PART);
            assert_eq!(layer["annotations"]["org.opencontainers.image.title"], format!("a.tar.{:03}", number + 1));
            joined.extend(crane(&["blob", &format!("{}@{}", name.rsplit_once(':').unwrap().0, layer["digest"].as_str().unwrap())]));
        }
        assert!(joined == bytes);
        assert_eq!(String::from_utf8(crane(&["digest", &name])).unwrap().trim(), pushed.digest.as_str());
    }
    assert!(io::read_capped(&path, u64::MAX - 1).unwrap() == bytes, "the file is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_no_archive() {
    let (folder, path, _) = archive();
    let layout = folder.path().join("layout");
    tar::Archive::new(fs::File::open(path).unwrap()).unpack(&layout).unwrap();
    let registry = Registry::start(Setup::default());
    registry.push(&layout, "registry.dev:5000/team/one:1.0", "one:1.0");
    let failure = verify_at(&format!("oci://{}/one:1.0", registry.host)).unwrap_err();
    assert!(failure.kind == Kind::Source && told(&failure).contains("wanted `application/vnd.offline.archive.v1`"), "{}", told(&failure));
}
