//! Uploads that go on where they broke: the tus protocol 1.0.0 (tus.io/protocols/resumable-upload), its core and its extension `creation`.
//!
//! An upload has an address, which a POST gives. HEAD tells how far it is, PATCH appends. What the server says counts, whatever was sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Client, Method, RequestBuilder, Response, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION},
};

use super::{TransportProblem, memory::Memory, outgoing::Outgoing, web};
use crate::redact::{SafeUrl, Secret};

const RESUMABLE: &str = "Tus-Resumable";
const VERSION: &str = "1.0.0";
const OFFSET: &str = "Upload-Offset";
const LENGTH: &str = "Upload-Length";
/// Bytes of one request: a proxy that takes a request as a whole before it hands it on loses no more.
const PIECE: u64 = 64 << 20;
/// Failures in a row without a byte more on the server.
const ATTEMPTS: u32 = 6;
/// How often an upload that the server has forgotten is begun again.
const ANEW: u32 = 2;

/// What a server with tus says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// The largest upload that it takes.
    max: Option<u64>,
}

/// Asks a server whether it speaks tus and makes uploads. Whatever else it answers, it does not.
pub(super) async fn offer(client: &Client, url: &Url, authorization: Option<&Secret<String>>) -> Result<Option<Offer>, TransportProblem> {
    let answer = web::authorized(client.request(Method::OPTIONS, url.clone()), authorization)?.send().await.map_err(web::connection)?;
    if matches!(answer.status().as_u16(), 429 | 500 | 502..=504) {
        return Err(web::status(answer).await);
    }
    let headers = answer.headers();
    let lists = |name: &str, wanted: &str| text(headers, name).is_some_and(|text| text.split(',').any(|one| one.trim() == wanted));
    let speaks = answer.status().is_success() && (lists("Tus-Version", VERSION) || lists(RESUMABLE, VERSION)) && lists("Tus-Extension", "creation");
    Ok(speaks.then(|| Offer { max: number(headers, "Tus-Max-Size") }))
}

/// One file on its way to a server with tus.
pub(super) struct Session<'a> {
    pub(super) client: &'a Client,
    /// Where uploads are made.
    pub(super) url: &'a Url,
    pub(super) authorization: Option<&'a Secret<String>>,
    pub(super) body: &'a Outgoing,
    /// What an earlier run has begun, and what is kept for a later one.
    pub(super) memory: Option<&'a Memory>,
}

/// How far an upload is.
#[derive(Default)]
struct State {
    address: Option<Url>,
    /// Bytes that the server has; none if it has to be asked.
    offset: Option<u64>,
}

