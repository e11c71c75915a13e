//! Questions to one registry: manifests, blobs, lists with pages, the catalog, and whether a password is right.
//!
//! Every question answers the registry's challenge itself, so a token that expires in the middle of a pull is asked for anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use base64::Engine as _;
use bytes::Bytes;
use oci_client::errors::OciDistributionError;
use reqwest::{
    Body, Client, Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, RANGE, RETRY_AFTER, WWW_AUTHENTICATE},
    redirect::{Attempt, Policy},
};
use serde::Deserialize;

use super::{
    Problem,
    challenge::{Challenge, challenge, next_page},
    credentials::Credentials,
    endpoint::{HostOptions, is_loopback},
    secure,
};
use crate::redact::Secret;

/// The largest page that is read, in bytes.
const PAGE_MAX: u64 = 8 << 20;
/// The largest answer of a token server, and the most that is read of a refusal, in bytes.
const TOKEN_MAX: u64 = 1 << 20;
/// As many as Go's client follows, which is what other programs pull with (net/http, `defaultCheckRedirect`).
const REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(15);

/// The header that a registry was content with.
type Authorization = tokio::sync::Mutex<Option<Secret<String>>>;

/// A client for one host.
pub(super) struct Web {
    client: Client,
    /// The same for content, which registries keep elsewhere: it follows, and leaves the credentials behind (`reqwest`, `remove_sensitive_headers`).
    following: Client,
    base: Url,
    stall: Duration,
    /// What the registry was content with before, by scope. Who asks for a new token holds the lock, so that there is one.
    answers: Mutex<HashMap<String, Arc<Authorization>>>,
}

/// What is asked for, below `/v2/`.
pub(super) struct Wanted<'a> {
    pub(super) url: Url,
    /// What a token is asked for; as the registry says where nothing is said here.
    pub(super) scope: Option<&'a str>,
    /// Media types.
    pub(super) accept: Option<&'a str>,
    /// First byte of a blob that is wanted.
    pub(super) from: u64,
    /// Last byte that is wanted, where it is not the blob's last.
    pub(super) until: Option<u64>,
    /// Whether it may be on another host.
    pub(super) follow: bool,
    /// What is done.
    pub(super) method: Method,
    /// What is sent.
    pub(super) content: Option<Content<'a>>,
}

/// The body of a request, made anew for every attempt.
pub(super) struct Content<'a> {
    pub(super) media_type: &'a str,
    pub(super) length: u64,
    pub(super) body: &'a (dyn Fn() -> Body + Sync),
}

impl<'a> Wanted<'a> {
    /// All that is at an address, which may be on another host.
    pub(super) fn all(url: Url, scope: &'a str) -> Self {
        Self { url, scope: Some(scope), accept: None, from: 0, until: None, follow: true, method: Method::GET, content: None }
    }

    fn part(&self) -> bool {
        self.from > 0 || self.until.is_some()
    }
}

/// A page of a list.
pub(super) struct Page {
    pub(super) body: Bytes,
    /// Where the next one is, where the registry says so.
    pub(super) next: Option<Url>,
}

