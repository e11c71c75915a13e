//! Which pushes concern a delivery: its images by their tags, its tag policies, its charts in registries. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Push;
use crate::{
    delivery::{AppSource, ChartSource, Delivery, ImageEntry, SourceOptions},
    oci::Reference,
    semver::{Constraint, Version},
    tag_policy::TagPolicy,
};

/// What a delivery waits for.
#[derive(Debug)]
pub(super) struct Interest {
    wants: Vec<Want>,
}

#[derive(Debug)]
struct Want {
    /// Host and repository; more than one where a mirror stands for the registry.
    names: BTreeSet<String>,
    tags: Tags,
}

#[derive(Debug)]
enum Tags {
    One(String),
    Policy(TagPolicy),
    Versions(Option<Constraint>),
}

impl Interest {
    /// What a delivery waits for; `images` are those that it was found to name.
    pub(super) fn of(delivery: &Delivery, images: &[Reference]) -> Self {
        let names = |reference: &Reference| names(reference, &delivery.spec.sources);
        let mut wants = Vec::new();
        for entry in &delivery.spec.images {
            if let ImageEntry::Policy { repository, policy } = entry {
                wants.push(Want { names: names(repository), tags: Tags::Policy(policy.clone()) });
            }
        }
        for image in images {
            // What is named by digest stays what it is, whatever its tag becomes.
            if let (Some(tag), None) = (image.tag(), image.digest()) {
                wants.push(Want { names: names(image), tags: Tags::One(tag.to_owned()) });
            }
        }
        for app in &delivery.spec.apps {
            let AppSource::Chart(ChartSource::Registry { chart, version }) = &app.source else { continue };
            let written = chart.strip_prefix("oci://").unwrap_or(chart);
            let Ok(reference) = written.parse::<Reference>() else { continue };
            let tagged = written.rsplit('/').next().is_some_and(|last| last.contains(':'));
            let tags = match (&app.tag_policy, reference.tag()) {
                _ if reference.digest().is_some() => continue,
                (Some(policy), _) => Tags::Policy(policy.clone()),
                (None, Some(tag)) if tagged => Tags::One(tag.to_owned()),
                (None, _) => Tags::Versions(version.as_deref().and_then(Constraint::parse)),
            };
            wants.push(Want { names: names(&reference), tags });
        }
        Self { wants }
    }

    /// Whether a push concerns the delivery. `aliases` say what registries are called here, by what they call themselves.
    pub(super) fn concerns(&self, push: &Push, aliases: &BTreeMap<String, String>) -> bool {
        let host = push.registry.as_ref().map(|host| aliases.get(host).unwrap_or(host));
        self.wants.iter().any(|want| {
            let named = match host {
                Some(host) => want.names.contains(&format!("{host}/{}", push.repository)),
                // A sender that does not say where it is can only be believed.
                None => want.names.iter().any(|name| name.split_once('/').is_some_and(|(_, repository)| repository == push.repository)),
            };
            named && want.tags.wants(&push.tag)
        })
    }
}

impl Tags {
    fn wants(&self, tag: &str) -> bool {
        // `+` is not allowed in tags, and Helm writes `_` for it.
        let version = || Version::parse(&tag.replace('_', "+"));
        match self {
            Self::One(wanted) => wanted == tag,
            Self::Policy(policy) => policy.may_choose(tag) || policy.may_choose(&tag.replace('_', "+")),
            Self::Versions(Some(constraint)) => version().is_some_and(|version| constraint.accepts(&version)),
            Self::Versions(None) => version().is_some_and(|version| version.prerelease.is_empty()),
        }
    }
}

fn names(reference: &Reference, sources: &BTreeMap<String, SourceOptions>) -> BTreeSet<String> {
    let mirror = sources.get(reference.registry()).and_then(|options| options.mirror.as_deref());
    let moved = mirror.and_then(|mirror| reference.moved_to(mirror).ok()).map(|moved| moved.name());
    [reference.name()].into_iter().chain(moved).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const DELIVERY: &str = r"
apiVersion: offline/v1
kind: Delivery
metadata: {name: a, version: '1'}
spec:
  sources: {docker.io: {mirror: mirror.corp/hub}}
  apps:
  - {name: newest, chart: {oci: r.example/charts/newest}}
  - {name: range, chart: {oci: r.example/charts/range, version: ^2}}
  - {name: policy, chart: {oci: r.example/charts/policy, tagPolicy: {regex: 'v5.*'}}}
  - {name: one, chart: {oci: 'r.example/charts/one:1.0.0'}}
  images:
  - {ref: busybox, tagPolicy: {regex: '1\.3\d\..*', not: '.*-musl'}}
";

    fn push(name: &str) -> Push {
        let (registry, rest) = name.split_once('/').unwrap();
        let (repository, tag) = rest.rsplit_once(':').unwrap();
        Push { id: None, registry: Some(registry.into()).filter(|host: &String| host != "?"), repository: repository.into(), tag: tag.into(), digest: None }
    }

    #[test]
    fn pushes_concern_by_name_and_tag() {
        let delivery = crate::delivery::parse(Path::new("delivery.yaml"), DELIVERY).unwrap();
        let images = ["r.example/app:1", "r.example/pinned:1@sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4"];
        let interest = Interest::of(&delivery, &images.map(|image| image.parse().unwrap()));
        let aliases = BTreeMap::from([("registry.svc:5000".to_owned(), "r.example".to_owned())]);
        for (name, wanted) in [
            ("docker.io/library/busybox:1.36.1", true),
            ("docker.io/library/busybox:1.36.1-musl", false),
            ("docker.io/library/busybox:latest", false),
            ("mirror.corp/hub/library/busybox:1.37.0", true),
            ("mirror.corp/library/busybox:1.37.0", false),
            ("r.example/app:1", true),
            ("r.example/app:2", false),
            ("registry.svc:5000/app:1", true),
            ("other.example/app:1", false),
            ("?/app:1", true),
            ("?/app2:1", false),
            ("r.example/pinned:1", false),
            ("r.example/charts/newest:3.0.0", true),
            ("r.example/charts/newest:3.0.0-rc.1", false),
            ("r.example/charts/newest:latest", false),
            ("r.example/charts/range:2.9.9", true),
            ("r.example/charts/range:3.0.0", false),
            ("r.example/charts/policy:v5.1.0_build", true),
            ("r.example/charts/policy:v6", false),
            ("r.example/charts/one:1.0.0", true),
            ("r.example/charts/one:1.0.1", false),
        ] {
            assert_eq!(interest.concerns(&push(name), &aliases), wanted, "{name}");
        }
    }
}
