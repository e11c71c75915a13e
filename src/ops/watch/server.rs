//! The ears: a small HTTP server that takes events. Everything about it has a bound: connections, bytes, time.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    desk::Desk,
    event::{self, Sender},
};

/// The largest body that is read.
const BODY_MAX: usize = 1 << 20;
/// The largest head of a request.
const HEAD_MAX: usize = 16 << 10;
/// The longest that a head may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest that a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// Connections at a time; more wait in the system's own queue.
const CONNECTIONS: usize = 64;

/// Listens until the future is dropped.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this future, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (desk, tls) = (desk.clone(), tls.clone());
                connections.spawn(async move {
                    let _slot = slot;
                    // Who is slower than this is cut off.
                    let _ = tokio::time::timeout(REQUEST_TIME, async {
                        match tls {
                            None => connection(stream, desk).await,
                            // Who speaks no TLS, or trusts no such certificate, is not heard.
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    connection(stream, desk).await;
                                }
                            }
                        }
                    })
                    .await;
                });
            }
            // Out of file descriptors, for one: others may give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(request, &desk).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX).keep_alive(false);
    // What is wrong with a connection is its sender's matter.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, desk: &Desk) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_matches('/').to_owned();
    if path == "healthz" && request.method() == Method::GET {
        return say(StatusCode::OK, "ok");
    }
    let (word, rest) = path.split_once('/').map_or((path.as_str(), None), |(word, rest)| (word, Some(rest)));
    let Some(sender) = Sender::of_path(word).filter(|sender| rest.is_none() || *sender == Sender::DockerHub) else {
        return say(StatusCode::NOT_FOUND, "wanted /docker-registry, /docker-hub, /harbor or /generic");
    };
    if request.method() != Method::POST {
        return say(StatusCode::METHOD_NOT_ALLOWED, "wanted POST");
    }
    // Before a single byte of the body is looked at.
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    if !desk.knows(authorization.as_deref(), rest) {
        return say(StatusCode::UNAUTHORIZED, "the shared secret is missing or wrong");
    }
    let body = match Limited::new(request.into_body(), BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return say(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Err(_) => return say(StatusCode::BAD_REQUEST, "the body cannot be read"),
    };
    let pushes = match event::read(sender, &body) {
        Ok(pushes) => pushes,
        Err(error) => return say(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match desk.take(pushes) {
        Ok(taken) => {
            let status = if taken.concerning > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
            let text = serde_json::json!({"concerning": taken.concerning, "ignored": taken.ignored, "replayed": taken.replayed});
            let mut response = Response::new(Full::new(Bytes::from(text.to_string())));
            *response.status_mut() = status;
            response
        }
        // Senders send again what was not taken.
        Err(_) => say(StatusCode::SERVICE_UNAVAILABLE, "the event cannot be kept"),
    }
}

fn say(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response
}
