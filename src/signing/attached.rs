//! Signatures that are attached to images: cosign's simple signing (cosign, `specs/SIGNATURE_SPEC.md`), and Sigstore bundles with a statement about
//! the image's digest, which cosign 3 makes. Both are verified by a key; what a transparency log says cannot be asked without a network.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::PublicKey;
use crate::oci::Digest;

/// What a payload of simple signing says of itself.
const CLAIM: &str = "cosign container image signature";
/// What the statement in a bundle claims (cosign, pkg/types/predicate.go, `CosignSignPredicateType`).
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// in-toto's statements in an envelope (in-toto/attestation, spec/v1/envelope.md).
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Why an attached signature is not one of an image by a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachedError {
    /// Not of the shape that it should have.
    #[error("it cannot be read: {0}")]
    Shape(String),
    /// The key did not make it.
    #[error("another key made it, or it was changed")]
    Key,
    /// It is about something else.
    #[error("it is about {0}")]
    Other(String),
}

/// The part of a payload that counts (containers/image, docs/containers-signature.5.md).
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Claimed,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Claimed {
    docker_manifest_digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
}

/// DSSE (secure-systems-lab/dsse, envelope.md).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

/// in-toto/attestation, spec/v1/statement.md.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(default)]
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: std::collections::BTreeMap<String, String>,
}

/// Whether `signature`, in base64, is the key's over a payload that names the image.
pub fn simple_signing(key: &PublicKey, image: &Digest, payload: &[u8], signature: &str) -> Result<(), AttachedError> {
    let signature = STANDARD.decode(signature.trim()).map_err(|error| shape(&error))?;
    if !key.made_for_image(payload, &signature) {
        return Err(AttachedError::Key);
    }
    // Only now its content is anybody's word.
    let Payload { critical } = serde_json::from_slice(payload).map_err(|error| shape(&error))?;
    if critical.kind != CLAIM {
        return Err(AttachedError::Other(format!("something of the type `{}`", brief(&critical.kind))));
    }
    about(image, &critical.image.docker_manifest_digest)
}

/// Whether a bundle holds a statement by the key that it signs the image.
pub fn bundled(key: &PublicKey, image: &Digest, bundle: &[u8]) -> Result<(), AttachedError> {
    let Bundle { dsse_envelope } = serde_json::from_slice(bundle).map_err(|error| shape(&error))?;
    let envelope = dsse_envelope.ok_or_else(|| AttachedError::Shape("it has no DSSE envelope".to_owned()))?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|error| shape(&error))?;
    let signed = authenticated(&envelope.payload_type, &payload);
    let by_key = |signature: &Signature| STANDARD.decode(&signature.sig).is_ok_and(|signature| key.made_for_image(&signed, &signature));
    if !envelope.signatures.iter().take(16).any(by_key) {
        return Err(AttachedError::Key);
    }
    if envelope.payload_type != IN_TOTO {
        return Err(AttachedError::Other(format!("something of the type `{}`", brief(&envelope.payload_type))));
    }
    let statement: Statement = serde_json::from_slice(&payload).map_err(|error| shape(&error))?;
    if statement.predicate_type != PREDICATE {
        return Err(AttachedError::Other(format!("`{}`, and says nothing of who stands for the image", brief(&statement.predicate_type))));
    }
    let named = |subject: &Subject| subject.digest.get("sha256").is_some_and(|hex| hex == image.hex());
    if statement.subject.iter().any(named) {
        return Ok(());
    }
    Err(AttachedError::Other("another image".to_owned()))
}

/// DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md).
fn authenticated(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

fn about(image: &Digest, claimed: &str) -> Result<(), AttachedError> {
    if claimed == image.as_str() { Ok(()) } else { Err(AttachedError::Other(format!("the image {}", brief(claimed)))) }
}

fn shape(error: &dyn std::error::Error) -> AttachedError {
    AttachedError::Shape(brief(&error.to_string()))
}

fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by cosign 3.1.3 (`cosign sign --key`, with `--new-bundle-format=false` and without) over an image of one file.
    const KEY: &str = include_str!("../../tests/fixtures/attached/cosign.pub");
    const PAYLOAD: &str = include_str!("../../tests/fixtures/attached/payload.json");
    const SIGNATURE: &str = include_str!("../../tests/fixtures/attached/signature.txt");
    const BUNDLE: &str = include_str!("../../tests/fixtures/attached/bundle.json");
    const ATTESTATION: &str = include_str!("../../tests/fixtures/attached/attestation.json");
    const IMAGE: &str = "sha256:713e2eb56c6bce2ea0527cad5204aecb415b16275ad7c3088029788e05797d9b";

    #[test]
    fn cosigns_signatures_count_for_their_image_and_their_key_only() {
        let (key, image) = (PublicKey::from_pem(KEY).unwrap(), IMAGE.parse().unwrap());
        let (other_key, other_image) = (crate::signing::PrivateKey::generate().unwrap().public().clone(), Digest::of(b"other"));
        assert_eq!(simple_signing(&key, &image, PAYLOAD.as_bytes(), SIGNATURE), Ok(()));
        assert_eq!(simple_signing(&other_key, &image, PAYLOAD.as_bytes(), SIGNATURE), Err(AttachedError::Key));
        assert_eq!(simple_signing(&key, &other_image, PAYLOAD.as_bytes(), SIGNATURE), Err(AttachedError::Other(format!("the image {IMAGE}"))));
        let changed = PAYLOAD.replace("t/one", "t/two");
        assert_eq!(simple_signing(&key, &image, changed.as_bytes(), SIGNATURE), Err(AttachedError::Key));
        assert!(matches!(simple_signing(&key, &image, PAYLOAD.as_bytes(), "!"), Err(AttachedError::Shape(_))));

        assert_eq!(bundled(&key, &image, BUNDLE.as_bytes()), Ok(()));
        assert_eq!(bundled(&other_key, &image, BUNDLE.as_bytes()), Err(AttachedError::Key));
        assert_eq!(bundled(&key, &other_image, BUNDLE.as_bytes()), Err(AttachedError::Other("another image".to_owned())));
        assert_eq!(bundled(&key, &image, BUNDLE.replace("in-toto+json", "in-toto+yaml").as_bytes()), Err(AttachedError::Key));
        assert!(matches!(bundled(&key, &image, b"{}"), Err(AttachedError::Shape(_))));
    }

    #[test]
    fn an_attestation_by_the_same_key_is_no_signature() {
        let (key, image) = (PublicKey::from_pem(KEY).unwrap(), IMAGE.parse().unwrap());
        assert!(matches!(bundled(&key, &image, ATTESTATION.as_bytes()), Err(AttachedError::Other(what)) if what.contains("cosign.sigstore.dev")));
    }
}
