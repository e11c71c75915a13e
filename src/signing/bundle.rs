//! Sigstore bundles, version 0.3, with one message signature by a key (sigstore/protobuf-specs, `sigstore_bundle.proto`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};

use super::{BundleError, PublicKey};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SHA256: &str = "SHA2_256";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle {
    media_type: String,
    verification_material: Option<Material>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<MessageSignature>,
    #[serde(default, skip_serializing)]
    dsse_envelope: Option<IgnoredAny>,
}

/// Log entries and time stamps may stand here as well; they prove nothing without a network, so they are passed over.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint>,
    #[serde(default, skip_serializing)]
    certificate: Option<IgnoredAny>,
    #[serde(default, skip_serializing)]
    x509_certificate_chain: Option<IgnoredAny>,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "known so that it is not refused as unknown")]
    tlog_entries: Option<IgnoredAny>,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "known so that it is not refused as unknown")]
    timestamp_verification_data: Option<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    #[serde(default)]
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageSignature {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_digest: Option<MessageDigest>,
    signature: String,
}

/// cosign writes `{}` here when the key is Ed25519, which signs the content and not its digest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageDigest {
    algorithm: Option<String>,
    digest: Option<String>,
}

/// The bundle for a signature.
pub(crate) fn write(key: &PublicKey, payload: &[u8], signature: &[u8]) -> String {
    let digest = STANDARD.encode(Sha256::digest(payload));
    let bundle = Bundle {
        media_type: MEDIA_TYPE.into(),
        verification_material: Some(Material {
            public_key: Some(Hint { hint: key.hint() }),
            certificate: None,
            x509_certificate_chain: None,
            tlog_entries: None,
            timestamp_verification_data: None,
        }),
        message_signature: Some(MessageSignature {
            message_digest: Some(MessageDigest { algorithm: Some(SHA256.into()), digest: Some(digest) }),
            signature: STANDARD.encode(signature),
        }),
        dsse_envelope: None,
    };
    serde_json::to_string(&bundle).expect("strings serialise")
}

/// The key that a bundle names, unproven; none if it names none or is no bundle.
pub fn hint(bundle: &str) -> Option<String> {
    Signed::parse(bundle).ok()?.hint
}

/// What a bundle states.
pub(crate) struct Signed {
    pub(crate) hint: Option<String>,
    digest: Option<Vec<u8>>,
    signature: Vec<u8>,
}

impl Signed {
    pub(crate) fn parse(text: &str) -> Result<Self, BundleError> {
        let bundle: Bundle = serde_json::from_str(text)?;
        if bundle.media_type != MEDIA_TYPE {
            return Err(BundleError::MediaType { found: bundle.media_type, wanted: MEDIA_TYPE });
        }
        let material = bundle.verification_material.ok_or(BundleError::Lacks("verification material"))?;
        if material.certificate.is_some() || material.x509_certificate_chain.is_some() {
            return Err(BundleError::Certificate);
        }
        if bundle.dsse_envelope.is_some() {
            return Err(BundleError::Attestation);
        }
        let key = material.public_key.ok_or(BundleError::Lacks("public key"))?;
        let message = bundle.message_signature.ok_or(BundleError::Lacks("message signature"))?;
        let signature = STANDARD.decode(&message.signature).map_err(|_| BundleError::Base64("signature"))?;
        let digest = match message.message_digest {
            Some(MessageDigest { algorithm: Some(algorithm), digest: Some(digest) }) if algorithm == SHA256 => {
                Some(STANDARD.decode(digest).map_err(|_| BundleError::Base64("digest"))?)
            }
            Some(MessageDigest { algorithm: None, digest: None }) | None => None,
            Some(_) => return Err(BundleError::Lacks("SHA2_256 digest")),
        };
        Ok(Self { hint: Some(key.hint).filter(|hint| !hint.is_empty()), digest, signature })
    }

    /// The digest, where the bundle states one, must be the content's.
    pub(crate) fn check_digest(&self, payload: &[u8]) -> Result<(), BundleError> {
        let found = Sha256::digest(payload);
        match &self.digest {
            Some(signed) if signed.as_slice() != found.as_slice() => Err(BundleError::OtherContent { signed: hex(signed), found: hex(&found) }),
            _ => Ok(()),
        }
    }

    /// Whether this key made it. An ECDSA bundle has to state its digest.
    pub(crate) fn is_by(&self, key: &PublicKey, payload: &[u8]) -> bool {
        (self.digest.is_some() || key.is_ed25519()) && key.made(payload, &self.signature)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{Signer as _, Verifier as _},
        signing::{PrivateKey, TrustedKeys},
    };

    #[test]
    fn only_one_message_signature_by_a_trusted_key_counts() {
        let key = PrivateKey::generate().unwrap();
        let trusted = TrustedKeys::new(vec![PrivateKey::generate().unwrap().public().clone(), key.public().clone()]);
        let good = key.sign(b"content").unwrap();
        assert_eq!(hint(&good), Some(key.public().hint()));
        trusted.verify(b"content", &good).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replacen(from, to, 1)
        };
        let digest = STANDARD.encode(Sha256::digest(b"content"));
        let other = STANDARD.encode(Sha256::digest(b"other"));
        for (bundle, says) in [
            (String::new(), "no Sigstore bundle"),
            (format!("{good}x"), "no Sigstore bundle"),
            (changed("v0.3", "v0.2"), "media type"),
            (changed(r#""publicKey":{"#, r#""certificate":{},"publicKey":{"#), "keyless"),
            (changed(r#""messageSignature":"#, r#""dsseEnvelope":{},"messageSignature":"#), "attestation"),
            (changed(r#""messageSignature":"#, r#""messageSignature":null,"messageSignature":"#), "duplicate field"),
            (changed(&digest, &other), "other content"),
            (changed(r#""signature":"M"#, r#""signature":"!"#), "base64"),
            (changed(r#""signature":"M"#, r#""signature":"N"#), "does not fit"),
            (changed(r#""algorithm":"SHA2_256""#, r#""algorithm":"SHA2_512""#), "SHA2_256"),
            (PrivateKey::generate().unwrap().sign(b"content").unwrap(), "trusted key"),
        ] {
            let error = trusted.verify(b"content", &bundle).unwrap_err().to_string();
            assert!(error.contains(says), "{bundle}: {error}");
        }
        // Without its digest, a bundle by an ECDSA key is not what cosign or we make.
        let bare = serde_json::json!({"mediaType": MEDIA_TYPE, "verificationMaterial": {"publicKey": {}},
            "messageSignature": {"messageDigest": {}, "signature": STANDARD.encode(&Signed::parse(&good).unwrap().signature)}});
        assert!(trusted.verify(b"content", &bare.to_string()).is_err());
    }
}
