//! What a rendering gives, and the texts Helm makes of it.

use serde_json::{Map, Value};

use super::{CrdFile, Hook, HookEvent, Manifest, Metadata};

/// A rendered chart.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Objects, in the order of installation.
    pub manifests: Vec<Manifest>,
    /// Hooks, in the order of installation by kind; who runs them sorts by weight.
    pub hooks: Vec<Hook>,
    /// Files under crds/, which are installed before anything else and never removed.
    pub crds: Vec<CrdFile>,
    /// What the chart tells whoever installed it.
    pub notes: String,
    /// What Helm would have said on standard error.
    pub warnings: Vec<String>,
    /// What processing the chart's dependencies made of it.
    pub processed: Processed,
    /// Whether templates that failed were left out ([`super::RenderOptions::leave_out_failures`]).
    pub left_out: bool,
}

/// What of a chart is changed where its dependencies are processed; [`super::Chart::release_json`] makes of it what Helm stores.
#[derive(Debug, Clone)]
pub struct Processed {
    pub(super) metadata: Metadata,
    pub(super) values: Map<String, Value>,
}

/// Which parts `helm template` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TemplateText {
    /// `--include-crds`.
    pub include_crds: bool,
    /// `--no-hooks`.
    pub no_hooks: bool,
    /// `--skip-tests`.
    pub skip_tests: bool,
}

impl Rendered {
    /// The manifest as it is stored in a release: without hooks and definitions.
    pub fn manifest_text(&self) -> String {
        let mut text = String::with_capacity(self.manifests.iter().map(|manifest| room(&manifest.path, &manifest.content)).sum());
        for manifest in &self.manifests {
            write_section(&mut text, &manifest.path, &manifest.content);
        }
        text
    }

    /// What `helm template` prints.
    pub fn template_text(&self, parts: TemplateText) -> String {
        let mut text = self.manifest_text();
        if parts.include_crds {
            let mut crds = String::new();
            for crd in &self.crds {
                write_section(&mut crds, &crd.path, &crd.text());
            }
            text.insert_str(0, &crds);
        }
        // It begins with a separator, if there is anything.
        text.truncate(text.trim_end().len());
        text.push('\n');
        if !parts.no_hooks {
            let shown = |hook: &&Hook| !(parts.skip_tests && hook.events.contains(&HookEvent::Test));
            for hook in self.hooks.iter().filter(shown) {
                write_section(&mut text, &hook.path, &hook.manifest);
            }
        }
        text
    }
}

/// One document as Helm prints it, with where it came from.
pub fn section(path: &str, content: &str) -> String {
    let mut text = String::with_capacity(room(path, content));
    write_section(&mut text, path, content);
    text
}

fn write_section(text: &mut String, path: &str, content: &str) {
    for part in ["---\n# Source: ", path, "\n", content, "\n"] {
        text.push_str(part);
    }
}

/// Bytes of a section.
fn room(path: &str, content: &str) -> usize {
    "---\n# Source: \n\n".len() + path.len() + content.len()
}
