//! `NAME.volumes.json`: which files an archive was cut into.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cut, VOLUMES_MAX};
use crate::oci::Digest;

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;
/// Most bytes of a list: every name may have 255 of them.
pub(crate) const LIST_MAX: u64 = 1 << 20;

/// The volumes of an archive, in order: joined they are the archive. It is not signed, and nothing that it says is relied upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "NAME.volumes.json")]
pub struct VolumeList {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Digest of the archive's index.json, which is what its signature covers.
    #[schemars(with = "String")]
    pub index: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// The volumes in order; their sizes add up to that of the archive.
    #[schemars(length(min = 1, max = VOLUMES_MAX))]
    pub volumes: Vec<Volume>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its file's name, without a folder.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Digest of its bytes.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not the JSON that it should be.
    #[error("it is not the JSON that belongs there: {0}")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("it has format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// None, or too many.
    #[error("it lists {0} volumes; wanted are 1 to {VOLUMES_MAX}")]
    Count(usize),
    /// A name that could be anywhere, or that occurs twice.
    #[error("volume {number} is called `{name}`, which is not the name of a file of its own beside the list")]
    Name {
        /// Which, counted from 1.
        number: usize,
        /// What it is called.
        name: String,
    },
    /// Sizes that do not add up.
    #[error("the sizes of its volumes do not add up to {0}")]
    Size(u64),
}

/// The part that every version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl VolumeList {
    /// The list of these volumes.
    pub(crate) fn new(index: Digest, size: u64, volumes: Vec<Volume>) -> Self {
        Self { format: FORMAT, index, size, volumes }
    }

    /// Reads a list and holds it against what can be known without the volumes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        let Version { format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(ListError::Format(format));
        }
        let list: Self = serde_json::from_slice(bytes)?;
        if list.volumes.is_empty() || list.volumes.len() > VOLUMES_MAX {
            return Err(ListError::Count(list.volumes.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (at, volume) in list.volumes.iter().enumerate() {
            if !is_plain(&volume.name) || !seen.insert(&volume.name) {
                return Err(ListError::Name { number: at + 1, name: volume.name.clone() });
            }
        }
        match list.cut() {
            Some(cut) if cut.length() == list.size && cut.sizes().all(|size| size > 0) => Ok(list),
            _ => Err(ListError::Size(list.size)),
        }
    }

    /// As it is written, a line each volume.
    pub fn text(&self) -> String {
        let json = |text: &str| serde_json::to_string(text).expect("text serialises");
        let mut text = format!("{{\n  \"format\": {},\n  \"index\": \"{}\",\n  \"size\": {},\n  \"volumes\": [\n", self.format, self.index, self.size);
        let rows: Vec<String> =
            self.volumes.iter().map(|v| format!("    {{\"name\": {}, \"size\": {}, \"digest\": \"{}\"}}", json(&v.name), v.size, v.digest)).collect();
        text.push_str(&rows.join(",\n"));
        text.push_str("\n  ]\n}\n");
        text
    }

    /// Which bytes are in which volume; none if they are more than can be counted.
    pub(crate) fn cut(&self) -> Option<Cut> {
        Cut::of_sizes(self.volumes.iter().map(|volume| volume.size))
    }
}

/// The name of a file and nothing else, on every system.
fn is_plain(name: &str) -> bool {
    let plain = !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':'));
    plain && Path::new(name).file_name().is_some_and(|own| own == name)
}

/// The JSON schema of a list.
pub fn schema_json() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(VolumeList)).expect("a schema serialises");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> VolumeList {
        let volume = |name: &str, size| Volume { name: name.into(), size, digest: Digest::of(name.as_bytes()) };
        VolumeList { format: FORMAT, index: Digest::of(b"index"), size: 5, volumes: vec![volume("a \"b\".tar.001", 3), volume("a \"b\".tar.002", 2)] }
    }

    #[test]
    fn a_list_reads_back() {
        assert_eq!(VolumeList::parse(list().text().as_bytes()).unwrap(), list());
    }

    #[test]
    fn what_makes_no_archive_is_refused() {
        let refused = |change: &dyn Fn(&mut VolumeList), wanted: &str| {
            let mut bad = list();
            change(&mut bad);
            let told = VolumeList::parse(bad.text().as_bytes()).expect_err(wanted).to_string();
            assert!(told.contains(wanted), "{told}");
        };
        refused(&|l| l.format = 2, "it has format 2; this program reads format 1");
        refused(&|l| l.volumes.clear(), "it lists 0 volumes");
        refused(&|l| l.volumes = vec![l.volumes[0].clone(); 1000], "it lists 1000 volumes");
        refused(&|l| l.volumes[1] = l.volumes[0].clone(), "volume 2 is called");
        refused(&|l| l.size = 6, "do not add up to 6");
        refused(&|l| l.volumes[0].size = u64::MAX, "do not add up");
        refused(&|l| l.volumes[0].size = 0, "do not add up");
        for name in ["", ".", "..", "/etc/passwd", "../a", "a/b", "a\\b", "C:a", "a\nb", &"x".repeat(256)] {
            refused(&|l| l.volumes[0].name = name.into(), "volume 1 is called");
        }
        let unknown = list().text().replacen("\"size\"", "\"more\": 1, \"size\"", 1);
        assert!(VolumeList::parse(unknown.as_bytes()).unwrap_err().to_string().contains("unknown field"));
    }
}
