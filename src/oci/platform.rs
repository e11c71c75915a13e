//! Platforms: operating system, architecture and variant.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A platform as in `linux/arm64` or `linux/arm/v7`, in Go's names (image-spec, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Platform {
    /// `GOARCH`: amd64, arm64, arm …
    pub architecture: String,
    /// `GOOS`: linux …
    pub os: String,
    /// CPU variant: v7, v8 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system (Windows).
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

/// Why a string is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: wanted `os/architecture` or `os/architecture/variant`, for example linux/arm64")]
pub struct PlatformError(pub String);

impl Platform {
    /// The platform that most clusters run.
    pub fn linux_amd64() -> Self {
        Self { architecture: "amd64".into(), os: "linux".into(), variant: None, os_version: None }
    }

    /// Whether content for `self` runs on a machine that asks for `wanted`.
    ///
    /// As containerd normalises (platforms/database.go): arm64 means arm64/v8, arm means arm/v7, and no wanted variant accepts any.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os && self.architecture == wanted.architecture && (wanted.variant.is_none() || self.effective_variant() == wanted.effective_variant())
    }

    fn effective_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None) => Some("v8"),
            ("arm", None) => Some("v7"),
            (_, variant) => variant,
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(word) {
            return Err(PlatformError(text.to_owned()));
        }
        Ok(Self { os: parts[0].to_owned(), architecture: parts[1].to_owned(), variant: parts.get(2).map(|&v| v.to_owned()), os_version: None })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_matches_as_containerd_does() {
        let p = |s: &str| s.parse::<Platform>().unwrap();
        assert_eq!(p("linux/arm/v7").to_string(), "linux/arm/v7");
        assert!(p("linux/arm64/v8").serves(&p("linux/arm64")));
        assert!(p("linux/arm64").serves(&p("linux/arm64/v8")));
        assert!(!p("linux/arm/v6").serves(&p("linux/arm/v7")));
        for bad in ["linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", ""] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
