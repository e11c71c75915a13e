//! A web server in the tests' own process: files of a folder, and pages that misbehave.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What a server says to one request.
#[derive(Clone, Default)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Sent so many times without end.
    pub(crate) endless: bool,
    /// Before each part of the answer.
    pub(crate) delay: Duration,
}

/// A request, as it was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

type Answer = dyn Fn(&Seen) -> Option<Page> + Send + Sync;

/// A running server; it ends with the process.
pub(crate) struct Site {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Page {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn to(url: impl Into<String>) -> Self {
        Self { status: 302, headers: vec![("Location", url.into())], ..Self::default() }
    }
}

impl Site {
    /// Serves a folder.
    pub(crate) fn folder(folder: PathBuf) -> Self {
        Self::with(folder, |_| None)
    }

    /// Serves what a function says, and a folder where it says nothing.
    pub(crate) fn with(folder: PathBuf, answer: impl Fn(&Seen) -> Option<Page> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, requests): (Arc<Answer>, _) = (Arc::new(answer), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, requests, folder) = (answer.clone(), requests.clone(), folder.clone());
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    requests.lock().unwrap().push(request.clone());
                    let page = answer(&request).unwrap_or_else(|| match std::fs::read(folder.join(request.path.trim_start_matches('/'))) {
                        Ok(body) => Page::ok(body),
                        Err(_) => Page::status(404),
                    });
                    send(stream, &page);
                });
            }
        });
        Self { url, seen }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Paths that were asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.path).collect()
    }

    /// Requests since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut seen = Seen { path, headers: HashMap::new() };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        seen.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(seen)
}

/// A client may hang up when it has seen enough.
fn send(mut stream: TcpStream, page: &Page) {
    thread::sleep(page.delay);
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", page.status);
    if !page.endless {
        write!(head, "Content-Length: {}\r\n", page.body.len()).unwrap();
    }
    for (name, value) in &page.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if stream.write_all(format!("{head}\r\n").as_bytes()).is_err() {
        return;
    }
    loop {
        thread::sleep(page.delay);
        if stream.write_all(&page.body).is_err() || !page.endless {
            return;
        }
    }
}
