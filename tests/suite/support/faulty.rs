//! A registry in the tests' own process that has one fault at a time.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use offline::oci::{Descriptor, Digest, media_type};

/// What is wrong with an answer.
#[derive(Debug, Clone, Default)]
pub(crate) enum Fault {
    #[default]
    Nothing,
    /// A status instead of the content, with more headers.
    Status(u16, &'static str),
    /// The connection ends after so many bytes of the body.
    Drop(usize),
    /// Nothing more comes after so many bytes, for so long.
    Stall(usize, Duration),
    /// This byte is another one.
    Flip(usize),
    /// The length is said to be this.
    Says(usize),
    /// No length is said, and only so many bytes come.
    Short(usize),
    /// No length is said, and so many bytes too many come.
    More(usize),
    /// A range that was asked for is not heeded, and the connection ends after so many bytes.
    Whole(usize),
    /// Another range than the one that was asked for.
    Elsewhere,
    /// So many bytes, then a pause of a millisecond, and so on.
    Slow(usize),
}

/// A request, as it was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// First byte that is wanted.
    pub(crate) from: Option<usize>,
    pub(crate) authorization: Option<String>,
    /// How often this path was asked for before.
    pub(crate) before: usize,
}

type Plan = dyn Fn(&Request) -> Fault + Send + Sync;

/// A running registry; it ends with the process.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

struct State {
    documents: HashMap<String, (&'static str, Arc<Vec<u8>>)>,
    seen: Vec<Request>,
    plan: Arc<Plan>,
    /// Paths are only for those with this token; a challenge says where it is.
    token: Option<String>,
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

impl Faulty {
    /// A registry without anything in it.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = State { documents: HashMap::new(), seen: Vec::new(), plan: Arc::new(|_| Fault::Nothing), token: None };
        let made = Self { host, state: Arc::new(Mutex::new(state)) };
        let server = made.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        made
    }

    /// Puts in an image `NAME:1` for linux/amd64, whose layers have these sizes; returns their digests.
    pub(crate) fn image(&self, name: &str, sizes: &[usize]) -> Vec<Digest> {
        let mut state = self.state.lock().unwrap();
        let mut put = |kind: &str, bytes: Vec<u8>| {
            let descriptor = Descriptor::of(kind, &bytes);
            state.documents.insert(format!("/v2/{name}/blobs/{}", descriptor.digest), ("application/octet-stream", Arc::new(bytes)));
            descriptor
        };
        let layers: Vec<Descriptor> = sizes.iter().map(|size| put(media_type::OCI_LAYER, noise(*size as u64, *size))).collect();
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
        let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
        let config = put(media_type::OCI_CONFIG, config.into_bytes());
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers}).to_string();
        let manifest = Arc::new(manifest.into_bytes());
        for tag in ["1", Digest::of(&manifest).as_str()] {
            state.documents.insert(format!("/v2/{name}/manifests/{tag}"), (media_type::OCI_MANIFEST, manifest.clone()));
        }
        layers.into_iter().map(|layer| layer.digest).collect()
    }

    /// What is wrong from now on; what was seen before is forgotten.
    pub(crate) fn plan(&self, plan: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        let mut state = self.state.lock().unwrap();
        state.plan = Arc::new(plan);
        state.seen.clear();
    }

    /// Only this token is good from now on; `/token` gives it out.
    pub(crate) fn token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Requests since the last plan.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.lock().unwrap().seen.clone()
    }

    fn serve(&self, stream: TcpStream) {
        // Clients hang up when they have seen enough, or are killed.
        let Some(mut request) = read(&stream) else { return };
        let (plan, found, token) = {
            let mut state = self.state.lock().unwrap();
            request.before = state.seen.iter().filter(|seen| seen.path == request.path).count();
            state.seen.push(request.clone());
            (state.plan.clone(), state.documents.get(&request.path).cloned(), state.token.clone())
        };
        let _ = match (token, found) {
            (Some(token), _) if request.path.starts_with("/token") => {
                let body = serde_json::json!({"token": token}).to_string();
                answer(stream, "200 OK", &format!("Content-Length: {}\r\n", body.len()), body.as_bytes())
            }
            (Some(token), _) if request.authorization.as_deref() != Some(&format!("Bearer {token}")) => {
                let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"it\"\r\nContent-Length: 0\r\n", self.host);
                answer(stream, "401 Unauthorized", &challenge, b"")
            }
            (_, None) if request.path == "/v2/" => answer(stream, "200 OK", "Content-Length: 2\r\n", b"{}"),
            (_, None) => answer(stream, "404 Not Found", "Content-Length: 0\r\n", b""),
            (_, Some((kind, body))) => content(stream, &request, kind, &body, &plan(&request)),
        };
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, ..Request::default() };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        match name.to_lowercase().as_str() {
            "range" => request.from = value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            "authorization" => request.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(request)
}

fn answer(mut stream: TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n")?;
    stream.write_all(body)
}

fn content(mut stream: TcpStream, request: &Request, kind: &str, body: &[u8], fault: &Fault) -> std::io::Result<()> {
    if let Fault::Status(status, headers) = fault {
        return answer(stream, &format!("{status} Said"), &format!("{headers}Content-Length: 0\r\n"), b"");
    }
    let from = request.from.filter(|_| !matches!(fault, Fault::Whole(_)));
    let start = from.unwrap_or_default();
    if start >= body.len() && start > 0 {
        return answer(stream, "416 Range Not Satisfiable", &format!("Content-Range: bytes */{}\r\nContent-Length: 0\r\n", body.len()), b"");
    }
    let mut rest = body[start..].to_vec();
    let mut head = format!("Content-Type: {kind}\r\n");
    if from.is_some() {
        let said = if matches!(fault, Fault::Elsewhere) { start + 1 } else { start };
        write!(head, "Content-Range: bytes {said}-{}/{}\r\n", body.len() - 1, body.len()).unwrap();
    }
    match fault {
        Fault::Says(length) => write!(head, "Content-Length: {length}\r\n").unwrap(),
        Fault::Short(length) => rest.truncate(*length),
        Fault::More(bytes) => rest.extend(noise(7, *bytes)),
        _ => write!(head, "Content-Length: {}\r\n", rest.len()).unwrap(),
    }
    match fault {
        Fault::Drop(at) | Fault::Whole(at) => rest.truncate(*at),
        Fault::Flip(at) => rest[*at] ^= 1,
        _ => {}
    }
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    match fault {
        Fault::Stall(at, pause) => {
            let at = (*at).min(rest.len());
            answer(stream.try_clone()?, status, &head, &rest[..at])?;
            thread::sleep(*pause);
            stream.write_all(&rest[at..])
        }
        Fault::Slow(bytes) => {
            answer(stream.try_clone()?, status, &head, b"")?;
            for part in rest.chunks(*bytes) {
                stream.write_all(part)?;
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
        _ => answer(stream, status, &head, &rest),
    }
}
