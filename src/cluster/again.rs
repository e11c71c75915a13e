//! Asking once more where a connection ended before the answer.
//!
//! An API server closes a connection that was idle for 90 seconds; a request that is under way at that moment gets no answer. Go's client, and so kubectl,
//! asks again by itself where asking changes nothing (net/http, `Transport.RoundTrip` and `Request.isReplayable`); hyper leaves it to us.

use std::{error::Error, time::Duration};

use http::{Method, Request, Response, header::UPGRADE};
use kube::client::Body;
use tokio::time::{Sleep, sleep};
use tower::{BoxError, retry::Policy};

/// How often one request is asked again.
const AGAIN: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks again what only reads.
#[derive(Debug, Clone)]
pub(super) struct Again {
    left: u32,
}

impl Again {
    pub(super) fn new() -> Self {
        Self { left: AGAIN }
    }
}

impl<T> Policy<Request<Body>, Response<T>, BoxError> for Again {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Response<T>, BoxError>) -> Option<Sleep> {
        let broke = result.as_ref().err().is_some_and(|error| ended_early(&**error));
        self.left = self.left.checked_sub(u32::from(broke))?;
        broke.then(|| sleep(PAUSE))
    }

    /// None for what is not to be asked again: whatever writes, and commands in pods.
    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        if request.method() != Method::GET || request.headers().contains_key(UPGRADE) {
            return None;
        }
        let mut copy = Request::new(request.body().try_clone()?);
        (*copy.method_mut(), *copy.uri_mut(), *copy.version_mut()) = (request.method().clone(), request.uri().clone(), request.version());
        (*copy.headers_mut(), *copy.extensions_mut()) = (request.headers().clone(), request.extensions().clone());
        Some(copy)
    }
}

/// Whether the server, or something between, has ended the connection without an answer. One that cannot be made is another matter.
fn ended_early(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (**error).source());
    causes.any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_incomplete_message() || error.is_canceled()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Api, api::PostParams};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::super::connect::client_of;

    /// A server that ends every other connection after the request; and how many requests it has had.
    async fn server() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 == 1 {
                    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_the_answer_is_made_again_for_what_only_reads() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, asked) = server().await;
        let mut config = kube::Config::new(address.parse().unwrap());
        config.default_retry = false;
        let api: Api<ConfigMap> = Api::namespaced(client_of(config).unwrap(), "shop");
        api.get("a").await.unwrap();
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
        // A write may have been done although nobody said so.
        api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
    }
}
