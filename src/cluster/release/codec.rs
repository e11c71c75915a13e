//! How a release becomes a string: JSON, gzip, base64 (helm, pkg/storage/driver/util.go).

use std::io::{Read, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::Release;

/// The most that a stored release may take once inflated, in bytes. A Secret holds one MiB; text shrinks tenfold, seldom more.
const INFLATED_MAX: u64 = 64 << 20;
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Why stored bytes are no release.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not base64.
    #[error("it is no base64: {0}")]
    Base64(#[source] base64::DecodeError),
    /// Broken compression.
    #[error("it cannot be inflated: {0}")]
    Gzip(#[source] std::io::Error),
    /// Too large.
    #[error("it is larger than {INFLATED_MAX} bytes")]
    TooLarge,
    /// Not the JSON of a release.
    #[error("it is no release: {0}")]
    Json(#[source] serde_json::Error),
}

/// The string that goes into a Secret's `data.release` (where Kubernetes puts its own base64 around it).
pub fn encode(release: &Release) -> Result<String, CodecError> {
    let json = serde_json::to_vec(release).map_err(CodecError::Json)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&json).map_err(CodecError::Gzip)?;
    Ok(STANDARD.encode(encoder.finish().map_err(CodecError::Gzip)?))
}

/// Reads it back. Very old releases are not compressed.
pub fn decode(text: &[u8]) -> Result<Release, CodecError> {
    let bytes = STANDARD.decode(text.trim_ascii()).map_err(CodecError::Base64)?;
    let json = if bytes.starts_with(&GZIP_MAGIC) {
        let mut inflated = Vec::new();
        GzDecoder::new(bytes.as_slice()).take(INFLATED_MAX + 1).read_to_end(&mut inflated).map_err(CodecError::Gzip)?;
        if inflated.len() as u64 > INFLATED_MAX {
            return Err(CodecError::TooLarge);
        }
        inflated
    } else {
        bytes
    };
    serde_json::from_slice(&json).map_err(CodecError::Json)
}

#[cfg(test)]
mod tests {
    use super::{super::Status, *};

    /// Recorded from helm 3.22 and helm 4.3: `data.release` of a chart with a hook, once decoded by Kubernetes.
    const HELM3: &[u8] = include_bytes!("../../../tests/fixtures/releases/helm3.txt");
    const HELM4: &[u8] = include_bytes!("../../../tests/fixtures/releases/helm4.txt");

    fn json(text: &[u8]) -> serde_json::Value {
        let mut inflated = Vec::new();
        GzDecoder::new(STANDARD.decode(text.trim_ascii()).unwrap().as_slice()).read_to_end(&mut inflated).unwrap();
        serde_json::from_slice(&inflated).unwrap()
    }

    #[test]
    fn what_helm_wrote_survives() {
        for recorded in [HELM3, HELM4] {
            let release = decode(recorded).unwrap();
            assert_eq!((release.name.as_str(), release.version, release.info.status), ("probe", 1, Status::Deployed));
            assert_eq!(release.hooks.len(), 1);
            assert!(release.manifest.starts_with("---\n# Source: probe/templates/"));
            let mut again = json(encode(&release).unwrap().as_bytes());
            let mut original = json(recorded);
            // Empty times are written as Helm 3 does; Helm 4 leaves them out, and reads both.
            for value in [&mut again, &mut original] {
                value["info"].as_object_mut().unwrap().remove("deleted");
                let run = value["hooks"][0]["last_run"].as_object_mut().unwrap();
                run.retain(|_, v| v != "");
            }
            assert_eq!(again, original);
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert!(matches!(decode(b"%"), Err(CodecError::Base64(_))));
        assert!(matches!(decode(STANDARD.encode("nope").as_bytes()), Err(CodecError::Json(_))));
        assert!(matches!(decode(STANDARD.encode([0x1f, 0x8b, 8, 0]).as_bytes()), Err(CodecError::Gzip(_))));
        assert!(decode(STANDARD.encode(r#"{"name":"old"}"#).as_bytes()).is_ok());
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b' '; usize::try_from(INFLATED_MAX).unwrap() + 2]).unwrap();
        assert!(matches!(decode(STANDARD.encode(bomb.finish().unwrap()).as_bytes()), Err(CodecError::TooLarge)));
    }
}
