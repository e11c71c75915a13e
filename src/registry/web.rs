//! Questions to a registry that `oci-client` does not ask: lists with pages, the catalog, and whether a password is right.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use oci_client::errors::OciDistributionError;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, WWW_AUTHENTICATE},
    redirect::Policy,
};
use serde::Deserialize;

use super::{
    Problem,
    challenge::{Challenge, challenge, next_page},
    credentials::{Credentials, IDENTITY},
    endpoint::{HostOptions, is_loopback},
    host::STALL,
    secure,
};
use crate::{io::read_capped, redact::Secret};

/// The largest page that is read, in bytes.
const PAGE_MAX: u64 = 8 << 20;
/// The largest answer of a token server, in bytes.
const TOKEN_MAX: u64 = 1 << 20;
const CONNECT: Duration = Duration::from_secs(15);
const CA_MAX: u64 = 4 << 20;

/// A client for one host.
pub(super) struct Web {
    client: Client,
    base: Url,
    /// What the registry was content with before, by scope.
    answers: Mutex<HashMap<String, Secret<String>>>,
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
    /// A client that goes to one host only; `plain` says without TLS.
    pub(super) fn new(host: &str, options: &HostOptions, plain: bool) -> Result<Self, Problem> {
        // Docker Hub's registry has another name than its images (distribution/reference and moby, registry/config.go).
        let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let text = format!("{}://{host}/v2/", if plain { "http" } else { "https" });
        let base = Url::parse(&text).map_err(|_| Problem::Listing(format!("`{host}` is no host name")))?;
        let agent = concat!("kubectl-offline/", env!("CARGO_PKG_VERSION"));
        // Nothing here is ever moved elsewhere, and what asks carries credentials.
        let mut builder = Client::builder().user_agent(agent).redirect(Policy::none()).connect_timeout(CONNECT).read_timeout(STALL);
        if let Some(path) = &options.ca_file {
            let unusable = |reason: String| Problem::CaFile { path: path.display().to_string(), reason };
            let authorities = reqwest::Certificate::from_pem_bundle(&read_capped(path, CA_MAX)?).map_err(|error| unusable(error.to_string()))?;
            if authorities.is_empty() {
                return Err(unusable("it holds no PEM certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        builder = secure::prepared(builder, options)?;
        let client = builder.build().map_err(|error| Problem::of(error.into(), None, STALL.as_secs()))?;
        Ok(Self { client, base, answers: Mutex::default() })
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
        let key = scope.unwrap_or_default();
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let answer = self.send(url.clone(), known.as_ref().map(|known| known.expose().as_str()), who.user()).await?;
        let answer = if answer.status() == StatusCode::UNAUTHORIZED {
            let headers = answer.headers().get_all(WWW_AUTHENTICATE);
            let challenge = challenge(headers.iter().filter_map(|value| value.to_str().ok()));
            let authorization = match challenge {
                Some(Challenge::Basic) => who.basic(),
                Some(Challenge::Bearer { realm, service, scope: wanted }) => {
                    Some(self.token(&realm, service.as_deref(), scope.or(wanted.as_deref()), who).await?)
                }
                None => None,
            };
            match authorization {
                Some(authorization) => {
                    let answer = self.send(url.clone(), Some(&authorization), who.user()).await?;
                    self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), authorization.into());
                    answer
                }
                None => answer,
            }
        } else {
            answer
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer, PAGE_MAX, who.user()).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, &url, &body, who.user()));
        }
        Ok((headers, body))
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
            return self.exchanged(url, service, scope, identity).await;
        }
        for (key, value) in [("service", service), ("scope", scope), ("account", who.user())] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        let answer = self.send(url.clone(), who.basic().as_deref(), who.user()).await?;
        self.given(answer, &url, who.user()).await
    }

    /// A token for an identity token, which is a refresh token (distribution, docs/spec/auth/oauth.md).
    async fn exchanged(&self, url: Url, service: Option<&str>, scope: Option<&str>, identity: &Secret<String>) -> Result<String, Problem> {
        let form = secure::form(&[
            ("grant_type", Some("refresh_token")),
            ("service", service),
            ("client_id", Some("kubectl-offline")),
            ("scope", scope),
            ("refresh_token", Some(identity.expose())),
        ]);
        let request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.as_bytes().to_vec());
        let answer = request.send().await.map_err(|error| Problem::of(error.into(), Some(IDENTITY), STALL.as_secs()))?;
        self.given(answer, &url, Some(IDENTITY)).await
    }

    /// The token in a token server's answer.
    async fn given(&self, answer: Response, url: &Url, user: Option<&str>) -> Result<String, Problem> {
        let status = answer.status();
        let body = read(answer, TOKEN_MAX, user).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, url, &body, user));
        }
        let token = serde_json::from_slice::<Token>(&body).ok().and_then(|answer| answer.token.or(answer.access_token));
        let token = token.filter(|token| !token.is_empty());
        Ok(format!("Bearer {}", token.ok_or_else(|| Problem::Listing("the token server's answer holds no token".to_owned()))?))
    }

    async fn send(&self, url: Url, authorization: Option<&str>, user: Option<&str>) -> Result<Response, Problem> {
        let mut request = self.client.get(url);
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(authorization).map_err(|_| Problem::Listing("the token cannot be sent in a header".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|error| Problem::of(error.into(), user, STALL.as_secs()))
    }

    /// A link of the registry's own; another host would get the credentials.
    fn same_host(&self, from: &Url, text: &str) -> Result<Url, Problem> {
        let next = from.join(text).ok().filter(|url| url.origin() == self.base.origin());
        next.ok_or_else(|| Problem::Listing("its next page is said to be on another host".to_owned()))
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

fn refusal(status: StatusCode, url: &Url, body: &Bytes, user: Option<&str>) -> Problem {
    let message = String::from_utf8_lossy(body).into_owned();
    let error = OciDistributionError::ServerError { code: status.as_u16(), url: url.path().to_owned(), message };
    Problem::of(error, user, STALL.as_secs())
}

async fn read(mut answer: Response, max: u64, user: Option<&str>) -> Result<Bytes, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Problem::of(error.into(), user, STALL.as_secs()))? {
        if (body.len() + chunk.len()) as u64 > max {
            return Err(Problem::TooLarge { size: (body.len() + chunk.len()) as u64, max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}