/// What token servers answer: the one or the other (distribution, docs/spec/auth/token.md).
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Web {
    /// Clients for one host; `plain` says without TLS.
    pub(super) fn new(name: &str, options: &HostOptions, plain: bool, stall: Duration) -> Result<Self, Problem> {
        // Docker Hub's registry has another name than its images (distribution/reference and moby, registry/config.go).
        let host = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let text = format!("{}://{host}/v2/", if plain { "http" } else { "https" });
        let base = Url::parse(&text).map_err(|_| Problem::Listing(format!("`{host}` is no host name")))?;
        // What carries credentials is never moved elsewhere, lists included.
        let named = (!plain).then_some(name);
        let client = client(named, options, Policy::none(), stall)?;
        let following = client_that_follows(named, options, stall)?;
        Ok(Self { client, following, base, stall, answers: Mutex::default() })
    }

    /// An address below `/v2/`.
    pub(super) fn at(&self, path: &str) -> Result<Url, Problem> {
        self.base.join(path).map_err(|_| Problem::Listing(format!("`{path}` is no path")))
    }

    /// Whether the host answers at all; with the error of the connection where it does not.
    pub(super) async fn reached(&self) -> Result<(), Problem> {
        self.send(self.base.clone(), None, None).await.map(|_| ())
    }

    /// Gets a page, answering the registry's challenge where it has one. `scope` is what a token is asked for.
    pub(super) async fn page(&self, url: Url, who: &Credentials, scope: &str) -> Result<Page, Problem> {
        let (headers, body) = self.ask(url.clone(), who, Some(scope)).await?;
        let next = next_page(headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()));
        let next = next.map(|text| self.same_host(&url, &text)).transpose()?;
        Ok(Page { body, next })
    }

    /// Whether the registry lets somebody in; tells whether it has asked who that is (distribution-spec, "Determining Support").
    pub(super) async fn let_in(&self, who: &Credentials) -> Result<bool, Problem> {
        let answer = self.send(self.base.clone(), None, who.user()).await?;
        let asked = answer.status() == StatusCode::UNAUTHORIZED;
        if asked || answer.status() == StatusCode::NOT_FOUND {
            self.ask(self.base.clone(), who, None).await?;
        }
        Ok(asked)
    }

    async fn ask(&self, url: Url, who: &Credentials, scope: Option<&str>) -> Result<(HeaderMap, Bytes), Problem> {
        let wanted = Wanted { scope, follow: false, ..Wanted::all(url, "") };
        let answer = self.get(&wanted, who).await?;
        let headers = answer.headers().clone();
        Ok((headers, self.read(answer, PAGE_MAX, who).await?))
    }

    /// The answer to a question, its body still to come: status 200, 206 where not all was wanted, and 201, 202 or 204 to what is no question.
    pub(super) async fn get(&self, wanted: &Wanted<'_>, who: &Credentials) -> Result<Response, Problem> {
        let kept = self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(wanted.scope.unwrap_or_default().to_owned()).or_default().clone();
        let known = kept.lock().await.clone();
        let mut answer = self.send_wanted(wanted, known.as_ref(), who).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(authorization) = self.authorization(&answer, &kept, known.as_ref(), wanted.scope, who).await?
        {
            answer = self.send_wanted(wanted, Some(&authorization), who).await?;
        }
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::PARTIAL_CONTENT if wanted.part() => Ok(answer),
            StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT if wanted.method != Method::GET => Ok(answer),
            status => {
                let wait = wait(answer.headers(), SystemTime::now());
                let body = self.read(answer, TOKEN_MAX, who).await?;
                Err(refusal(status, &wanted.url, &body, who.user()).after(wait))
            }
        }
    }

    /// What to say to a registry that was not content with `known`.
    async fn authorization(
        &self,
        answer: &Response,
        kept: &Authorization,
        known: Option<&Secret<String>>,
        scope: Option<&str>,
        who: &Credentials,
    ) -> Result<Option<Secret<String>>, Problem> {
        let headers = answer.headers().get_all(WWW_AUTHENTICATE);
        let Some(challenge) = challenge(headers.iter().filter_map(|value| value.to_str().ok())) else { return Ok(None) };
        let mut kept = kept.lock().await;
        // Another question may have got a new one meanwhile.
        if let Some(newer) = kept.as_ref().filter(|kept| known.is_none_or(|known| known.expose() != kept.expose())) {
            return Ok(Some(newer.clone()));
        }
        let new = match challenge {
            Challenge::Basic => who.basic(),
            Challenge::Bearer { realm, service, scope: wanted } => Some(self.token(&realm, service.as_deref(), scope.or(wanted.as_deref()), who).await?),
        };
        *kept = new.map(Secret::new);
        Ok(kept.clone())
    }

    /// A token for the scope, as `Bearer …`.
    async fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>, who: &Credentials) -> Result<String, Problem> {
        if let Some(token) = who.token() {
            return Ok(format!("Bearer {}", token.expose()));
        }
        let mut url = Url::parse(realm).map_err(|_| Problem::Listing("the registry names a token server that is no URL".to_owned()))?;
        // A password must not go further in the clear than to the registry itself.
        let host = url.host_str().unwrap_or_default();
        let as_far = self.base.scheme() == "http" && (url.host_str() == self.base.host_str() || is_loopback(host));
        if url.scheme() != "https" && !(url.scheme() == "http" && as_far) {
            return Err(Problem::Listing(format!("its token server {host} does not speak TLS, so nobody's password is sent there")));
        }
        if let Some(identity) = who.identity() {
            return self.exchanged(url, service, scope, who, identity).await;
        }
        for (key, value) in [("service", service), ("scope", scope), ("account", who.user())] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        let answer = self.send(url.clone(), who.basic().as_deref(), who.user()).await?;
        self.given(answer, &url, who).await
    }

    /// A token for an identity token, which is a refresh token (distribution, docs/spec/auth/oauth.md).
    async fn exchanged(&self, url: Url, service: Option<&str>, scope: Option<&str>, who: &Credentials, identity: &Secret<String>) -> Result<String, Problem> {
        let form = secure::form(&[
            ("grant_type", Some("refresh_token")),
            ("service", service),
            ("client_id", Some("kubectl-offline")),
            ("scope", scope),
            ("refresh_token", Some(identity.expose())),
        ]);
        let request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.as_bytes().to_vec());
        let answer = request.send().await.map_err(|error| self.problem(error, who.user()))?;
        self.given(answer, &url, who).await
    }

    /// The token in a token server's answer.
    async fn given(&self, answer: Response, url: &Url, who: &Credentials) -> Result<String, Problem> {
        let (status, wait) = (answer.status(), wait(answer.headers(), SystemTime::now()));
        let body = self.read(answer, TOKEN_MAX, who).await?;
        let may_pass = status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if status.is_client_error() && !may_pass {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(Problem::of(OciDistributionError::AuthenticationFailure(said), who.user(), 0));
        }
        if status != StatusCode::OK {
            return Err(refusal(status, url, &body, who.user()).after(wait));
        }
        let token = serde_json::from_slice::<Token>(&body).ok().and_then(|answer| answer.token.or(answer.access_token));
        let token = token.filter(|token| !token.is_empty());
        Ok(format!("Bearer {}", token.ok_or_else(|| Problem::Listing("the token server's answer holds no token".to_owned()))?))
    }

    async fn send(&self, url: Url, authorization: Option<&str>, user: Option<&str>) -> Result<Response, Problem> {
        let request = authorized(self.client.get(url), authorization)?;
        request.send().await.map_err(|error| self.problem(error, user))
    }

    async fn send_wanted(&self, wanted: &Wanted<'_>, authorization: Option<&Secret<String>>, who: &Credentials) -> Result<Response, Problem> {
        let client = if wanted.follow { &self.following } else { &self.client };
        let mut request = authorized(client.request(wanted.method.clone(), wanted.url.clone()), authorization.map(|secret| secret.expose().as_str()))?;
        if let Some(types) = wanted.accept {
            request = request.header(ACCEPT, types);
        }
        if wanted.part() {
            let until = wanted.until.map_or_else(String::new, |until| until.to_string());
            request = request.header(RANGE, format!("bytes={}-{until}", wanted.from));
        }
        if let Some(content) = &wanted.content {
            request = request.header(CONTENT_TYPE, content.media_type).header(CONTENT_LENGTH, content.length).body((content.body)());
        }
        request.send().await.map_err(|error| self.problem(error, who.user()))
    }

    /// Reads a body of at most so many bytes.
    pub(super) async fn read(&self, mut answer: Response, max: u64, who: &Credentials) -> Result<Bytes, Problem> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.problem(error, who.user()))? {
            if (body.len() + chunk.len()) as u64 > max {
                return Err(Problem::TooLarge { size: (body.len() + chunk.len()) as u64, max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// Tells what went wrong with a request.
    pub(super) fn problem(&self, error: reqwest::Error, user: Option<&str>) -> Problem {
        Problem::of(error.into(), user, self.stall.as_secs())
    }

    /// A link of the registry's own; another host would get the credentials.
    pub(super) fn same_host(&self, from: &Url, text: &str) -> Result<Url, Problem> {
        let next = from.join(text).ok().filter(|url| url.origin() == self.base.origin());
        next.ok_or_else(|| Problem::Listing("what follows is said to be on another host, which is not given the credentials".to_owned()))
    }
}

impl Credentials {
    /// The `Authorization` header of somebody with a password.
    fn basic(&self) -> Option<String> {
        let (user, password) = self.account()?;
        let text = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text.as_bytes())))
    }
}

