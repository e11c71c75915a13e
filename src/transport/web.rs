//! What all requests to web servers have in common: the client, what an error is, how long to wait before it is tried again.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder, Response,
    header::{AUTHORIZATION, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};

use super::{Reach, TransportProblem};
use crate::{
    redact::Secret,
    registry,
    tls::{Tls, TlsError},
};

/// What archives are, among media types.
pub(super) const TAR: &str = "application/x-tar";
const CONNECT: Duration = Duration::from_secs(15);
/// What is shown of a server's answer, in characters.
const EXCERPT: usize = 300;
/// The longest wait before another attempt, whatever a server asks for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A client that follows nothing by itself and goes through the machine's proxies. `stall` is how long a server may say nothing.
pub(super) fn client(reach: &Reach, stall: Duration) -> Result<Client, TransportProblem> {
    let agent = concat!("kubectl-offline/", env!("CARGO_PKG_VERSION"));
    let builder = Client::builder().user_agent(agent).redirect(Policy::none()).connect_timeout(CONNECT).read_timeout(stall);
    let mut tls = Tls::default();
    if let Some(path) = &reach.ca_file {
        tls.trust(path)?;
    }
    registry::through(tls.put(builder)?, reach.machine.proxies.clone()).build().map_err(connection)
}

impl From<TlsError> for TransportProblem {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::File(error) => Self::File(error),
            TlsError::Authorities { path, reason } | TlsError::Identity { certificate: path, reason, .. } => {
                Self::CaFile { path: path.display().to_string(), reason }
            }
            TlsError::Machine(error) => Self::Connection(error.to_string()),
        }
    }
}

/// A request with the header that says who asks, if there is one.
pub(super) fn authorized(request: RequestBuilder, authorization: Option<&Secret<String>>) -> Result<RequestBuilder, TransportProblem> {
    let Some(authorization) = authorization else { return Ok(request) };
    let unusable = |_| TransportProblem::Connection("the token cannot be sent in a header".to_owned());
    let mut value = HeaderValue::from_str(authorization.expose()).map_err(unusable)?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

/// A failed connection, in one line and without the URL, which may hold a secret.
pub(super) fn connection(error: reqwest::Error) -> TransportProblem {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    TransportProblem::Connection(text)
}

/// What a server says that did not do what was asked.
pub(super) async fn status(mut answer: Response) -> TransportProblem {
    let status = answer.status().as_u16();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut bytes = Vec::new();
    while bytes.len() < 4 * EXCERPT {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(4 * EXCERPT)]),
            _ => break,
        }
    }
    TransportProblem::Status { status, body: printable(&bytes), wait }
}

fn printable(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(EXCERPT).collect()
}

/// How long to wait before another attempt: as the server asks, else longer each time.
pub(super) fn pause(problem: &TransportProblem, attempt: u32) -> Duration {
    problem.wait().unwrap_or(Duration::from_millis(250) * 2_u32.pow(attempt.min(6))).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(printable(b"<p>\n  no\x1b[31m\tspace </p>"), "<p> no [31m space </p>");
        assert_eq!(printable(&[b'a'; 1000]).len(), EXCERPT);
    }
}
