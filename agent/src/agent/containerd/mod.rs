//! The few calls of containerd that an import needs, all of its low-level gRPC services, the same from 1.4 to 2.x.
//!
//! Not its Transfer service: imports through it raise no event in 1.7, so that CRI does not see the image (containerd#9725).

mod body;
pub(crate) mod content;
mod images;
mod messages;
mod snapshots;

use std::path::PathBuf;

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::UnixStream, sync::mpsc};
use tonic::{
    Code, Request, Status, Streaming,
    body::Body,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;

use crate::error::{Error, Result};
pub(crate) use messages::Descriptor;

/// The namespace whose images CRI knows.
const NAMESPACE: &str = "k8s.io";

/// A connection to containerd. Cheap to clone; all clones share the connection.
#[derive(Clone)]
pub(crate) struct Containerd {
    channel: Channel,
    lease: Option<String>,
}

impl Containerd {
    /// Connects to a socket.
    pub(crate) async fn connect(socket: &str) -> Result<Self> {
        let path = PathBuf::from(socket);
        // The address is not used: the connector knows where to go. The windows are for reading blobs in pieces of 1 MiB.
        let endpoint = Endpoint::from_static("http://containerd").initial_stream_window_size(2 << 20).initial_connection_window_size(8 << 20);
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|e| Error::unusable(format!("cannot connect to containerd at {socket}: {}", deepest(&e))))?;
        Ok(Self { channel, lease: None })
    }

    /// The same, with everything that is made held by a lease.
    pub(crate) fn under(&self, lease: &str) -> Self {
        Self { channel: self.channel.clone(), lease: Some(lease.to_owned()) }
    }

    fn request<M>(&self, message: M) -> std::result::Result<Request<M>, Status> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("containerd-namespace", tonic::metadata::MetadataValue::from_static(NAMESPACE));
        if let Some(lease) = &self.lease {
            let value = lease.parse().map_err(|_| Status::invalid_argument(format!("`{lease}` cannot be a lease")))?;
            metadata.insert("containerd-lease", value);
        }
        Ok(request)
    }

    async fn grpc(&self) -> std::result::Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|e| Status::unavailable(format!("the connection is gone: {e}")))?;
        Ok(grpc)
    }

    /// One question, one answer. Messages are encoded as [`messages`] says.
    async fn unary<Q, A>(&self, path: &'static str, question: Q) -> std::result::Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc().await?;
        let answer = grpc.unary(self.request(question)?, PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    /// A call whose messages come encoded, in pieces that are sent as they are.
    async fn encoded<A>(&self, path: &'static str, pieces: mpsc::Receiver<Bytes>) -> std::result::Result<Streaming<A>, Status>
    where
        A: Message + Default + Send + Sync + 'static,
    {
        let channel = self.channel.clone();
        let mut body = Some(Body::new(body::Encoded(pieces)));
        // Everything but the body is as tonic makes it.
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let body = body.take().unwrap_or_default();
            channel.clone().oneshot(request.map(|_| body))
        });
        let codec = ProstCodec::<(), A>::default();
        let answers = Grpc::new(service).streaming(self.request(tokio_stream::empty())?, PathAndQuery::from_static(path), codec).await?;
        Ok(answers.into_inner())
    }

    /// containerd's own version.
    pub(crate) async fn version(&self) -> Result<String> {
        let answer: messages::VersionResponse =
            self.unary("/containerd.services.version.v1.Version/Version", ()).await.map_err(|e| Error::runtime("asking for the version", &e))?;
        Ok(answer.version)
    }

    /// Makes a lease, or finds it made.
    pub(crate) async fn create_lease(&self, id: &str, expires: &str) -> Result<()> {
        let labels = [("containerd.io/gc.expire".to_owned(), expires.to_owned())].into();
        let made = self.unary::<_, ()>("/containerd.services.leases.v1.Leases/Create", messages::CreateLease { id: id.to_owned(), labels }).await;
        unless_exists(made).map_err(|e| Error::runtime(format!("making the lease {id}"), &e)).map(|_| ())
    }

    /// Puts a blob that is there under a lease.
    pub(crate) async fn hold(&self, lease: &str, digest: &str) -> Result<()> {
        let resource = Some(messages::Resource { id: digest.to_owned(), kind: "content".to_owned() });
        let held = self.unary::<_, ()>("/containerd.services.leases.v1.Leases/AddResource", messages::AddResource { id: lease.to_owned(), resource }).await;
        unless_exists(held).map_err(|e| Error::runtime(format!("holding {digest} by the lease {lease}"), &e)).map(|_| ())
    }

    /// Deletes a lease; none is fine. With `collect` containerd collects garbage before it answers.
    pub(crate) async fn delete_lease(&self, id: &str, collect: bool) -> Result<()> {
        match self.unary::<_, ()>("/containerd.services.leases.v1.Leases/Delete", messages::DeleteLease { id: id.to_owned(), sync: collect }).await {
            Err(e) if e.code() != Code::NotFound => Err(Error::runtime(format!("deleting the lease {id}"), &e)),
            _ => Ok(()),
        }
    }
}

/// `AlreadyExists` is as good as success, and `None`.
fn unless_exists<T>(result: std::result::Result<T, Status>) -> std::result::Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.code() == Code::AlreadyExists => Ok(None),
        Err(e) => Err(e),
    }
}

/// The innermost cause: tonic's own text is only `transport error`.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}
