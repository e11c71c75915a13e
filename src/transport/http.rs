//! Ranges of a file on a web server (RFC 9110, section 14). The file must stay the one that it was when it was opened.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RANGE},
};

use super::{Reach, TransportProblem, web};
use crate::redact::{SafeUrl, Secret};

const REDIRECTS: usize = 5;
const ATTEMPTS: u32 = 4;
/// How long a server may say nothing.
const STALL: Duration = Duration::from_secs(30);
/// How long one answer may take, however slowly it drips.
const ANSWER: Duration = Duration::from_mins(2);

/// What a file was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    length: u64,
    etag: Option<String>,
    modified: Option<String>,
}

/// A file on a web server.
pub(super) struct WebFile {
    client: Client,
    url: Url,
    authorization: Option<Secret<String>>,
    pin: Option<Pin>,
    /// Where the server has moved it: asked directly, until that fails.
    moved: Mutex<Option<Url>>,
}

/// Bytes and which they are.
struct Part {
    bytes: Bytes,
    pin: Pin,
}

impl WebFile {
    /// Opens a file; tells its length and gives its first bytes.
    pub(super) async fn open(url: &SafeUrl, reach: &Reach, first: usize) -> Result<(Self, u64, Bytes), TransportProblem> {
        let (url, authorization) = (reach.url(url.expose())?, reach.authorization()?);
        let mut file = Self { client: web::client(reach, STALL)?, url, authorization, pin: None, moved: Mutex::default() };
        let part = file.patiently(0, first).await?;
        let length = part.pin.length;
        file.pin = Some(part.pin);
        Ok((file, length, part.bytes))
    }

    /// Some bytes from an offset on: at least one, at most `length`.
    pub(super) async fn range(&self, offset: u64, length: usize) -> Result<Bytes, TransportProblem> {
        Ok(self.patiently(offset, length).await?.bytes)
    }

    async fn patiently(&self, offset: u64, length: usize) -> Result<Part, TransportProblem> {
        let mut attempt = 1;
        loop {
            let asked = tokio::time::timeout(ANSWER, self.ask(offset, length)).await;
            let slow = || TransportProblem::Connection(format!("the answer took longer than {} seconds", ANSWER.as_secs()));
            match asked.unwrap_or_else(|_| Err(slow())) {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(web::pause(&problem, attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn ask(&self, offset: u64, length: usize) -> Result<Part, TransportProblem> {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(url) = moved {
            match self.follow(url, offset, length).await {
                // Signed addresses expire; the server gives a new one.
                Err(TransportProblem::Status { status: 400..=499, .. }) => *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = None,
                answer => return answer,
            }
        }
        self.follow(self.url.clone(), offset, length).await
    }

    async fn follow(&self, mut url: Url, offset: u64, length: usize) -> Result<Part, TransportProblem> {
        for _ in 0..=REDIRECTS {
            let answer = self.send(&url, offset, length).await?;
            let status = answer.status();
            if let Some(to) = status.is_redirection().then(|| answer.headers().get(LOCATION)).flatten() {
                let to = to.to_str().ok().and_then(|to| url.join(to).ok()).ok_or_else(|| TransportProblem::BadRedirect("nowhere".to_owned()))?;
                // What began with TLS stays with TLS.
                if to.scheme() != "https" && to.scheme() != url.scheme() {
                    return Err(TransportProblem::BadRedirect(SafeUrl::new(to.to_string()).to_string()));
                }
                url = to;
                continue;
            }
            return match status {
                StatusCode::PARTIAL_CONTENT => {
                    if url != self.url {
                        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
                    }
                    self.read(answer, offset, length).await
                }
                StatusCode::OK => Err(TransportProblem::NoRanges),
                _ => Err(web::status(answer).await),
            };
        }
        Err(TransportProblem::Redirects(REDIRECTS))
    }

    async fn send(&self, url: &Url, offset: u64, length: usize) -> Result<Response, TransportProblem> {
        let last = offset.saturating_add(length as u64).saturating_sub(1);
        let request = self.client.get(url.clone()).header(RANGE, format!("bytes={offset}-{last}")).header(ACCEPT_ENCODING, "identity");
        let authorization = self.authorization.as_ref().filter(|_| url.origin() == self.url.origin());
        web::authorized(request, authorization)?.send().await.map_err(web::connection)
    }

    async fn read(&self, mut answer: Response, offset: u64, length: usize) -> Result<Part, TransportProblem> {
        let text = header(answer.headers(), &CONTENT_RANGE).unwrap_or_default();
        let bad = || TransportProblem::BadRange(text.chars().take(100).collect());
        let (start, end, total) = content_range(&text).ok_or_else(bad)?;
        let wanted = usize::try_from(end - start + 1).unwrap_or(usize::MAX);
        if start != offset || wanted > length || end >= total {
            return Err(bad());
        }
        let pin = Pin { length: total, etag: header(answer.headers(), &ETAG), modified: header(answer.headers(), &LAST_MODIFIED) };
        if let Some(known) = &self.pin {
            known.holds(&pin)?;
        }
        let mut bytes = Vec::with_capacity(wanted);
        while bytes.len() < wanted {
            match answer.chunk().await.map_err(web::connection)? {
                Some(chunk) => bytes.extend_from_slice(&chunk[..chunk.len().min(wanted - bytes.len())]),
                None => return Err(TransportProblem::Short { wanted, found: bytes.len() }),
            }
        }
        Ok(Part { bytes: bytes.into(), pin })
    }
}

impl Pin {
    /// Whether it is still the same file. The time counts only where there is no better mark: servers behind one name often disagree on it.
    fn holds(&self, now: &Self) -> Result<(), TransportProblem> {
        let changed = |what, before: String, now: String| Err(TransportProblem::Changed { what, before, now });
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".to_owned());
        if self.length != now.length {
            return changed("its length", self.length.to_string(), now.length.to_string());
        }
        if self.etag != now.etag {
            return changed("its ETag", or_none(&self.etag), or_none(&now.etag));
        }
        if self.etag.is_none() && self.modified != now.modified {
            return changed("its time", or_none(&self.modified), or_none(&now.modified));
        }
        Ok(())
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

/// `bytes FIRST-LAST/LENGTH`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then_some(())?;
    Some((start, end, total.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, 100)));
        for bad in ["", "bytes 9-0/100", "bytes 0-9/*", "bytes */100", "items 0-9/100", "bytes 0-9", "bytes a-b/c"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
