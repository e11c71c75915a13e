//! The clusters that a chart is rendered for.

use crate::{
    chart::{RenderOptions, kube_version},
    delivery::Install,
};

/// Every cluster of a delivery, with how to render for it: the versions of Kubernetes that it names, each without and with the API versions
/// that it names. The first is what the others are held against and has no name.
pub(super) fn clusters(install: &Install, app: &str, namespace: &str) -> Vec<(Option<String>, RenderOptions)> {
    let plain = || looking(app, namespace);
    let mut versions: Vec<(String, RenderOptions)> = Vec::new();
    for text in &install.kubernetes_versions {
        // A delivery with another shape was refused.
        if let Ok(version) = kube_version(text) {
            let mut options = plain();
            options.capabilities.kube_version = version;
            versions.push((format!("Kubernetes {}", text.trim_start_matches('v')), options));
        }
    }
    if versions.is_empty() {
        versions.push((String::new(), plain()));
    }
    let mut all = Vec::new();
    for (name, options) in versions {
        let extended = (!install.api_versions.is_empty()).then(|| {
            let mut options = options.clone();
            options.capabilities.api_versions.extend(install.api_versions.iter().cloned());
            let with = if name.is_empty() { "with" } else { " with" };
            (format!("{name}{with} {}", install.api_versions.join(", ")), options)
        });
        all.push((name, options));
        all.extend(extended);
    }
    all.into_iter().enumerate().map(|(i, (name, options))| ((i > 0).then_some(name), options)).collect()
}

/// Renders for what can be seen in it, images; nothing of it is applied.
pub(super) fn looking(app: &str, namespace: &str) -> RenderOptions {
    RenderOptions { repeatable: true, ..RenderOptions::new(app, namespace) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_with_and_without() {
        let named = |install: Install| clusters(&install, "a", "n").into_iter().map(|(name, options)| (name, options.capabilities)).collect::<Vec<_>>();
        assert_eq!(named(Install::default()).len(), 1);
        let faces = named(Install { kubernetes_versions: vec!["1.24".into(), "v1.31".into()], api_versions: vec!["x.io/v1".into()] });
        let told: Vec<_> = faces.iter().map(|(name, _)| name.as_deref()).collect();
        assert_eq!(told, [None, Some("Kubernetes 1.24 with x.io/v1"), Some("Kubernetes 1.31"), Some("Kubernetes 1.31 with x.io/v1")]);
        assert_eq!(faces[0].1.kube_version.version, "v1.24");
        assert!(faces[1].1.api_versions.contains(&"x.io/v1".to_owned()) && !faces[2].1.api_versions.contains(&"x.io/v1".to_owned()));
    }
}