impl Session<'_> {
    /// Sends all of it, and tells where it is. Failures are counted from the last byte that came through.
    pub(super) async fn run(&self, offer: Offer) -> Result<Url, TransportProblem> {
        if let Some(max) = offer.max.filter(|&max| max > 0 && max < self.body.size) {
            return Err(TransportProblem::TooLarge { size: self.body.size, max });
        }
        let mut state = State { address: self.memory.and_then(Memory::address), offset: None };
        let mut recalled = state.address.is_some();
        let (mut furthest, mut failures, mut anew) = (0, 0, 0);
        loop {
            match self.step(&mut state).await {
                Ok(Some(address)) => return Ok(address),
                Ok(None) => {}
                Err(problem) if recalled && (is_gone(&problem) || matches!(problem, TransportProblem::Tus(_))) => {
                    self.body.note(format!("an earlier run had begun, and the server does not go on with it ({problem})"));
                    (state, recalled) = (State::default(), false);
                }
                Err(problem) if state.address.is_some() && is_gone(&problem) && anew < ANEW => {
                    self.body.note(format!("the server knows nothing of the upload any more ({problem}); it begins again"));
                    (state, furthest, anew) = (State::default(), 0, anew + 1);
                }
                Err(problem) if may_pass(&problem) && failures < ATTEMPTS => {
                    failures += 1;
                    state.offset = None;
                    tokio::time::sleep(web::pause(&problem, failures)).await;
                }
                Err(problem) => return Err(problem),
            }
            if let Some(offset) = state.offset.filter(|_| recalled) {
                self.body.note(format!("an earlier run had begun: {offset} of {} bytes are there", self.body.size));
                recalled = false;
            }
            let now = state.offset.unwrap_or_default();
            if now > furthest {
                (furthest, failures) = (now, 0);
            }
        }
    }

    /// Does what comes next. Gives the address when all is there.
    async fn step(&self, state: &mut State) -> Result<Option<Url>, TransportProblem> {
        let Some(address) = &state.address else {
            let address = self.create().await?;
            self.remember(&address);
            state.address = Some(address);
            state.offset = Some(0);
            return Ok(None);
        };
        let Some(offset) = state.offset else {
            state.offset = Some(self.ask(address).await?);
            return Ok(None);
        };
        if offset == self.body.size {
            return Ok(Some(address.clone()));
        }
        // Until the server has said how far it came, nobody knows.
        state.offset = None;
        state.offset = Some(self.append(address, offset).await?);
        Ok(None)
    }

    /// An upload that cannot be remembered is one all the same.
    fn remember(&self, address: &Url) {
        match self.memory.map(|memory| memory.keep(address)) {
            Some(Err(error)) => self.body.note(format!("a run that is killed begins anew: {error}")),
            Some(Ok(false)) => self.body.note("a run that is killed begins anew: the server's address for the upload is not one to keep".to_owned()),
            Some(Ok(true)) | None => {}
        }
    }

    async fn create(&self) -> Result<Url, TransportProblem> {
        let metadata = format!("filename {},filetype {}", STANDARD.encode(&self.body.name), STANDARD.encode(web::TAR));
        let request = self.request(Method::POST, self.url)?.header(LENGTH, self.body.size).header("Upload-Metadata", metadata).header(CONTENT_LENGTH, 0);
        let answer = succeeded(request.send().await.map_err(web::connection)?).await?;
        let address = text(answer.headers(), LOCATION.as_str()).ok_or_else(|| broken("it made an upload and did not say where"))?;
        let address = self.url.join(address).map_err(|_| broken("it made an upload where there is no address"))?;
        // What began with TLS stays with TLS.
        if address.scheme() != "https" && address.scheme() != self.url.scheme() {
            return Err(TransportProblem::BadRedirect(SafeUrl::new(address.to_string()).to_string()));
        }
        Ok(address)
    }

    async fn ask(&self, address: &Url) -> Result<u64, TransportProblem> {
        let answer = succeeded(self.request(Method::HEAD, address)?.send().await.map_err(web::connection)?).await?;
        let offset = number(answer.headers(), OFFSET).ok_or_else(|| broken("it does not say how far the upload is"))?;
        if offset > self.body.size || number(answer.headers(), LENGTH).is_some_and(|length| length != self.body.size) {
            return Err(broken("it has an upload of another length"));
        }
        Ok(offset)
    }

    async fn append(&self, address: &Url, offset: u64) -> Result<u64, TransportProblem> {
        let length = PIECE.min(self.body.size - offset);
        let request = self.request(Method::PATCH, address)?.header(OFFSET, offset).header(CONTENT_TYPE, "application/offset+octet-stream");
        let answer = succeeded(self.body.send(request, offset, length).await?).await?;
        let now = number(answer.headers(), OFFSET).ok_or_else(|| broken("it took bytes and does not say how many"))?;
        if now <= offset || now > offset + length {
            return Err(broken(&format!("it had {offset} bytes, was sent {length}, and says that it has {now}")));
        }
        Ok(now)
    }

    /// A request in this protocol. Who we are is told to the server that was named, and to no other.
    fn request(&self, method: Method, to: &Url) -> Result<RequestBuilder, TransportProblem> {
        let request = self.client.request(method, to.clone()).header(RESUMABLE, VERSION);
        web::authorized(request, self.authorization.filter(|_| to.origin() == self.url.origin()))
    }
}

async fn succeeded(answer: Response) -> Result<Response, TransportProblem> {
    if answer.status().is_success() { Ok(answer) } else { Err(web::status(answer).await) }
}

fn broken(what: &str) -> TransportProblem {
    TransportProblem::Tus(what.to_owned())
}

/// Whether the server has forgotten the upload (protocol, "HEAD": 403, 404 and 410).
fn is_gone(problem: &TransportProblem) -> bool {
    matches!(problem, TransportProblem::Status { status: 403 | 404 | 410, .. })
}

/// Also where offsets disagree, and where the server still writes what came before the connection broke.
fn may_pass(problem: &TransportProblem) -> bool {
    problem.is_transient() || matches!(problem, TransportProblem::Status { status: 409 | 423, .. })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}
