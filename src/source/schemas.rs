//! The documents that charts' schemas refer to by URL, got as Helm gets them (pkg/chartutil, jsonschema.go, `HTTPURLLoader`), but within
//! bounds: a chart says where they are, and charts are not trusted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{StatusCode, Url};

use super::{
    fetch_error::{FetchError, FetchProblem},
    http::{Access, Answer, Ask, Timing, Web},
};
use crate::{chart::RemoteSchemas, registry::HostOptions};

/// Most documents of a run.
const DOCUMENTS_MAX: usize = 64;
/// The largest document; the largest schema of a chart may be as large.
const BYTES_MAX: u64 = 5 << 20;
/// Helm's time for one.
const SECONDS: u64 = 15;

/// Gets documents, each once; credentials are never sent.
#[derive(Debug, Default)]
pub struct SchemaDocuments {
    hosts: BTreeMap<String, HostOptions>,
    known: Mutex<HashMap<String, Result<Bytes, String>>>,
}

impl SchemaDocuments {
    /// With what is known of hosts: mirrors, authorities, and where TLS is not wanted.
    pub fn new(hosts: BTreeMap<String, HostOptions>) -> Self {
        Self { hosts, known: Mutex::default() }
    }

    /// In a thread and a runtime of its own: whoever renders may be in one already.
    fn fetch(&self, url: &str) -> Result<Bytes, String> {
        let parsed = Url::parse(url).map_err(|error| format!("failed to create HTTP request for {url}: {error}"))?;
        let failed = |problem: &FetchProblem| match status(problem) {
            Some(status) => {
                let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
                format!("HTTP request to {url} returned status {status} ({reason})")
            }
            None => format!("HTTP request failed for {url}: Get {url:?}: {problem}"),
        };
        let answer = std::thread::scope(|scope| scope.spawn(|| self.ask(&parsed)).join()).expect("nothing panics on the way");
        match answer {
            Ok(Answer::Document(bytes, _)) => Ok(bytes),
            Ok(Answer::NotModified) => Err(failed(&FetchProblem::Status { status: 304, wait: None })),
            Err(error) => Err(failed(&error.problem)),
        }
    }

    fn ask(&self, url: &Url) -> Result<Answer, FetchError> {
        let problem = |problem| FetchError { url: url.to_string(), problem: Box::new(problem) };
        let limit = Duration::from_secs(SECONDS);
        let timing = Timing { connect: limit, stall: limit, attempt: limit, ..Timing::default() };
        let web = Web::new(self.hosts.clone(), Vec::new(), timing);
        let access = Access::default();
        let ask = Ask { url, access: &access, max: BYTES_MAX, known: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| problem(FetchProblem::Transport { text: error.to_string(), transient: false }))?;
        // However often it is tried.
        runtime.block_on(async { tokio::time::timeout(limit, web.get(ask)).await }).unwrap_or_else(|_| Err(problem(FetchProblem::Stalled(SECONDS))))
    }
}

impl RemoteSchemas for SchemaDocuments {
    fn get(&self, url: &str) -> Result<Bytes, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(url) {
            return found.clone();
        }
        if known.len() >= DOCUMENTS_MAX {
            return Err(format!("more than {DOCUMENTS_MAX} documents are referred to"));
        }
        let found = self.fetch(url);
        known.insert(url.to_owned(), found.clone());
        found
    }
}

/// The status that an answer had, if there was one.
fn status(problem: &FetchProblem) -> Option<u16> {
    match problem {
        FetchProblem::NotFound => Some(404),
        FetchProblem::Refused { status, .. } | FetchProblem::Status { status, .. } => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::Arc,
    };

    use super::*;

    /// Answers each request by its path, and notes what was asked for.
    fn server() -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                assert!(!head.iter().any(|line| line.to_lowercase().starts_with("authorization")), "{head:?}");
                let path = head[0].split(' ').nth(1).unwrap().to_owned();
                let answer = match path.as_str() {
                    "/large" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BYTES_MAX + 1),
                    "/moved" => "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    "/away" => "HTTP/1.1 302 Found\r\nLocation: http://schemas.example/x\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    "/none" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntrue".to_owned(),
                };
                log.lock().unwrap().push(path);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (address, asked)
    }

    #[test]
    fn a_document_is_asked_for_once() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, asked) = server();
        let documents = SchemaDocuments::default();
        let get = |path: &str| documents.get(&format!("{address}{path}"));
        for _ in 0..2 {
            assert_eq!(get("/there"), Ok(Bytes::from("true")));
            assert_eq!(get("/moved"), Ok(Bytes::from("true")));
            let status = format!("HTTP request to {address}/none returned status 404 (Not Found)");
            assert_eq!(get("/none"), Err(status));
        }
        assert_eq!(*asked.lock().unwrap(), ["/there", "/moved", "/there", "/none"]);
    }

    #[test]
    fn there_are_bounds() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, _) = server();
        let documents = SchemaDocuments::default();
        let large = documents.get(&format!("{address}/large")).unwrap_err();
        assert!(large.ends_with("it has more than 5242880 bytes, the most that such a document may have"), "{large}");
        for url in ["http://schemas.example/x".to_owned(), format!("{address}/away")] {
            let plain = documents.get(&url).unwrap_err();
            assert!(plain.ends_with("schemas.example would be asked without TLS, so anybody on the way could change what comes"), "{plain}");
        }
        for at in 3..DOCUMENTS_MAX {
            assert!(documents.get(&format!("{address}/{at}")).is_ok());
        }
        assert_eq!(documents.get(&format!("{address}/more")).unwrap_err(), "more than 64 documents are referred to");
        assert!(documents.get(&format!("{address}/3")).is_ok(), "what is known is known");
    }

    /// Whoever renders may be in a runtime already.
    #[tokio::test]
    async fn it_works_in_a_runtime() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, _) = server();
        assert!(SchemaDocuments::new(BTreeMap::new()).get(&address).is_ok());
    }
}
