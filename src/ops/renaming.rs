//! New names for the images of a rendered chart, and which images it names.

use crate::{
    chart::{HookEvent, Rendered},
    rewrite::{self, Place, Plan, RewriteError, Slot},
};

/// Every image slot of a rendering.
pub(super) fn slots(rendered: &Rendered) -> Option<Vec<Slot>> {
    let mut all = Vec::new();
    for manifest in &rendered.manifests {
        all.extend(rewrite::slots(Place { template: &manifest.path, kind: &manifest.kind, name: &manifest.name }, &manifest.content).ok()?);
    }
    for hook in &rendered.hooks {
        all.extend(rewrite::slots(Place { template: &hook.path, kind: &hook.kind, name: &hook.name }, &hook.manifest).ok()?);
    }
    Some(all)
}

/// New names everywhere, and the proof that every image is in the archive.
pub(super) fn rename(plan: &Plan, rendered: &mut Rendered) -> Result<(), RewriteError> {
    for manifest in &mut rendered.manifests {
        let place = Place { template: &manifest.path, kind: &manifest.kind, name: &manifest.name };
        let text = rewrite::rewrite(plan, place, &manifest.content)?;
        manifest.content = text;
    }
    for hook in &mut rendered.hooks {
        let place = Place { template: &hook.path, kind: &hook.kind, name: &hook.name };
        match rewrite::rewrite(plan, place, &hook.manifest) {
            Ok(text) => hook.manifest = text,
            // Helm runs tests only when asked to; their images need not travel.
            Err(RewriteError::NotPacked { .. }) if hook.events.iter().all(|event| *event == HookEvent::Test) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
