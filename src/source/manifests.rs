//! Plain manifests: files, and folders with all that is below them.

use std::path::{Path, PathBuf};

use super::{SourceError, chart::safe, walk};
use crate::{io::read_capped, tree::FileTree};

const FILE_MAX: u64 = 5 << 20;
const ALL_MAX: u64 = 100 << 20;
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads manifests. Each path is given as delivery.yaml has it and as it can be opened; files are named by the former.
pub fn manifests(paths: &[(PathBuf, PathBuf)]) -> Result<FileTree, SourceError> {
    let mut tree = FileTree::new();
    for (written, path) in paths {
        let base = name_of(written);
        if path.is_dir() {
            let before = tree.len();
            for (name, file) in walk::files(path)? {
                if is_manifest(&file) {
                    add(&mut tree, &join(&base, &name), &file)?;
                }
            }
            if tree.len() == before {
                return Err(SourceError::NoManifests { path: path.clone() });
            }
        } else if path.exists() {
            add(&mut tree, &base, path)?;
        } else {
            return Err(SourceError::Missing { what: "manifest", path: path.clone() });
        }
    }
    Ok(tree)
}

fn add(tree: &mut FileTree, name: &str, path: &Path) -> Result<(), SourceError> {
    tree.insert(safe(name, path)?, read_capped(path, FILE_MAX)?.into());
    if tree.bytes() > ALL_MAX {
        return Err(SourceError::Budget { path: path.into(), what: "bytes", max: ALL_MAX });
    }
    Ok(())
}

/// `../k8s/./x.yaml` is called `k8s/x.yaml`: where it lay on the machine that exported is of no interest.
fn name_of(path: &Path) -> String {
    let parts: Vec<&str> = path.components().filter_map(|part| if let std::path::Component::Normal(name) = part { name.to_str() } else { None }).collect();
    parts.join("/")
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_files_by_their_written_names() {
        let folder = tempfile::tempdir().unwrap();
        let k8s = folder.path().join("k8s/sub");
        std::fs::create_dir_all(&k8s).unwrap();
        std::fs::write(k8s.join("b.yml"), "b").unwrap();
        std::fs::write(folder.path().join("k8s/a.yaml"), "a").unwrap();
        std::fs::write(folder.path().join("k8s/README.md"), "no").unwrap();
        let tree = manifests(&[("./k8s/".into(), folder.path().join("k8s"))]).unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["k8s/a.yaml", "k8s/sub/b.yml"]);
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(matches!(manifests(&[("empty".into(), folder.path().join("empty"))]), Err(SourceError::NoManifests { .. })));
        assert!(matches!(manifests(&[("x.yaml".into(), folder.path().join("x.yaml"))]), Err(SourceError::Missing { .. })));
    }
}
