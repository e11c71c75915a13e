//! Why a key or a signature is refused.

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No PEM in it.
    #[error("it holds no PEM block")]
    NotPem,
    /// A PEM block of another kind.
    #[error("it holds a `{label}`; wanted {wanted}")]
    Label {
        /// What it is.
        label: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Neither of the two kinds of key.
    #[error("it is neither an ECDSA P-256 nor an Ed25519 key")]
    Algorithm,
    /// None of the kinds of key that images are signed with.
    #[error("it is no public key of ECDSA (P-256, P-384, P-521), Ed25519 or RSA")]
    ImageAlgorithm,
    /// An RSA key of a size that nobody should use.
    #[error("it is an RSA key of {0} bits; wanted 2048, 3072 or 4096")]
    RsaSize(usize),
    /// The encrypted key's JSON is not as cosign writes it.
    #[error("the encrypted key cannot be read: {0}")]
    Envelope(String),
    /// Parameters that nobody uses, which would cost memory without bounds.
    #[error("its key derivation has N={n}, r={r}, p={p}; accepted are N=16384 to 131072, r=8, p=1")]
    Cost {
        /// scrypt's N.
        n: u64,
        /// scrypt's r.
        r: u32,
        /// scrypt's p.
        p: u32,
    },
    /// No password for an encrypted key.
    #[error("the key is encrypted and no password was given")]
    NoPassword,
    /// The password does not open it.
    #[error("the password is wrong, or the key is damaged")]
    WrongPassword,
    /// The system has no random numbers, or memory.
    #[error("the key cannot be made: {0}")]
    System(String),
}

/// What is wrong with a signature.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not the JSON of a bundle.
    #[error("it is no Sigstore bundle: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("its media type is `{found}`; wanted `{wanted}`")]
    MediaType {
        /// What it says.
        found: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// A certificate instead of a key.
    #[error("it was made with a certificate (keyless); only signatures by keys can be checked without a network")]
    Certificate,
    /// An attestation instead of a signature.
    #[error("it is an attestation (DSSE envelope), not a signature over a file")]
    Attestation,
    /// Without a part that is needed.
    #[error("it has no {0}")]
    Lacks(&'static str),
    /// Something that is no base64.
    #[error("its {0} is not base64")]
    Base64(&'static str),
    /// Made for other bytes.
    #[error("it was made over other content (digest sha256:{signed}, here is {found})")]
    OtherContent {
        /// The digest in the bundle, hexadecimal.
        signed: String,
        /// The digest of the content.
        found: String,
    },
    /// Not by a trusted key.
    #[error("it was not made with a trusted key{}", .hint.as_ref().map(|hint| format!(" (it names key {hint}; trusted: {})", .trusted.join(", "))).unwrap_or_default())]
    NotTrusted {
        /// The key that the bundle names, unproven.
        hint: Option<String>,
        /// The keys that were tried.
        trusted: Vec<String>,
    },
    /// The key that it names did not make it.
    #[error("the signature does not fit the content")]
    Wrong,
}
