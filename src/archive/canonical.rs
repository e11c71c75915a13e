//! What of an archive could be written in several ways, and may be in only one.
//!
//! Readers of JSON disagree about members that occur twice or in another case (Go's `encoding/json` takes `Manifests` for `manifests`, and the last
//! of two), so index.json, which other people's tools read as well, has one form only. And what people are shown must not steer their terminal.

use super::{Fault, builder::sorted};
use crate::{
    delivery::record::Record,
    oci::{Descriptor, Index},
};

/// index.json as its content has to be written, and in order.
pub(crate) fn check_index(bytes: &[u8], index: &Index) -> Result<(), Fault> {
    let written = serde_json::to_vec(index).map_err(Fault::Json)?;
    if written != bytes {
        let at = written.iter().zip(bytes).position(|(a, b)| a != b).unwrap_or_else(|| written.len().min(bytes.len()));
        return Err(Fault::Format(format!("it is not written as the format wants it, from byte {at} on; members that are not known are refused")));
    }
    let in_order = sorted(index.manifests.clone()).map_err(|e| Fault::Format(e.to_string()))?;
    match in_order.iter().zip(&index.manifests).find(|(wanted, found)| wanted != found) {
        Some((_, found)) => Err(Fault::Format(format!("its descriptors are not in order: {} is not in its place", found.digest))),
        None => Ok(()),
    }
}

/// Names that people are shown have no control characters.
pub(crate) fn check_names(record: &Record) -> Result<(), Fault> {
    let apps =
        record.apps.iter().flat_map(|app| [("app", &app.name), ("namespace", &app.namespace)].into_iter().chain(app.depends_on.iter().map(|n| ("app", n))));
    let files = record.files.iter().map(|file| ("file", &file.path));
    let registry = record.registry.iter().map(|name| ("registry", name));
    let names = [("delivery", &record.name), ("version", &record.version)];
    names.into_iter().chain(registry).chain(apps).chain(files).try_for_each(|(what, name)| printable(what, name))
}

/// The title of a file.
pub(crate) fn check_title(layer: &Descriptor, title: &str) -> Result<(), Fault> {
    printable(&format!("title of {}", layer.digest), title)
}

fn printable(what: &str, name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err(Fault::Format(format!("the name of {what} {name:?} is empty or has control characters")));
    }
    Ok(())
}
