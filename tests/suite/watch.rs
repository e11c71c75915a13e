//! `watch`: a real registry's notifications start an export; who does not know the secret, sends too much or too slowly gets nowhere.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use offline::{
    cluster::nodes::AgentBinary,
    failure::Failure,
    oci::Platform,
    ops::{
        ChartAccess,
        watch::{self, Then, TlsFiles, Upload, WatchOptions, WatchOutcome},
    },
    progress::{Event, Reporter},
};
use tempfile::TempDir;
use tokio::{sync::watch::Sender, task::JoinHandle};

use crate::{
    registry::Layout,
    support::{
        Program, free_port,
        registry::{Registry, Setup},
        site::{Page, Site},
    },
};

const SECRET: &str = "correct horse battery staple";

/// Says what it hears where a failing test shows it.
struct Loud;

impl Reporter for Loud {
    fn event(&self, event: Event) {
        println!("{event:?}");
    }
}

/// A delivery with one policy, and how it is watched.
struct Post {
    folder: TempDir,
    port: u16,
}

/// A watch that runs.
struct Running {
    stop: Sender<bool>,
    task: JoinHandle<Result<WatchOutcome, Failure>>,
}

impl Post {
    fn new(image: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: shop, version: '1.0'}}\nspec:\n  images:\n  - {{ref: {image}, tagPolicy: {{regex: 'v1.*'}}}}\n"
        );
        fs::write(folder.path().join("delivery.yaml"), text).unwrap();
        Self { folder, port: free_port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, then: Then) -> WatchOptions {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The program under test may have been built without agents, so this runs in the library.
        let agent = AgentBinary { platform: Platform::linux_amd64(), loader: "loader".into(), agent: "agent".into() };
        WatchOptions {
            deliveries: vec![self.path("delivery.yaml")],
            listen: SocketAddr::from(([127, 0, 0, 1], self.port)),
            tls: None,
            secret: Some(SECRET.into()),
            aliases: std::collections::BTreeMap::new(),
            output: Some(format!("{}/{{name}}.tar", self.folder.path().display())),
            keys: Vec::new(),
            password: None,
            access: ChartAccess::default(),
            agents: vec![agent],
            then,
            journal: self.path("delivery.watch.json"),
            quiet: Duration::from_secs(1),
            retry: Duration::from_secs(1),
        }
    }

    async fn start(&self, options: WatchOptions) -> Running {
        let (stop, asked) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(watch::run(options, Arc::new(Loud), asked));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until && !task.is_finished(), "it does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Running { stop, task }
    }

    /// Posts to a path; the status and the body of the answer.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        // Who is refused early is hung up on while he still sends.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }

    /// A push of a tag as Docker Registry tells it.
    fn event(&self, host: &str, tag: &str, id: &str) -> (u16, String) {
        let text = fs::read_to_string(format!("{}/tests/fixtures/webhooks/docker-registry-push.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let text = text.replace("registry.example:5000", host).replace("v1.2.3", tag).replace("1f0e4c1a-5a3e-4a3e-9d29-0f0c57d3a002", id);
        self.post("/docker-registry", &format!("Authorization: Bearer {SECRET}\r\n"), text.as_bytes())
    }
}

impl Running {
    async fn stop(self) -> WatchOutcome {
        self.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it stops when it is asked to").unwrap().unwrap_or_else(|e| panic!("{e}"))
    }
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(40);
    while !is() {
        assert!(Instant::now() < until, "{what}: not within 40 seconds");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn names(archive: &Path) -> Vec<String> {
    let opened = offline::archive::open(archive).unwrap().verify(&offline::archive::Trust::AllowUnsigned, &offline::progress::Silent).unwrap();
    opened.record().images.iter().map(|image| image.reference.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_real_registry_starts_an_export() {
    let layout = Layout::made("2024-01-01T00:00:00Z");
    let hears = free_port();
    let registry = Registry::notifying(&format!("http://127.0.0.1:{hears}/docker-registry"), SECRET);
    let app = format!("{}/team/app", registry.host);
    let post = Post { port: hears, ..Post::new(&app) };
    registry.push(layout.path(), "app", "team/app:v1.0.0");
    Program::new(post.folder.path()).run(&["lock"]).ok();
    let script = format!("cat > {0} <<END\n$1 $OFFLINE_ARCHIVE $OFFLINE_DIGEST ${{COSIGN_PASSWORD-none}}\nEND\necho done", post.path("ran").display());
    let exec = ["sh", "-c", &script, "sh", "{archive}"].map(str::to_owned).to_vec();
    let put = Site::with("/nonexistent".into(), |_| Some(Page::status(201)));
    let upload = Some(Upload::new(&format!("{}/archives/", put.url), Some("Bearer up".into())).unwrap());
    let running = post.start(post.options(Then { exec, exec_time: Duration::from_secs(20), upload })).await;
    // What no policy wants starts nothing.
    registry.push(layout.path(), "app", "team/app:edge");
    registry.push(layout.path(), "app", "team/other:v1.5.0");
    registry.push(layout.path(), "app", "team/app:v1.1.0");
    let archive = post.path("shop.tar");
    eventually("the command runs", || post.path("ran").exists()).await;
    assert_eq!(names(&archive), [format!("{app}:v1.1.0")]);
    assert!(fs::read_to_string(post.path("delivery.lock")).unwrap().contains(":v1.1.0"), "the lock is kept current");
    let ran = fs::read_to_string(post.path("ran")).unwrap();
    let words: Vec<&str> = ran.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), (archive.to_str().unwrap(), archive.to_str().unwrap(), "none"), "{ran}");
    // Whether the server speaks tus is asked first.
    let seen: Vec<_> = put.seen().into_iter().filter(|seen| seen.path != "/archives/").collect();
    assert_eq!((seen[0].path.as_str(), seen[0].headers["authorization"].as_str()), ("/archives/shop.tar", "Bearer up"));
    assert_eq!(seen[0].headers["content-length"], fs::metadata(&archive).unwrap().len().to_string());
    // Many pushes at once are one export.
    for minor in 2..6 {
        registry.push(layout.path(), "app", &format!("team/app:v1.{minor}.0"));
    }
    eventually("the second export", || names(&archive) == [format!("{app}:v1.5.0")]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let outcome = running.stop().await;
    assert!(outcome.exports <= 4 && outcome.exports >= 2 && outcome.failures == 0 && outcome.waiting.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_exported_after_a_restart() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::made("2024-01-01T00:00:00Z"));
    registry.push(layout.path(), "app", "team/app:v1.0.0");
    let post = Post::new(&format!("{}/team/app", registry.host));
    let patient = WatchOptions { quiet: Duration::from_hours(1), ..post.options(Then::default()) };
    let running = post.start(patient).await;
    let (status, said) = post.event(&registry.host, "v1.0.0", "one");
    assert_eq!((status, said.as_str()), (202, r#"{"concerning":1,"ignored":0,"replayed":0}"#));
    assert_eq!(post.event(&registry.host, "v1.0.0", "one").1, r#"{"concerning":0,"ignored":0,"replayed":1}"#);
    assert_eq!(post.event(&registry.host, "v2.0.0", "two").1, r#"{"concerning":0,"ignored":1,"replayed":0}"#);
    assert_eq!(post.event("other.example", "v1.0.0", "three").0, 200);
    let outcome = running.stop().await;
    assert_eq!((outcome.exports, outcome.waiting.len()), (0, 1));
    let again = post.start(post.options(Then::default())).await;
    eventually("the export", || post.path("shop.tar").exists()).await;
    assert_eq!(post.event(&registry.host, "v1.0.0", "one").1, r#"{"concerning":0,"ignored":0,"replayed":1}"#, "ids are remembered as well");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(again.stop().await, WatchOutcome { exports: 1, failures: 0, waiting: Vec::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_of_its_own() {
    let (registry, layout) = (Registry::start(Setup { tls: true, ..Setup::default() }), Layout::made("2024-01-01T00:00:00Z"));
    let ca = registry.ca_file();
    let files = TlsFiles { certificate: ca.with_file_name("server.pem"), key: ca.with_file_name("server.key") };
    let plain = Registry::start(Setup::default());
    plain.push(layout.path(), "app", "team/app:v1.0.0");
    let post = Post::new(&format!("{}/team/app", plain.host));
    let running = post.start(WatchOptions { tls: Some(files.clone()), quiet: Duration::from_hours(1), ..post.options(Then::default()) }).await;
    let curl = |arguments: &[&str]| {
        let url = format!("https://127.0.0.1:{}/generic", post.port);
        let body = format!(r#"{{"image": "{}/team/app:v1.0.0"}}"#, plain.host);
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "-H", &format!("Authorization: Bearer {SECRET}"), "-d", &body]).args(arguments).arg(url);
        let output = command.output().expect("curl is there");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (heard, said) = curl(&["--cacert", ca.to_str().unwrap()]);
    assert_eq!((heard, said.as_str()), (true, r#"{"concerning":1,"ignored":0,"replayed":0}"#));
    assert!(!curl(&[]).0, "the certificate is nobody's that curl knows");
    assert_eq!(post.event(&plain.host, "v1.0.0", "plain").0, 0, "plain text is not heard");
    assert!(curl(&["--cacert", ca.to_str().unwrap(), "--tlsv1.3"]).0, "and disturbs nobody");
    assert_eq!(running.stop().await.waiting.len(), 1);
    // A key of another certificate.
    let wrong = TlsFiles { key: ca.with_file_name("ca.key"), ..files };
    let (_stop, asked) = tokio::sync::watch::channel(false);
    let refused = watch::run(WatchOptions { tls: Some(wrong), ..post.options(Then::default()) }, Arc::new(Loud), asked).await.unwrap_err();
    assert!(refused.to_string().contains("ca.key do not make a server"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_changes_is_learned_anew() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::made("2024-01-01T00:00:00Z"));
    for tag in ["v1.0.0", "v2.0.0"] {
        registry.push(layout.path(), "app", &format!("team/app:{tag}"));
    }
    let post = Post::new(&format!("{}/team/app", registry.host));
    let running = post.start(WatchOptions { quiet: Duration::from_hours(1), ..post.options(Then::default()) }).await;
    assert_eq!(post.event(&registry.host, "v2.0.0", "early").0, 200);
    let file = post.path("delivery.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("v1.*", "v2.*")).unwrap();
    // It looks twice a minute, and when something comes.
    assert_eq!(post.event(&registry.host, "v1.0.0", "one").0, 202);
    eventually("the new policy", || post.event(&registry.host, "v2.0.0", "two").1.contains(r#""ignored":0"#)).await;
    fs::write(&file, "nonsense").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(post.event(&registry.host, "v2.0.0", "three").0, 202, "what was known stays");
    assert_eq!(running.stop().await.waiting.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::made("2024-01-01T00:00:00Z"));
    registry.push(layout.path(), "app", "team/app:v1.0.0");
    let post = Post::new(&format!("{}/team/app", registry.host));
    let flag = post.path("tried");
    let script = format!("test -e {0} || {{ touch {0}; exit 3; }}", flag.display());
    let exec = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let running = post.start(post.options(Then { exec, exec_time: Duration::from_secs(20), upload: None })).await;
    post.event(&registry.host, "v1.0.0", "one");
    eventually("the first try", || flag.exists()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(running.stop().await, WatchOutcome { exports: 1, failures: 1, waiting: Vec::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_send_gets_nowhere() {
    let (registry, layout) = (Registry::start(Setup::default()), Layout::made("2024-01-01T00:00:00Z"));
    registry.push(layout.path(), "app", "team/app:v1.0.0");
    let post = Post::new(&format!("{}/team/app", registry.host));
    let running = post.start(post.options(Then::default())).await;
    let hub = fs::read(format!("{}/tests/fixtures/webhooks/docker-hub.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let good = format!("Authorization: {SECRET}\r\n");
    let encoded = SECRET.replace(' ', "%20");
    for (path, headers, body, wanted) in [
        ("/docker-registry", "", b"{}".to_vec(), 401),
        ("/docker-registry", "Authorization: Bearer wrong wrong wrong wrong\r\n", b"{}".to_vec(), 401),
        ("/docker-registry?secret=correct", "", b"{}".to_vec(), 401),
        ("/harbor/x", &good, b"{}".to_vec(), 404),
        ("/elsewhere", &good, b"{}".to_vec(), 404),
        ("/harbor", &good, b"{}".to_vec(), 400),
        ("/generic", &good, vec![b'['; (1 << 20) + 1], 413),
        ("/docker-hub", &good, hub.clone(), 200),
        (&format!("/docker-hub/{encoded}x"), "", hub.clone(), 401),
    ] {
        assert_eq!(post.post(path, headers, &body).0, wanted, "{path} {headers}");
    }
    assert_eq!(post.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), (200, "ok\n".to_owned()));
    assert_eq!(post.raw(b"GET /harbor HTTP/1.1\r\nHost: x\r\n\r\n").0, 405);
    let long = format!("POST /harbor HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(post.raw(long.as_bytes()).0 / 100, 4, "a head without end");
    // Many who are slow: a head that never ends is cut off, and others are heard meanwhile.
    let begun = Instant::now();
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", post.port)).unwrap();
            stream.write_all(b"POST /harbor HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(post.post("/docker-hub", &good, &hub).0, 200);
    assert!(begun.elapsed() < Duration::from_secs(5));
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok(), "cut off");
    }
    // A flood of pushes is one entry, and the journal stays small.
    for n in 0..300 {
        assert_eq!(post.event(&registry.host, &format!("v1.0.{n}"), &format!("id-{n}")).0, 202);
    }
    assert!(fs::metadata(post.path("delivery.watch.json")).unwrap().len() < 1 << 20);
    running.stop().await;
}

#[cfg(unix)]
#[test]
fn the_program_ends_when_it_is_told_to() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("delivery.yaml"), "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec: {}\n").unwrap();
    let program = Program::new(folder.path());
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    program.run(&["watch", "--listen", &listen, "--allow-unsigned"]).code(2).says("must know a secret");
    program.run(&["watch", "--listen", &listen, "--no-secret"]).code(2).says("an archive is signed");
    let short = Program::new(folder.path()).env("KUBECTL_OFFLINE_WATCH_SECRET", "short");
    short.run(&["watch", "--listen", &listen, "--allow-unsigned"]).code(2).says("has 5 characters");
    program.run(&["watch", "--listen", &listen, "--allow-unsigned", "--no-secret", "-o", "{nmae}.tar"]).code(2).says("not known");
    program.run(&["watch", "--listen", &listen, "--allow-unsigned", "--no-secret", "--upload", "http://far.example/"]).code(2).says("without TLS");
    let long = Program::new(folder.path()).env("KUBECTL_OFFLINE_WATCH_SECRET", SECRET);
    let mut child = long.command(&["watch", "--listen", &listen, "--allow-unsigned", "--exec", "true", "--x"]);
    let child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "it does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    program.run(&["watch", "--listen", "127.0.0.1:0", "--allow-unsigned", "--no-secret"]).code(1).says("is in use");
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), "0 exports, 0 failures\n"));
}
