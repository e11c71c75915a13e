//! What a chart's schema refers to on the web, where there is no web: it was fetched, and the values were held against it, at export.

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError};

use bytes::Bytes;

use crate::chart::RemoteSchemas;

/// Takes anything for good, and remembers what was not to be had; as Helm does with the URNs that nobody resolves.
#[derive(Debug, Default)]
pub(super) struct AbsentSchemas(Mutex<BTreeSet<String>>);

impl AbsentSchemas {
    /// A line for each document.
    pub(super) fn warnings(&self) -> Vec<String> {
        let urls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        urls.iter()
            .map(|url| format!("values are not held against {url}, which a schema refers to: it was asked at export, and nothing is fetched here"))
            .collect()
    }
}

impl RemoteSchemas for AbsentSchemas {
    fn get(&self, url: &str) -> Result<Bytes, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned());
        Ok(Bytes::from_static(b"true"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::{RenderRequest, Renderer};
    use crate::{chart::Chart, tree::FileTree};

    #[test]
    fn what_is_on_the_web_is_left_out_with_a_warning() {
        let schema = json!({"properties": {"a": {"$ref": "https://schemas.example/a.json"}, "b": {"type": "integer"}}}).to_string();
        let files = [("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n"), ("values.schema.json", &schema), ("templates/a.yaml", "kind: A\n")];
        let mut tree = FileTree::new();
        for (path, text) in files {
            tree.insert(path.parse().unwrap(), text.to_owned().into());
        }
        let chart = Chart::load(&tree).unwrap();
        let request = RenderRequest {
            name: "r".into(),
            namespace: "n".into(),
            revision: 1,
            upgrade: false,
            kube_version: "v1.34.1".into(),
            api_versions: Vec::new(),
            lookup: None,
        };
        let render = |values: serde_json::Value| Renderer::engine().render(&chart, values.as_object().unwrap_or(&Map::new()), &request);
        let rendered = render(json!({"a": 7, "b": 8})).unwrap();
        let line = "values are not held against https://schemas.example/a.json, which a schema refers to: it was asked at export, and nothing is fetched here";
        assert_eq!(rendered.warnings, [line]);
        assert!(render(json!({"b": "text"})).unwrap_err().to_string().contains("at '/b': got string, want integer"));
    }
}
