//! A folder's worth of files in memory, whether it came from a directory or from a .tgz: what charts are loaded from.

use std::{collections::BTreeMap, fmt, str::FromStr};

use bytes::Bytes;

/// A relative path with `/` between its parts and nothing in it that could lead elsewhere:
/// no empty part, no `.` or `..`, no root, no NUL, no backslash, no drive letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(String);

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a plain relative path")]
pub struct UnsafePath(pub String);

impl SafePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SafePath {
    type Err = UnsafePath;

    fn from_str(text: &str) -> Result<Self, UnsafePath> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let drive = text.as_bytes().get(1) == Some(&b':');
        if !drive && !text.contains(['\0', '\\']) && text.split('/').all(plain) { Ok(Self(text.to_owned())) } else { Err(UnsafePath(text.to_owned())) }
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Files by path, in the order of their paths' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree(BTreeMap<SafePath, Bytes>);

impl FileTree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file in, in the place of one with the same path.
    pub fn insert(&mut self, path: SafePath, content: Bytes) {
        self.0.insert(path, content);
    }

    /// Takes a file out, where there is one.
    pub fn remove(&mut self, path: &str) {
        if let Ok(path) = path.parse::<SafePath>() {
            self.0.remove(&path);
        }
    }

    /// The file at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Bytes> {
        path.parse().ok().and_then(|path: SafePath| self.0.get(&path))
    }

    /// All files, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&SafePath, &Bytes)> {
        self.0.iter()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|content| content.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b.c", "..a/b", "a b/ü"] {
            assert!(good.parse::<SafePath>().is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "c:/x", "a\0b"] {
            assert!(bad.parse::<SafePath>().is_err(), "{bad}");
        }
    }
}