fn authorized(request: reqwest::RequestBuilder, authorization: Option<&str>) -> Result<reqwest::RequestBuilder, Problem> {
    let Some(authorization) = authorization else { return Ok(request) };
    let mut value = HeaderValue::from_str(authorization).map_err(|_| Problem::Listing("the token cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

fn client(host: Option<&str>, options: &HostOptions, policy: Policy, stall: Duration) -> Result<Client, Problem> {
    let agent = concat!("kubectl-offline/", env!("CARGO_PKG_VERSION"));
    let builder = Client::builder().user_agent(agent).redirect(policy).connect_timeout(CONNECT).read_timeout(stall);
    secure::prepared(builder, host, options)?.build().map_err(|error| Problem::of(error.into(), None, stall.as_secs()))
}

/// TLS is never left on the way.
fn client_that_follows(host: Option<&str>, options: &HostOptions, stall: Duration) -> Result<Client, Problem> {
    let follow = |attempt: Attempt<'_>| {
        let leaves_tls = attempt.url().scheme() != "https" && attempt.previous().iter().any(|url| url.scheme() == "https");
        if leaves_tls {
            return attempt.error("the registry sends on to an address without TLS");
        }
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("the registry sends on and on");
        }
        attempt.follow()
    };
    client(host, options, Policy::custom(follow), stall)
}

/// How long a server wants to be left alone: seconds, or a date (RFC 9110, 10.2.3).
fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(until.as_second()).ok()?))?;
    Some(until.duration_since(now).unwrap_or_default())
}

fn refusal(status: StatusCode, url: &Url, body: &Bytes, user: Option<&str>) -> Problem {
    let url = url.path().to_owned();
    let error = match serde_json::from_slice(body) {
        // Where the status leaves it open, the body tells (distribution-spec, "Error Codes").
        Ok(envelope) if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) => OciDistributionError::RegistryError { envelope, url },
        _ => OciDistributionError::ServerError { code: status.as_u16(), url, message: String::from_utf8_lossy(body).into_owned() },
    };
    match Problem::of(error, user, 0) {
        Problem::Server { status: 400, message, .. } if status == StatusCode::NOT_FOUND => Problem::NotFound(message),
        problem => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_in_two_ways_how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, wanted) in [
            ("3", Some(3)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            // A clock that is wrong, here or there.
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(wait(&headers, now), wanted.map(Duration::from_secs), "{text}");
        }
    }
}
