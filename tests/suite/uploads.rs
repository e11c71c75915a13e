//! Archives sent by tus: to a server that fails as servers and lines do, and to tus-node-server, the project's own, over a line that breaks.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use offline::{
    archive::volumes::VolumeList,
    failure::{Failure, Kind},
    ops::reach::{Destination, Handed, check, hand_on},
    progress::{SharedReporter, Silent},
    redact::{SafeUrl, Secret},
    transport::{Method, Reach, Upload},
};

use crate::{
    sample,
    support::root,
    volumes::{joined, volume},
};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
enum Fault {
    Nothing,
    /// So many bytes are taken of the body, and then the connection ends.
    Drop(usize),
    /// The same, and what was taken is lost.
    Lose(usize),
    /// A status and headers.
    Status(&'static str),
    /// What is in the place of the right offset.
    Says(usize),
    /// Nothing of the body is taken, for so long.
    Stall(Duration),
}

/// A request, as it was seen.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    /// Bytes of the body that were taken.
    taken: usize,
}

type Plan = dyn Fn(usize, &Seen) -> Fault + Send + Sync;

/// A server that speaks tus as far as it is told to.
#[derive(Clone)]
struct Tus {
    url: String,
    state: Arc<Mutex<State>>,
    plan: Arc<Plan>,
    extensions: &'static str,
}

/// The length of each, and what is there of it.
type Uploads = HashMap<String, (usize, Vec<u8>)>;

#[derive(Default)]
struct State {
    uploads: Uploads,
    seen: Vec<Seen>,
}

impl Tus {
    fn start(plan: impl Fn(usize, &Seen) -> Fault + Send + Sync + 'static) -> Self {
        Self::with("creation,expiration", plan)
    }

    fn with(extensions: &'static str, plan: impl Fn(usize, &Seen) -> Fault + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let made = Self { url: format!("http://{}/in/", listener.local_addr().unwrap()), state: Arc::default(), plan: Arc::new(plan), extensions };
        let server = made.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(&stream));
            }
        });
        made
    }

    fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    fn methods(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.method).collect()
    }

    /// Bytes of all bodies.
    fn taken(&self) -> usize {
        self.seen().iter().map(|seen| seen.taken).sum()
    }

    /// What was sent whole.
    fn whole(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().uploads.values().filter(|(length, bytes)| bytes.len() == *length).map(|(_, bytes)| bytes.clone()).collect()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let Some(mut seen) = head(&mut reader) else { return };
        let number = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(seen.clone());
            state.seen.len() - 1
        };
        let fault = (self.plan)(number, &seen);
        let answer = self.answer(&mut seen, &mut reader, &fault);
        self.state.lock().unwrap().seen[number] = seen;
        if let Some(answer) = answer {
            let _ = (&mut &*stream).write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n").as_bytes());
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// The answer; none if the connection ends without one.
    fn answer(&self, seen: &mut Seen, reader: &mut BufReader<&TcpStream>, fault: &Fault) -> Option<String> {
        let length: usize = seen.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if let Fault::Status(status) = fault {
            // Servers that refuse read to the end, or clients hear nothing.
            seen.taken = std::io::copy(&mut reader.take(length as u64), &mut std::io::sink()).ok().map_or(0, |n| usize::try_from(n).unwrap());
            return Some(format!("{status}\r\nContent-Length: 0"));
        }
        if seen.method == "OPTIONS" {
            return Some(format!("204 No Content\r\nTus-Resumable: 1.0.0\r\nTus-Version: 1.0.0,0.2.2\r\nTus-Extension: {}", self.extensions));
        }
        if seen.headers.get("tus-resumable").map(String::as_str) != Some("1.0.0") {
            return Some("412 Precondition Failed\r\nContent-Length: 0".into());
        }
        match seen.method.as_str() {
            "POST" => {
                let mut state = self.state.lock().unwrap();
                let path = format!("/in/{}", state.uploads.len());
                state.uploads.insert(path.clone(), (seen.headers["upload-length"].parse().unwrap(), Vec::new()));
                Some(format!("201 Created\r\nLocation: {path}\r\nContent-Length: 0"))
            }
            "HEAD" => {
                let state = self.state.lock().unwrap();
                let Some((length, bytes)) = state.uploads.get(&seen.path) else { return Some("404 Not Found\r\nContent-Length: 0".into()) };
                let offset = if let Fault::Says(offset) = fault { *offset } else { bytes.len() };
                Some(format!("200 OK\r\nUpload-Offset: {offset}\r\nUpload-Length: {length}\r\nCache-Control: no-store"))
            }
            "PATCH" => self.patch(seen, reader, length, fault),
            _ => Some("405 Method Not Allowed\r\nContent-Length: 0".into()),
        }
    }

    fn patch(&self, seen: &mut Seen, reader: &mut BufReader<&TcpStream>, length: usize, fault: &Fault) -> Option<String> {
        if let Fault::Stall(pause) = fault {
            thread::sleep(*pause);
            return None;
        }
        let offset: usize = seen.headers["upload-offset"].parse().unwrap();
        let limit = if let Fault::Drop(limit) | Fault::Lose(limit) = fault { *limit } else { usize::MAX };
        let mut body = Vec::new();
        let _ = reader.take(length.min(limit) as u64).read_to_end(&mut body);
        seen.taken = body.len();
        let mut state = self.state.lock().unwrap();
        let Some((_, bytes)) = state.uploads.get_mut(&seen.path) else { return Some("404 Not Found\r\nContent-Length: 0".into()) };
        if bytes.len() != offset {
            return Some("409 Conflict\r\nContent-Length: 0".into());
        }
        if !matches!(fault, Fault::Lose(_)) {
            bytes.extend_from_slice(&body);
        }
        let now = if let Fault::Says(offset) = fault { *offset } else { bytes.len() };
        (body.len() == length).then(|| format!("204 No Content\r\nUpload-Offset: {now}"))
    }
}

