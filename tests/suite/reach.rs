//! How registries are reached: podman's credentials, parts of hosts, identity tokens, client certificates, proxies; against loopback servers.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use offline::{
    oci::{Descriptor, Digest, Platform, Reference, media_type},
    progress::{SharedReporter, Silent},
    proxy::Proxies,
    registry::{HostOptions, Patience, Problem, Reach, Registries, RemoteImage},
    transport,
};

use crate::{
    registry::Layout,
    support::registry::{Registry, Setup},
};

/// A request: its first line, its `Authorization`, its body.
#[derive(Debug, Clone, Default)]
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

type Answer = (u16, String, Vec<u8>);

/// A server whose answers a function makes: status, more headers, body. It ends with the process.
struct Server {
    host: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (known, own, answer) = (seen.clone(), host.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, own, answer) = (known.clone(), own.clone(), answer.clone());
                thread::spawn(move || serve(&stream, &own, &known, &*answer));
            }
        });
        Self { host, seen }
    }

    fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, own: &str, seen: &Mutex<Vec<Asked>>, answer: &dyn Fn(&str, &Asked) -> Answer) {
    let mut reader = BufReader::new(stream);
    let (mut asked, mut length, mut line) = (Asked::default(), 0, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let text = line.trim().to_owned();
        if asked.line.is_empty() {
            asked.line = text;
        } else if let Some((name, value)) = text.split_once(':') {
            match name.to_lowercase().as_str() {
                "authorization" => value.trim().clone_into(&mut asked.authorization),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    if asked.line.is_empty() {
        return;
    }
    seen.lock().unwrap().push(asked.clone());
    let (status, headers, body) = answer(own, &asked);
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = (&mut &*stream).write_all(&[head.as_bytes(), &body].concat());
}

/// The documents of an image, by what paths end with.
fn image() -> BTreeMap<String, Vec<u8>> {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let described = Descriptor::of(media_type::OCI_CONFIG, &config);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": described, "layers": []}).to_string().into_bytes();
    [
        (format!("/blobs/{}", described.digest), config),
        (format!("/manifests/{}", Digest::of(&manifest)), manifest.clone()),
        ("/manifests/1".to_owned(), manifest),
    ]
    .into()
}

fn content(asked: &Asked) -> Answer {
    let path = asked.line.split(' ').nth(1).unwrap().to_owned();
    match image().into_iter().find(|(end, _)| path.ends_with(end)) {
        Some((_, bytes)) => (200, format!("Content-Type: {}\r\n", media_type::OCI_MANIFEST), bytes),
        None if path.ends_with("/v2/") => (200, String::new(), b"{}".to_vec()),
        None => (404, String::new(), Vec::new()),
    }
}

fn file(folder: &Path, name: &str, value: &serde_json::Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path
}

fn patience() -> Patience {
    Patience { attempts: 1, ..Patience::default() }
}

async fn get(registries: &Registries, image: &str) -> Result<RemoteImage, offline::registry::RegistryError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    registries.image(&image.parse::<Reference>().unwrap(), &[Platform::linux_amd64()]).await
}

fn encoded(user: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:x"))
}

#[tokio::test(flavor = "multi_thread")]
async fn podmans_entries_are_for_parts_of_a_host() {
    let server = Server::start(|_, asked| {
        let wanted = if asked.line.contains("/v2/team/") { "team" } else { "host" };
        let open = asked.line.contains("/v2/ ") || asked.authorization == format!("Basic {}", encoded(wanted));
        if open { content(asked) } else { (401, "WWW-Authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()) }
    });
    let folder = tempfile::tempdir().unwrap();
    let team = format!("{}/team", server.host);
    let auth = file(folder.path(), "auth.json", &serde_json::json!({"auths": {&server.host: {"auth": encoded("host")}, &team: {"auth": encoded("team")}}}));
    for reach in [Reach { last: vec![auth.clone()], ..Reach::default() }, Reach { first: vec![auth], ..Reach::default() }] {
        let registries = Registries::new(BTreeMap::new(), None).reached(&reach).patient(patience());
        for name in ["team/app:1", "app:1", "team/other/app:1"] {
            get(&registries, &format!("{}/{name}", server.host)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let registries = Registries::new(BTreeMap::new(), None).patient(patience());
    let error = get(&registries, &format!("{}/app:1", server.host)).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::NoCredentials), "{error}");
}

/// A registry that takes a token, which its token server gives for a refresh token only.
fn with_tokens() -> Server {
    Server::start(|own, asked| {
        if asked.line.starts_with("POST /token ") {
            let wanted = ["grant_type=refresh_token", "service=svc", "scope=repository%3Aapp%3Apull", "refresh_token=a%26b", "client_id="];
            let good = wanted.iter().all(|part| asked.body.contains(part));
            return if good { (200, String::new(), br#"{"access_token":"abc"}"#.to_vec()) } else { (401, String::new(), Vec::new()) };
        }
        if asked.authorization == "Bearer abc" || asked.line.contains("/v2/ ") {
            return content(asked);
        }
        (401, format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"svc\"\r\n"), Vec::new())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_exchanged() {
    let (server, folder) = (with_tokens(), tempfile::tempdir().unwrap());
    let image = format!("{}/app:1", server.host);
    let config =
        |token: &str| file(folder.path(), "config.json", &serde_json::json!({"auths": {&server.host: {"auth": encoded("0"), "identitytoken": token}}}));
    let registries = Registries::new(BTreeMap::new(), Some(config("a&b"))).patient(patience());
    get(&registries, &image).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(server.seen().iter().all(|asked| !asked.authorization.starts_with("Basic")), "no password is sent");
    let registries = Registries::new(BTreeMap::new(), Some(config("other"))).patient(patience());
    let error = get(&registries, &image).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::Refused { .. }) && !error.to_string().contains("other"), "{error}");
    // A token that needs no exchange.
    let config = file(folder.path(), "token.json", &serde_json::json!({"auths": {&server.host: {"registrytoken": "abc"}}}));
    get(&Registries::new(BTreeMap::new(), Some(config)).patient(patience()), &image).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_a_certificate_gets_it() {
    let registry = Registry::start(Setup { tls: true, ..Setup::default() });
    let strict = Registry::wanting_certificates(&registry);
    let layout = Layout::new();
    let options = |client: Option<(PathBuf, PathBuf)>| {
        let options = HostOptions { ca_file: Some(strict.ca_file()), client, ..HostOptions::default() };
        Registries::new(BTreeMap::from([(strict.host.clone(), options)]), None).patient(patience())
    };
    strict.push(layout.path(), "app", "app:1");
    let image = format!("{}/app:1", strict.host);
    let (certificate, key) = strict.client_files();
    let found = get(&options(Some((certificate.clone(), key.clone()))), &image).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.content.root.digest, layout.index);
    let error = get(&options(None), &image).await.unwrap_err();
    assert!(error.to_string().contains("certificate") || error.to_string().contains("connection"), "{error}");
    let error = get(&options(Some((certificate, strict.ca_file()))), &image).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::ClientCertificate { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used_as_go_would() {
    // A proxy is sent whole addresses; this one has the registry's content itself.
    let proxy = Server::start(|_, asked| content(asked));
    let host = "registry.invalid:5000";
    let options = BTreeMap::from([(host.to_owned(), HostOptions { plain_http: true, ..HostOptions::default() })]);
    let through = |none: Option<&str>| {
        let proxies = Proxies { http: Some(proxy.host.clone()), https: None, none: none.map(str::to_owned) };
        Registries::new(options.clone(), None).reached(&Reach { proxies, ..Reach::default() }).patient(patience())
    };
    for none in [None, Some("registry.invalid:5001"), Some("10.0.0.0/8,other.invalid"), Some(".registry.invalid")] {
        get(&through(none), &format!("{host}/app:1")).await.unwrap_or_else(|error| panic!("{none:?}: {error}"));
    }
    assert!(proxy.seen().iter().all(|asked| asked.line.starts_with("GET http://registry.invalid:5000/v2/")), "{:?}", proxy.seen());
    let before = proxy.seen().len();
    for none in ["registry.invalid", "registry.invalid:5000", ".invalid", "*"] {
        get(&through(Some(none)), &format!("{host}/app:1")).await.unwrap_err();
    }
    // This machine is always reached directly.
    let direct = Server::start(|_, asked| content(asked));
    get(&through(None), &format!("{}/app:1", direct.host)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(proxy.seen().len(), before);
}

/// `watch --upload` and `export --upload` have the machine's proxies, by the same rules.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_through_the_machines_proxies() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (proxy, folder) = (Server::start(|_, _| (201, String::new(), Vec::new())), tempfile::tempdir().unwrap());
    let archive = folder.path().join("a.tar");
    fs::write(&archive, "an archive").unwrap();
    let silent: SharedReporter = Arc::new(Silent);
    let through = |none: Option<&str>| {
        let proxies = Proxies { http: Some(proxy.host.clone()), https: None, none: none.map(str::to_owned) };
        transport::Reach { plain_http: true, machine: Reach { proxies, ..Reach::default() }, ..transport::Reach::default() }
    };
    let upload = |none: Option<&str>| transport::Upload::reached("http://archives.invalid/team/", transport::Method::Post, &through(none)).unwrap();
    upload(None).send(&archive, &silent).await.unwrap_or_else(|error| panic!("{error}"));
    let seen = proxy.seen();
    assert!(seen.last().unwrap().line.starts_with("POST http://archives.invalid/team/a.tar ") && seen.last().unwrap().body == "an archive", "{seen:?}");
    upload(Some(".invalid")).send(&archive, &silent).await.expect_err("reached directly, which leads nowhere");
    // What `watch` is given; this machine is always reached directly.
    let direct = Server::start(|_, _| (201, String::new(), Vec::new()));
    let upload = transport::Upload::new(&format!("http://{}/a.tar", direct.host), None).unwrap().from(through(None).machine);
    upload.send(&archive, &silent).await.unwrap();
    assert_eq!(proxy.seen().len(), seen.len());
    assert!(direct.seen().last().unwrap().line.starts_with("PUT /a.tar "), "{:?}", direct.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_1_is_refused_with_a_reason() {
    let server = Server::start(|_, asked| {
        if !asked.line.contains("/manifests/") {
            return content(asked);
        }
        let old = br#"{"schemaVersion":1,"name":"app","tag":"1","fsLayers":[],"history":[],"signatures":[]}"#.to_vec();
        (200, "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws\r\n".to_owned(), old)
    });
    let registries = Registries::new(BTreeMap::new(), None).patient(patience());
    let error = get(&registries, &format!("{}/app:1", server.host)).await.unwrap_err();
    assert!(error.to_string().contains("it is a schema 1 manifest") && error.to_string().contains("push the image again"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_the_registry_does_not_have_is_refused() {
    let server = Server::start(|_, asked| {
        if !asked.line.contains("/manifests/") {
            return content(asked);
        }
        let config = Descriptor::of(media_type::OCI_CONFIG, br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
        let mut layer = Descriptor::of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"elsewhere");
        layer.urls = vec!["https://elsewhere.invalid/layer".to_owned()];
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
        (200, String::new(), manifest.to_string().into_bytes())
    });
    let registries = Registries::new(BTreeMap::new(), None).patient(patience());
    let error = get(&registries, &format!("{}/app:1", server.host)).await.unwrap_err();
    assert!(error.to_string().contains("elsewhere.invalid") && error.to_string().contains("may not be distributed"), "{error}");
}
