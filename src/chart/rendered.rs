//! What a rendering gives, and the texts Helm makes of it.

use serde_json::Value;

use super::{CrdFile, Hook, HookEvent, Manifest};

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
    /// The chart as Helm stores it in a release, after dependencies were processed.
    pub chart: Value,
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
        let mut text = String::new();
        for manifest in &self.manifests {
            text.push_str(&section(&manifest.path, &manifest.content));
        }
        text
    }

    /// What `helm template` prints.
    pub fn template_text(&self, parts: TemplateText) -> String {
        let mut text = String::new();
        if parts.include_crds {
            for crd in &self.crds {
                text.push_str(&section(&crd.path, &crd.content));
            }
        }
        text.push_str(&self.manifest_text());
        let mut text = format!("{}\n", text.trim());
        if !parts.no_hooks {
            let shown = |hook: &&Hook| !(parts.skip_tests && hook.events.contains(&HookEvent::Test));
            for hook in self.hooks.iter().filter(shown) {
                text.push_str(&section(&hook.path, &hook.manifest));
            }
        }
        text
    }
}

/// One document as Helm prints it, with where it came from.
pub fn section(path: &str, content: &str) -> String {
    format!("---\n# Source: {path}\n{content}\n")
}