fn head(reader: &mut BufReader<&TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut seen = Seen { method: words.next()?, path: words.next()?, headers: BTreeMap::new(), taken: 0 };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { return Some(seen) };
        seen.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

/// An archive in one file.
fn archive() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample::build("1.0").write(&path, None);
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

async fn send(path: &Path, url: &str, method: Method) -> Result<Handed, Failure> {
    let reporter: SharedReporter = Arc::new(Silent);
    let reach = Reach { token: Some(Secret::from("tell-nobody")), ..Reach::default() };
    hand_on(path, &Destination::Web { url: SafeUrl::new(url), method }, &reach, &reporter).await
}

fn url(handed: Handed) -> String {
    match handed {
        Handed::Web { url, .. } => url,
        Handed::Registry(pushed) => pushed.reference,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_the_server_has_it() {
    let (_folder, path, bytes) = archive();
    let third = bytes.len() / 3;
    for (name, plan, most) in [
        ("nothing breaks", Box::new(|_, _: &Seen| Fault::Nothing) as Box<Plan>, bytes.len()),
        (
            "the line breaks twice, and each time further on",
            Box::new(move |_, seen: &Seen| match seen.headers.get("upload-offset").map(String::as_str) {
                Some(offset) if offset.parse::<usize>().unwrap() < third * 2 => Fault::Drop(third),
                _ => Fault::Nothing,
            }),
            bytes.len(),
        ),
        ("what had come is lost", Box::new(move |number, _: &Seen| if number == 2 { Fault::Lose(third) } else { Fault::Nothing }), bytes.len() + third),
        (
            "the server restarts",
            Box::new(|number, _: &Seen| if matches!(number, 2..5) { Fault::Status("503 Service Unavailable\r\nRetry-After: 0") } else { Fault::Nothing }),
            2 * bytes.len(),
        ),
        (
            "the server still writes what came before",
            Box::new(move |number, _: &Seen| match number {
                2 => Fault::Drop(third),
                4 => Fault::Status("423 Locked\r\nRetry-After: 0"),
                _ => Fault::Nothing,
            }),
            2 * bytes.len(),
        ),
        (
            "the connection ends before an answer",
            Box::new(move |number, _: &Seen| if number == 2 { Fault::Drop(usize::MAX) } else { Fault::Nothing }),
            bytes.len(),
        ),
    ] {
        let server = Tus::start(plan);
        let told = url(send(&path, &server.url, Method::Auto).await.unwrap_or_else(|failure| panic!("{name}: {failure}")));
        assert!(told.starts_with(&server.url), "{name}: {told}");
        assert!(server.whole() == [bytes.clone()], "{name}: another archive");
        assert!(server.taken() <= most, "{name}: {} of {} bytes, {:?}", server.taken(), bytes.len(), server.methods());
        assert_eq!(server.methods()[..3], ["OPTIONS", "POST", "PATCH"], "{name}");
        let seen = server.seen();
        assert!(seen.iter().all(|seen| seen.headers["authorization"] == "Bearer tell-nobody"), "{name}");
        assert_eq!(seen[1].headers["upload-metadata"], "filename YS50YXI=,filetype YXBwbGljYXRpb24veC10YXI=");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_server_forgets_begins_again_and_not_for_ever() {
    let (_folder, path, bytes) = archive();
    let server = Tus::start(|number, seen| if seen.method == "PATCH" && number < 4 { Fault::Status("410 Gone") } else { Fault::Nothing });
    send(&path, &server.url, Method::Auto).await.unwrap();
    assert!(server.whole() == [bytes]);
    assert_eq!(server.methods(), ["OPTIONS", "POST", "PATCH", "POST", "PATCH"]);
    let server = Tus::start(|_, seen| if seen.method == "PATCH" { Fault::Status("404 Not Found") } else { Fault::Nothing });
    let failure = send(&path, &server.url, Method::Auto).await.unwrap_err();
    assert!(failure.kind == Kind::Source && failure.to_string().contains("status 404"), "{failure}");
    assert_eq!(server.methods().iter().filter(|method| *method == "POST").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_broken_fails_loudly() {
    let (_folder, path, bytes) = archive();
    let half = bytes.len() / 2;
    let patches = |fault: Fault| move |_, seen: &Seen| if seen.method == "PATCH" { fault.clone() } else { Fault::Nothing };
    for (name, plan, says) in [
        ("no room", Box::new(patches(Fault::Status("507 Insufficient Storage\r\nRetry-After: 0"))) as Box<Plan>, "status 507"),
        ("too large", Box::new(|_, seen: &Seen| if seen.method == "POST" { Fault::Status("413 Content Too Large") } else { Fault::Nothing }), "status 413"),
        ("says less than it had", Box::new(patches(Fault::Says(0))), "says that it has 0"),
        ("says more than there is", Box::new(patches(Fault::Says(usize::MAX))), "was sent"),
        (
            "is further than the file",
            Box::new(move |_, seen: &Seen| match seen.method.as_str() {
                "PATCH" => Fault::Drop(half),
                "HEAD" => Fault::Says(usize::MAX),
                _ => Fault::Nothing,
            }),
            "an upload of another length",
        ),
    ] {
        let server = Tus::start(plan);
        let failure = send(&path, &server.url, Method::Auto).await.map(url).expect_err(name);
        let text = failure.to_string();
        assert!(failure.kind == Kind::Source && text.contains(says) && text.contains("/in/"), "{name}: {text}");
        assert!(failure.hints[0].contains("stays where it is") && path.exists(), "{name}");
        assert!(server.whole().is_empty() || name.starts_with("says"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_nothing_any_more_is_left_and_asked_how_far_it_came() {
    // More than the buffers between the two hold.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let bytes = crate::support::faulty::noise(7, 40 << 20);
    fs::write(&path, &bytes).unwrap();
    let server = Tus::start(|number, _| if number == 2 { Fault::Stall(Duration::from_secs(30)) } else { Fault::Nothing });
    let upload = Upload::reached(&server.url, Method::Tus, &Reach::default()).unwrap().stalls_after(Duration::from_millis(1500));
    let reporter: SharedReporter = Arc::new(Silent);
    upload.send(&path, &reporter).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(server.whole() == [bytes]);
    assert_eq!(server.methods()[..4], ["OPTIONS", "POST", "PATCH", "HEAD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_is_used_where_it_is_spoken_and_demanded_where_that_is_said() {
    let (_folder, path, bytes) = archive();
    // Without the extension that makes uploads there is nothing to begin with.
    let plan = |_, seen: &Seen| if seen.method == "PUT" { Fault::Status("201 Created") } else { Fault::Nothing };
    let server = Tus::with("termination", plan);
    let told = url(send(&path, &server.url, Method::Auto).await.unwrap());
    assert_eq!((server.methods(), told), (vec!["OPTIONS".to_owned(), "PUT".to_owned()], format!("{}a.tar", server.url)));
    assert_eq!(server.taken(), bytes.len());
    let failure = send(&path, &server.url, Method::Tus).await.unwrap_err();
    assert!(failure.kind == Kind::Source && failure.to_string().contains("does not speak tus 1.0.0"), "{failure}");
    let server = Tus::start(|_, _| Fault::Status("200 OK"));
    send(&path, &server.url, Method::Put).await.unwrap();
    assert_eq!(server.methods(), ["PUT"], "nothing is asked where a person has said how");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_to_no_other_server() {
    let (_folder, path, bytes) = archive();
    let storage = Tus::start(|_, _| Fault::Nothing);
    // One upload, made by hand, which the front knows of.
    storage.state.lock().unwrap().uploads.insert("/in/0".into(), (bytes.len(), Vec::new()));
    let to: &'static str = Box::leak(format!("201 Created\r\nLocation: {}0", storage.url).into_boxed_str());
    let front = Tus::start(move |_, seen| if seen.method == "POST" { Fault::Status(to) } else { Fault::Nothing });
    send(&path, &front.url, Method::Auto).await.unwrap();
    assert!(storage.whole() == [bytes]);
    assert!(storage.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    assert!(front.seen().iter().all(|seen| seen.headers.contains_key("authorization")));
}

/// The file in which an upload is remembered.
fn memory(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.upload", path.display()))
}

/// A server that takes so many bytes and then refuses to go on, until the switch is turned.
fn failing(at: usize) -> (Tus, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(true));
    let fails = switch.clone();
    let server = Tus::start(move |_, seen| match (seen.method.as_str(), fails.load(Ordering::SeqCst)) {
        ("PATCH", true) => Fault::Drop(at),
        ("HEAD", true) => Fault::Status("400 Bad Request"),
        _ => Fault::Nothing,
    });
    (server, switch)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_goes_on_with_an_upload() {
    let (_folder, path, bytes) = archive();
    let third = bytes.len() / 3;
    let (server, switch) = failing(third);
    send(&path, &server.url, Method::Auto).await.map(url).unwrap_err();
    let kept = fs::read_to_string(memory(&path)).unwrap();
    assert!(kept.contains(r#""format":1"#) && kept.contains("/in/0") && !kept.contains("tell-nobody"), "{kept}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(memory(&path)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    switch.store(false, Ordering::SeqCst);
    let before = server.seen().len();
    send(&path, &server.url, Method::Auto).await.unwrap();
    assert_eq!(server.methods()[before..], ["OPTIONS", "HEAD", "PATCH"]);
    assert_eq!(server.seen().last().unwrap().taken, bytes.len() - third);
    assert!(server.whole() == [bytes] && !memory(&path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_something_else_is_not_gone_on_with() {
    type Change = dyn Fn(&Path, &Tus);
    let replace = |from: &'static str, to: &'static str| {
        move |path: &Path, _: &Tus| {
            let kept = fs::read_to_string(memory(path)).unwrap();
            assert!(kept.contains(from));
            fs::write(memory(path), kept.replace(from, to)).unwrap();
        }
    };
    let uploads = |change: fn(&mut Uploads)| move |_: &Path, server: &Tus| change(&mut server.state.lock().unwrap().uploads);
    let cases: [(&str, Box<Change>, &str); 6] = [
        ("the same", Box::new(|_, _| ()), "HEAD"),
        ("another archive", Box::new(|path, _| sample::build("1.1").write(path, None)), "POST"),
        ("another format", Box::new(replace(r#""format":1"#, r#""format":7"#)), "POST"),
        ("another server", Box::new(replace("127.0.0.1", "127.0.0.2")), "POST"),
        ("forgotten by the server", Box::new(uploads(HashMap::clear)), "HEAD POST"),
        ("of another length", Box::new(uploads(|all| all.values_mut().for_each(|(length, _)| *length += 1))), "HEAD POST"),
    ];
    for (name, change, begins) in cases {
        let (_folder, path, bytes) = archive();
        let (server, switch) = failing(bytes.len() / 3);
        send(&path, &server.url, Method::Auto).await.map(url).expect_err(name);
        change(&path, &server);
        switch.store(false, Ordering::SeqCst);
        let before = server.seen().len();
        send(&path, &server.url, Method::Auto).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let methods = server.methods()[before..].join(" ");
        assert!(methods.starts_with(&format!("OPTIONS {begins} PATCH")), "{name}: {methods}");
        assert!(server.whole().contains(&fs::read(&path).unwrap()), "{name}");
        assert!(!memory(&path).exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_secret_is_not_kept_and_what_is_somebody_elses_stays() {
    let (_folder, path, bytes) = archive();
    // An address with a query, as of object stores.
    let server = Tus::start(|_, seen| match seen.method.as_str() {
        "POST" => Fault::Status("201 Created\r\nLocation: /in/0?sig=secret"),
        "PATCH" => Fault::Status("403 Forbidden"),
        _ => Fault::Nothing,
    });
    send(&path, &server.url, Method::Auto).await.map(url).unwrap_err();
    assert!(!memory(&path).exists());
    fs::write(memory(&path), "my notes").unwrap();
    let (server, switch) = failing(bytes.len() / 3);
    send(&path, &server.url, Method::Auto).await.map(url).unwrap_err();
    switch.store(false, Ordering::SeqCst);
    send(&path, &server.url, Method::Auto).await.unwrap();
    assert!(server.whole() == [bytes]);
    assert_eq!(fs::read_to_string(memory(&path)).unwrap(), "my notes");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_that_are_there_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample::build("1.0").write_in(&path, None, volume(70_000));
    let switch = Arc::new(AtomicBool::new(true));
    let fails = switch.clone();
    let begun = AtomicUsize::new(0);
    let server = Tus::start(move |_, seen| {
        let third = seen.method == "PATCH" && begun.fetch_add(1, Ordering::SeqCst) == 2;
        if third && fails.load(Ordering::SeqCst) { Fault::Status("400 Bad Request") } else { Fault::Nothing }
    });
    send(&path, &server.url, Method::Tus).await.map(url).unwrap_err();
    switch.store(false, Ordering::SeqCst);
    let before = server.seen().len();
    send(&path, &server.url, Method::Tus).await.unwrap();
    let sent: usize = server.seen()[before..].iter().filter(|seen| seen.method == "PATCH").map(|seen| seen.taken).sum();
    let list = fs::metadata(folder.path().join("a.tar.volumes.json")).unwrap().len();
    let all = joined(folder.path()).len() + usize::try_from(list).unwrap();
    assert_eq!(sent, all - 140_000, "the first two are there");
    assert!(!fs::read_dir(folder.path()).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|ending| ending == "upload")));
}

/// Every volume under its own name, and the list last: where that is, all of it is.
#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_sent_with_their_list_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    sample::build("1.0").write_in(&path, None, volume(70_000));
    let server = Tus::with("", |_, seen| if seen.method == "PUT" { Fault::Status("201 Created") } else { Fault::Nothing });
    let Handed::Web { url, volumes } = send(&path, &server.url, Method::Auto).await.unwrap() else { panic!("not a web server") };
    let list = VolumeList::parse(&fs::read(folder.path().join("a.tar.volumes.json")).unwrap()).unwrap();
    assert!(volumes.len() == list.volumes.len() && volumes.len() > 2 && url.ends_with("/in/a.tar.volumes.json"), "{url}");
    let put: Vec<(String, usize)> = server.seen().into_iter().filter(|seen| seen.method == "PUT").map(|seen| (seen.path, seen.taken)).collect();
    let mut wanted: Vec<(String, usize)> = list.volumes.iter().map(|v| (format!("/in/{}", v.name), usize::try_from(v.size).unwrap())).collect();
    wanted.push(("/in/a.tar.volumes.json".into(), fs::read(folder.path().join("a.tar.volumes.json")).unwrap().len()));
    assert_eq!(put, wanted);
    // By tus, each is an upload of its own.
    let server = Tus::start(|number, _| if number == 5 { Fault::Drop(10_000) } else { Fault::Nothing });
    send(&path, &server.url, Method::Tus).await.unwrap();
    let sent: usize = server.whole().iter().map(Vec::len).sum();
    assert_eq!((server.whole().len(), sent), (wanted.len(), joined(folder.path()).len() + wanted.last().unwrap().1));

    let refused = |url: &str, method| check(&Destination::Web { url: SafeUrl::new(url), method }, true, &Reach::default()).unwrap_err();
    let failure = refused("https://h.dev/in/a.tar?sig=secret", Method::Auto);
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("is the name of one") && !failure.to_string().contains("secret"), "{failure}");
    check(&Destination::Web { url: SafeUrl::new("https://h.dev/in"), method: Method::Tus }, true, &Reach::default()).unwrap();
    let failure = check(&Destination::Registry("r.dev/a:1".parse().unwrap()), true, &Reach::default()).unwrap_err();
    assert!(failure.kind == Kind::Usage && failure.to_string().contains("in parts of its own"), "{failure}");
}

/// tus-node-server with its folder, ended with the test.
struct Node {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Node {
    /// None where it is not installed.
    fn start() -> Option<Self> {
        let node = std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("node")).find(|file| file.is_file());
        let modules = std::env::var_os("OFFLINE_LAB_CACHE").map(PathBuf::from);
        let modules = modules.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/offline-lab")))?.join("tus");
        let installed = modules.join("node_modules/@tus/server").exists();
        let Some(node) = node.filter(|_| installed) else {
            // Debian 12 has no node that it runs on.
            let _ = writeln!(std::io::stderr(), "SKIPPED: tus-node-server is not installed (tests/lab/build.sh tus)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(node);
        command.arg(root().join("tests/lab/tus.mjs")).arg(modules).arg(folder.path()).arg(port.to_string());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, folder, port };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("tus-node-server does not start");
    }

    /// The uploads on its disk.
    fn uploads(&self) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_none());
        files.map(|path| fs::read(path).unwrap()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line to a server that ends connections after so many bytes; the last number is for all that follow.
fn line(port: u16, limits: &'static [usize]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files/", listener.local_addr().unwrap());
    let passed = Arc::new(AtomicUsize::new(0));
    let count = passed.clone();
    thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let limit = limits.get(number).or(limits.last()).copied().unwrap_or(usize::MAX);
            let (count, server) = (count.clone(), TcpStream::connect(("127.0.0.1", port)).unwrap());
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back, &mut to_client));
            thread::spawn(move || {
                let sent = std::io::copy(&mut (&client).take(limit as u64), &mut &server).unwrap_or_default();
                count.fetch_add(usize::try_from(sent).unwrap(), Ordering::SeqCst);
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    (url, passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_node_server_gets_the_whole_archive_over_a_line_that_breaks() {
    let Some(server) = Node::start() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    // More than one request has.
    let bytes = crate::support::faulty::noise(9, 90 << 20);
    fs::write(&path, &bytes).unwrap();
    let reporter: SharedReporter = Arc::new(Silent);
    let (url, passed) = line(server.port, &[20 << 20, 100, 30 << 20, 5 << 20, usize::MAX]);
    let upload = Upload::reached(&url, Method::Auto, &Reach::default()).unwrap();
    let told = upload.send(&path, &reporter).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(told.to_string().starts_with(&url), "{told}");
    assert!(server.uploads() == [bytes.clone()], "another file");
    // What the server had not read when the connection ended comes again, and no more.
    let passed = passed.load(Ordering::SeqCst);
    assert!(passed < bytes.len() + (24 << 20), "{passed} of {}", bytes.len());

    // And an archive through the operation, also in volumes.
    let (_folder, archive, content) = archive();
    send(&archive, &format!("http://127.0.0.1:{}/files", server.port), Method::Auto).await.unwrap();
    assert!(server.uploads().contains(&content));
}

/// The process that is killed below; what it sends and where to.
const CHILD: &str = "OFFLINE_UPLOAD_CHILD";

/// Not a test: what is killed below.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (file, url) = told.split_once('|').unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upload = Upload::reached(url, Method::Auto, &Reach::default()).unwrap().remembering();
    let reporter: SharedReporter = Arc::new(Silent);
    upload.send(Path::new(file), &reporter).await.unwrap_or_else(|error| panic!("{error}"));
    upload.forget(Path::new(file)).unwrap();
}

#[test]
fn killed_in_the_middle_the_next_run_sends_the_rest_to_tus_node_server() {
    let Some(server) = Node::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let bytes = crate::support::faulty::noise(11, 90 << 20);
    fs::write(&path, &bytes).unwrap();
    let start = |url: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "uploads::child", "--test-threads=1"]).env(CHILD, format!("{}|{url}", path.display()));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // Both runs ask one address; the first is slow enough to be killed in time.
    let slow = Arc::new(AtomicBool::new(true));
    let (url, passed) = gauge(server.port, slow.clone());
    let mut first = start(&url);
    while passed.load(Ordering::SeqCst) < 30 << 20 {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it was killed");
        thread::sleep(Duration::from_millis(2));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let before = passed.load(Ordering::SeqCst);
    assert!(memory(&path).exists() && before < bytes.len() - (10 << 20), "{before}");
    slow.store(false, Ordering::SeqCst);
    assert!(start(&url).wait().unwrap().success());
    let second = passed.load(Ordering::SeqCst) - before;
    assert!(server.uploads() == [bytes.clone()], "another file, or a second one");
    assert!(second < bytes.len() - (20 << 20), "{second} of {} bytes were sent by the second run", bytes.len());
    assert!(!memory(&path).exists());
}

/// A line to a server that counts what passes, and lets it pass slowly as long as it is told to.
fn gauge(port: u16, slow: Arc<AtomicBool>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files/", listener.local_addr().unwrap());
    let passed = Arc::new(AtomicUsize::new(0));
    let count = passed.clone();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (count, slow, mut server) = (count.clone(), slow.clone(), TcpStream::connect(("127.0.0.1", port)).unwrap());
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back, &mut to_client));
            thread::spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                while let Ok(n @ 1..) = client.read(&mut buffer) {
                    if server.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                    count.fetch_add(n, Ordering::SeqCst);
                    if slow.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    (url, passed)
}
