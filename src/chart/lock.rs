//! Chart.lock and requirements.lock: which versions a chart's dependencies were resolved to (helm, pkg/chart/dependency.go).

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Chart, ChartError, Dependency};
use crate::oci::Digest;

/// What a chart's dependencies were resolved to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DependencyLock {
    /// Over what was wanted and what it was resolved to.
    pub digest: String,
    /// With versions that are versions.
    pub dependencies: Vec<Dependency>,
}

impl Chart {
    /// The chart's lock, where it has one.
    pub fn dependency_lock(&self) -> Result<Option<DependencyLock>, ChartError> {
        let Some(lock) = self.lock.as_ref().filter(|lock| !lock.is_null()) else { return Ok(None) };
        let file = if self.metadata.api_version == "v1" { "requirements.lock" } else { "Chart.lock" };
        let listed = lock.get("dependencies").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let dependencies = listed.iter().map(|item| Dependency::read(file, item)).collect::<Result<_, _>>()?;
        let digest = lock.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(DependencyLock { digest, dependencies }))
    }
}

impl DependencyLock {
    /// Whether it was made for these dependencies (helm, internal/resolver, `HashReq`).
    pub fn fits(&self, wanted: &[Dependency]) -> bool {
        let list = |list: &[Dependency]| if list.is_empty() { "null".to_owned() } else { go_json(&list) };
        self.digest == digest(&format!("[{},{}]", list(wanted), list(&self.dependencies)))
    }

    /// Whether Helm 2 made it for these dependencies (helm, internal/resolver, `HashV2Req`).
    pub fn fits_as_helm2(&self, wanted: &[Dependency]) -> bool {
        self.digest == digest(&format!("{{\"dependencies\":{}}}", go_json(&wanted)))
    }
}

fn digest(text: &str) -> String {
    Digest::from_raw(&Sha256::digest(text.as_bytes()).into()).to_string()
}

/// As encoding/json writes it: what could end a script in HTML is escaped.
fn go_json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).expect("types of ours serialise");
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.into_iter().fold(text, |text, (character, escape)| text.replace(character, escape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::FileTree;

    /// Chart.lock as `helm dependency update` (3.22) wrote it for this Chart.yaml.
    #[test]
    fn the_digest_is_helms() {
        let chart = "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies:\n- name: sub\n  version: '>=0.1.0 <1'\n  repository: file://../sub\n  alias: other\n  tags: [x]\n  import-values: [data, {child: a, parent: b}]\n";
        let lock = include_str!("../../tests/fixtures/sources/Chart.lock");
        let mut tree = FileTree::new();
        tree.insert("Chart.yaml".parse().unwrap(), chart.into());
        tree.insert("Chart.lock".parse().unwrap(), lock.into());
        let chart = Chart::load(&tree).unwrap();
        let lock = chart.dependency_lock().unwrap().unwrap();
        assert_eq!(lock.dependencies[0].version, "0.3.0");
        assert!(lock.fits(&chart.metadata.dependencies));
        assert!(!lock.fits(&[]) && !lock.fits_as_helm2(&chart.metadata.dependencies));
    }
}
