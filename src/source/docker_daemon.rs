//! Images of a running docker, asked through its socket for what `docker save` writes (moby, api/swagger.yaml, `ImageGetAll`).

use std::{fs::File, path::PathBuf};

use super::SourceError;
use crate::oci::Reference;

/// Where docker listens, where nothing says otherwise (docker/cli, opts/hosts.go).
const SOCKET: &str = "/var/run/docker.sock";

/// Why a running docker does not give an image.
#[derive(Debug, thiserror::Error)]
pub enum DaemonProblem {
    /// Not a socket of this machine.
    #[error("DOCKER_HOST is `{0}`; wanted unix://PATH: only a docker of this machine is asked")]
    Host(String),
    /// Nobody can be talked to there.
    #[error("cannot connect to docker at `{}`: {reason}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It does not have the image.
    #[error("docker does not have it; `docker pull {0}` gets it")]
    NotFound(Reference),
    /// It answered with something else.
    #[error("docker answered with status {status}{}", if .message.is_empty() { String::new() } else { format!(" ({message})") })]
    Answer {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The transfer broke.
    #[error("the transfer broke: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing came for {0} seconds")]
    Stalled(u64),
    /// More than an image may have.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
}

/// The path of docker's socket, as `DOCKER_HOST` says.
fn socket(host: Option<&str>) -> Result<PathBuf, DaemonProblem> {
    match host {
        None => Ok(SOCKET.into()),
        Some(host) => host.strip_prefix("unix://").filter(|path| path.starts_with('/')).map(PathBuf::from).ok_or_else(|| DaemonProblem::Host(host.to_owned())),
    }
}

/// What `docker save` of the image writes, in a nameless file in `scratch`. It blocks, and may be called from any thread.
pub(super) fn save(host: Option<&str>, image: &Reference, scratch: &std::path::Path, max: u64) -> Result<File, SourceError> {
    let failed = |problem| SourceError::Daemon { image: image.to_string(), problem: Box::new(problem) };
    let socket = socket(host).map_err(failed)?;
    let file = tempfile::tempfile_in(scratch).map_err(|source| crate::io::FileError::new("write into", scratch, source))?;
    // A thread of its own: who calls may be one that must not wait for another runtime.
    let saved = std::thread::scope(|scope| scope.spawn(|| exchange::save(&socket, image, file, max)).join().expect("asking docker does not panic"));
    saved.map_err(failed)
}

#[cfg(unix)]
mod exchange {
    //! The conversation: HTTP/1.1 over a Unix socket.

    use std::{
        fs::File,
        io::{Seek as _, Write as _},
        path::Path,
        time::Duration,
    };

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty, Limited};
    use hyper::{Request, Response, body::Incoming, client::conn::http1};
    use hyper_util::rt::TokioIo;
    use tokio::{net::UnixStream, time::timeout};

    use super::{DaemonProblem, Reference};

    /// Docker packs an image before its first byte comes.
    const STALL: Duration = Duration::from_mins(5);
    /// The largest message that is read.
    const MESSAGE_MAX: usize = 64 << 10;

    pub(super) fn save(socket: &Path, image: &Reference, mut file: File, max: u64) -> Result<File, DaemonProblem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| DaemonProblem::Connect { socket: socket.into(), reason: error.to_string() })?;
        runtime.block_on(async {
            // Asked for by name alone, docker answers with an empty archive where it does not have the image.
            drop(get(socket, image, &format!("/images/{}/json", named(image))).await?);
            let answer = get(socket, image, &format!("/images/{}/get", named(image))).await?;
            receive(answer, &mut file, max).await
        })?;
        file.rewind().map_err(|error| DaemonProblem::Broken(error.to_string()))?;
        Ok(file)
    }

    /// Names hold nothing that a path would have to escape.
    fn named(image: &Reference) -> String {
        format!("{}:{}", image.name(), image.tag().unwrap_or("latest"))
    }

    async fn get(socket: &Path, image: &Reference, path: &str) -> Result<Response<Incoming>, DaemonProblem> {
        let connect = |error: &dyn std::fmt::Display| DaemonProblem::Connect { socket: socket.into(), reason: error.to_string() };
        let stream = UnixStream::connect(socket).await.map_err(|error| connect(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| connect(&error))?;
        tokio::spawn(connection);
        let request = Request::get(path).header("Host", "docker").body(Empty::<Bytes>::new()).expect("names are made of letters that paths may have");
        let answer = timeout(STALL, sender.send_request(request)).await.map_err(|_| stalled())?.map_err(|error| connect(&error))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            404 => Err(DaemonProblem::NotFound(image.clone())),
            status => {
                let body = timeout(STALL, Limited::new(answer.into_body(), MESSAGE_MAX).collect()).await.map_err(|_| stalled())?;
                let said = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let message = String::from_utf8_lossy(&said).chars().filter(|c| !c.is_control()).take(200).collect();
                Err(DaemonProblem::Answer { status, message })
            }
        }
    }

    async fn receive(answer: Response<Incoming>, file: &mut File, max: u64) -> Result<(), DaemonProblem> {
        let (mut body, mut size) = (answer.into_body(), 0);
        while let Some(frame) = timeout(STALL, body.frame()).await.map_err(|_| stalled())? {
            let Ok(data) = frame.map_err(|error| DaemonProblem::Broken(error.to_string()))?.into_data() else { continue };
            size += data.len() as u64;
            if size > max {
                return Err(DaemonProblem::TooLarge(max));
            }
            file.write_all(&data).map_err(|error| DaemonProblem::Broken(error.to_string()))?;
        }
        Ok(())
    }

    fn stalled() -> DaemonProblem {
        DaemonProblem::Stalled(STALL.as_secs())
    }
}

#[cfg(not(unix))]
mod exchange {
    //! There are no Unix sockets here.

    use std::{fs::File, path::Path};

    use super::{DaemonProblem, Reference};

    pub(super) fn save(socket: &Path, _: &Reference, _: File, _: u64) -> Result<File, DaemonProblem> {
        Err(DaemonProblem::Connect { socket: socket.into(), reason: "this system has no Unix sockets".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_of_this_machine() {
        assert_eq!(socket(None).unwrap(), PathBuf::from(SOCKET));
        assert_eq!(socket(Some("unix:///run/user/1/docker.sock")).unwrap(), PathBuf::from("/run/user/1/docker.sock"));
        for host in ["tcp://10.0.0.1:2375", "ssh://me@host", "unix://relative", "npipe:////./pipe/docker"] {
            assert!(matches!(socket(Some(host)), Err(DaemonProblem::Host(_))), "{host}");
        }
    }

    #[test]
    fn a_docker_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("unix://{}/none.sock", folder.path().display());
        let error = save(Some(&host), &"busybox:1".parse().unwrap(), folder.path(), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("docker.io/library/busybox:1") && error.contains("none.sock"), "{error}");
    }
}
