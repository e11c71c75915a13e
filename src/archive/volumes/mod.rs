//! An archive in pieces: `NAME.001`, `NAME.002` …, which `cat` joins, and `NAME.volumes.json`, which tells their order, sizes and digests.
//!
//! Nothing of this is vouched for: it only finds bytes, and helps to say which file is to blame when they are not the right ones.

mod cut;
mod hash;
mod list;
mod names;
mod set;
mod sign;
mod size;

pub(crate) use cut::Cut;
pub(crate) use hash::{AT_ONCE, digest};
pub(crate) use list::LIST_MAX;
pub use list::{ListError, Volume, VolumeList, schema_json};
pub(crate) use names::{archive_of_part, is_list, list_beside, part, signing_beside};
pub(crate) use set::{Purpose, VolumeSet, list_of};
pub use set::{VolumeError, files_of, stands_for_volumes};
pub use sign::UnfinishedError;
pub use size::{VolumeSize, VolumeSizeError};

/// Most volumes of an archive: what three digits can count, so that the shell sorts them as `cat NAME.*` wants.
pub const VOLUMES_MAX: usize = 999;
