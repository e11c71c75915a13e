//! Why something cannot be extracted.

use std::path::PathBuf;

use crate::{
    failure::{Failure, Kind},
    goyaml::YamlError,
    io::FileError,
    oci::{Digest, Platform, Reference},
};

/// Images that are listed by name.
const LISTED: usize = 10;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExtractError {
    #[error("there is no app `{app}` in the archive; it holds: {}", known.join(", "))]
    NoApp { app: String, known: Vec<String> },
    #[error("there is no image {image} in the archive")]
    NoImage { image: Box<Reference>, known: Vec<Reference> },
    #[error("{image} is not in the archive for {platform}; it holds: {}", known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NoPlatform { image: Box<Reference>, platform: Box<Platform>, known: Vec<Platform> },
    #[error("a stream cannot be extracted: what is to be written is known when it has passed")]
    Stream,
    #[error("the archive holds nothing of what was asked for")]
    Nothing,
    #[error("`{name}` names {what}, and cannot be the name of a file: {reason}")]
    Name { name: String, what: &'static str, reason: &'static str },
    #[error("two pieces of the archive would both be written to `{path}`")]
    Twice { path: String },
    #[error("`{}` is there already, and nothing is overwritten", path.display())]
    InTheWay { path: PathBuf },
    #[error("`{}` is no folder", path.display())]
    NoFolder { path: PathBuf },
    #[error("`{}` needs {wanted} bytes, and only {free} are free there", path.display())]
    NoSpace { path: PathBuf, wanted: u64, free: u64 },
    #[error("blob {digest} was verified, and has other bytes now ({found}): the archive has changed meanwhile")]
    Changed { digest: Digest, found: Digest },
    #[error("the values of app `{app}` cannot be written as YAML")]
    Values { app: String, source: YamlError },
    #[error("app `{app}`: {reason}")]
    Manifests { app: String, reason: String },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        let kind = match &error {
            ExtractError::Name { .. } | ExtractError::Twice { .. } | ExtractError::Changed { .. } | ExtractError::Manifests { .. } => Kind::Untrusted,
            ExtractError::NoSpace { .. } | ExtractError::Values { .. } | ExtractError::Interrupted | ExtractError::File(_) => Kind::Other,
            _ => Kind::Usage,
        };
        let hint = match &error {
            ExtractError::NoImage { known, .. } => {
                let shown: Vec<String> = known.iter().take(LISTED).map(ToString::to_string).collect();
                let more = if known.len() > LISTED { ", …" } else { "" };
                Some(format!("`inspect` lists the images: {}{more}", shown.join(", ")))
            }
            ExtractError::Stream => Some("write it to a file, and extract from that".to_owned()),
            ExtractError::InTheWay { .. } => Some("remove it, or give another folder with -o".to_owned()),
            ExtractError::NoSpace { .. } => Some("free some space, or write to another disk with -o".to_owned()),
            _ => None,
        };
        let failure = Failure::new(kind, error);
        hint.into_iter().fold(failure, Failure::hint)
    }
}
