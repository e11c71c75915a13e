//! What a release is (helm, pkg/release/v1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A release, as Helm 3 and Helm 4 write it. What we do not know of is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Release {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// When, how, and in what state.
    #[serde(default)]
    pub info: Info,
    /// The chart: metadata, lock, templates, values, schema, files. Subcharts are not stored.
    #[serde(default)]
    pub chart: Value,
    /// The user's values. Go leaves an empty map out.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "or_default")]
    pub config: Map<String, Value>,
    /// What was rendered, without hooks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// The hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub hooks: Vec<Hook>,
    /// The revision, from 1.
    #[serde(default)]
    pub version: u32,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Helm 4: `ssa` for server-side apply. Helm 3 passes it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_method: Option<String>,
    /// Fields of newer Helms.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// State of a release and how it came to it. Times are RFC 3339, or empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Info {
    /// When revision 1 was installed.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub first_deployed: String,
    /// When this revision was.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub last_deployed: String,
    /// When it was uninstalled. Helm 3 writes `""`.
    #[serde(default, deserialize_with = "or_default")]
    pub deleted: String,
    /// A line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The state.
    #[serde(default)]
    pub status: Status,
    /// NOTES.txt, rendered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Fields of newer Helms.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Go reads `null` as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// State of a release (helm, pkg/release/status.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody knows.
    #[default]
    Unknown,
    /// In force.
    Deployed,
    /// Removed, with its history kept.
    Uninstalled,
    /// Replaced by a later revision.
    Superseded,
    /// It did not work.
    Failed,
    /// Being removed.
    Uninstalling,
    /// Being installed.
    PendingInstall,
    /// Being upgraded.
    PendingUpgrade,
    /// Being rolled back.
    PendingRollback,
}

impl Status {
    /// The word that Helm writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Whether somebody is at work on it, or died there.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hook of a release.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hook {
    /// Name of its object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Kind of its object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Its document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// When it runs, as in `pre-install`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub events: Vec<String>,
    /// How it went.
    #[serde(default)]
    pub last_run: HookExecution,
    /// Its place in the order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// When its object is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub delete_policies: Vec<String>,
    /// When its log is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub output_log_policies: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A run of a hook. Times are RFC 3339, or empty; Helm 3 writes empty ones, Helm 4 leaves them out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HookExecution {
    /// When it began.
    #[serde(default, deserialize_with = "or_default")]
    pub started_at: String,
    /// When it ended.
    #[serde(default, deserialize_with = "or_default")]
    pub completed_at: String,
    /// How it went, as in `Succeeded`.
    #[serde(default)]
    pub phase: String,
}

/// The present, as Helm writes times.
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}
