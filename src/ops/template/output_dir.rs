//! `--output-dir`: manifests as files (pkg/action, action.go, `renderResources` and `writeToFile`).

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
};

use super::{TemplateError, error::system_reason, is_shown};
use crate::{
    chart::{self, Rendered, TemplateText},
    tree::SafePath,
};

/// Writes everything, and says so line by line. Definitions stay out of the release's own folder, as they do in Helm.
pub(super) fn write(folder: &str, release: Option<&str>, rendered: &Rendered, parts: TemplateText, said: &mut String) -> Result<(), TemplateError> {
    let own = release.map_or_else(|| folder.to_owned(), |name| format!("{}/{name}", folder.trim_end_matches('/')));
    let mut written = BTreeSet::new();
    if parts.include_crds {
        for crd in &rendered.crds {
            let more = !written.insert(crd.path.clone());
            file(folder, &crd.path, &crd.text(), more, said)?;
        }
    }
    for manifest in &rendered.manifests {
        // A file of the last run is begun anew.
        let more = !written.insert(manifest.path.clone());
        file(&own, &manifest.path, &manifest.content, more, said)?;
    }
    for hook in rendered.hooks.iter().filter(|hook| is_shown(&hook.events, parts)) {
        // Helm asks the disk here: a hook's file of the last run grows.
        let more = Path::new(&format!("{own}/{}", hook.path)).exists();
        file(&own, &hook.path, &hook.manifest, more, said)?;
    }
    Ok(())
}

fn file(folder: &str, name: &str, content: &str, more: bool, said: &mut String) -> Result<(), TemplateError> {
    // The path comes from the chart, which may be hostile: it must stay below the folder.
    if name.parse::<SafePath>().is_err() {
        return Err(TemplateError::Refused(format!("the chart wants to write {name:?}, which is not below {folder}")));
    }
    let path = format!("{folder}/{name}");
    let failed = |action, path: &str| {
        let path = path.to_owned();
        move |error: std::io::Error| TemplateError::File { action, path, reason: system_reason(&error) }
    };
    let parent = path.rsplit_once('/').map_or(".", |(parent, _)| parent);
    if let Err(error) = fs::metadata(parent)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed("stat", parent)(error));
    }
    fs::create_dir_all(parent).map_err(failed("mkdir", parent))?;
    let open = if more { OpenOptions::new().append(true).open(&path) } else { File::create(&path) };
    let mut open = open.map_err(failed("open", &path))?;
    open.write_all(chart::section(name, content).as_bytes()).map_err(failed("write", &path))?;
    said.push_str("wrote ");
    said.push_str(&path);
    said.push('\n');
    Ok(())
}
