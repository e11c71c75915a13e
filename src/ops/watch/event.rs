//! What registries send, read: which tags were pushed where. Pure; bodies come from anybody who knows the secret.

use serde::Deserialize;
use serde_json::Value;

use crate::oci::{Digest, Reference};

/// Pushes of one body that are read.
const PUSHES_MAX: usize = 1000;
/// The longest name, tag or id that is read.
const TEXT_MAX: usize = 512;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Docker Registry's notifications (distribution, docs/content/about/notifications.md).
    DockerRegistry,
    /// Docker Hub's webhooks (docs.docker.com, "Webhooks").
    DockerHub,
    /// Harbor's webhooks, in both of their formats (goharbor/website, configure-webhooks.md).
    Harbor,
    /// Anybody: `{"image": "registry.example/team/app:1.2"}`.
    Generic,
}

/// A tag that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What tells this event from all others, where the sender says it or its parts do.
    pub id: Option<String>,
    /// Host of the registry, as the sender calls it.
    pub registry: Option<String>,
    /// Repository on it.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Digest of what was pushed.
    pub digest: Option<Digest>,
}

/// A body that is not what the sender sends.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// No JSON, or of another shape.
    #[error("this is no event of {sender}: {reason}")]
    Shape {
        /// Who should have sent it.
        sender: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// More than is read.
    #[error("more than {PUSHES_MAX} events in one body")]
    Many,
}

impl Sender {
    /// The first part of the path that it sends to.
    pub fn of_path(word: &str) -> Option<Self> {
        Some(match word {
            "docker-registry" => Self::DockerRegistry,
            "docker-hub" => Self::DockerHub,
            "harbor" => Self::Harbor,
            "generic" => Self::Generic,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::DockerRegistry => "Docker Registry",
            Self::DockerHub => "Docker Hub",
            Self::Harbor => "Harbor",
            Self::Generic => "the generic kind",
        }
    }
}

/// The pushes of a body; what is no push of a tag is left out.
pub(super) fn read(sender: Sender, body: &[u8]) -> Result<Vec<Push>, EventError> {
    let failed = |reason: String| EventError::Shape { sender: sender.name(), reason };
    let json = |error: serde_json::Error| failed(error.to_string());
    let pushes = match sender {
        Sender::DockerRegistry => docker_registry(serde_json::from_slice(body).map_err(json)?),
        Sender::DockerHub => docker_hub(serde_json::from_slice(body).map_err(json)?),
        Sender::Harbor => harbor(serde_json::from_slice(body).map_err(json)?),
        Sender::Generic => vec![generic(serde_json::from_slice(body).map_err(json)?).map_err(failed)?],
    };
    if pushes.len() > PUSHES_MAX {
        return Err(EventError::Many);
    }
    let short = |text: &str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
    let fits = |push: &Push| [&push.repository, &push.tag].into_iter().chain(&push.id).chain(&push.registry).all(|text| short(text));
    if pushes.iter().all(fits) { Ok(pushes) } else { Err(failed(format!("a name is longer than {TEXT_MAX} characters, or holds control characters"))) }
}

#[derive(Deserialize)]
struct Envelope {
    events: Vec<RegistryEvent>,
}

#[derive(Deserialize)]
struct RegistryEvent {
    #[serde(default)]
    id: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: Request,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Target {
    digest: String,
    repository: String,
    tag: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request {
    host: String,
}

fn docker_registry(envelope: Envelope) -> Vec<Push> {
    // Blobs, and manifests that were pushed by digest, have no tag.
    let pushed = envelope.events.into_iter().filter(|event| event.action == "push" && !event.target.tag.is_empty());
    let push = |event: RegistryEvent| Push {
        id: some(event.id).map(|id| format!("docker-registry {id}")),
        registry: some(event.request.host),
        repository: event.target.repository,
        tag: event.target.tag,
        digest: event.target.digest.parse().ok(),
    };
    pushed.map(push).collect()
}

#[derive(Deserialize)]
struct HubEvent {
    push_data: HubPush,
    repository: HubRepository,
}

#[derive(Deserialize)]
struct HubPush {
    #[serde(default)]
    pushed_at: Value,
    tag: String,
}

#[derive(Deserialize)]
struct HubRepository {
    repo_name: String,
}

fn docker_hub(event: HubEvent) -> Vec<Push> {
    let HubEvent { push_data, repository } = event;
    // An official image has one word.
    let name = if repository.repo_name.contains('/') { repository.repo_name } else { format!("library/{}", repository.repo_name) };
    let id = (!push_data.pushed_at.is_null()).then(|| format!("docker-hub {}", fingerprint(&[&name, &push_data.tag, &push_data.pushed_at.to_string()])));
    vec![Push { id, registry: Some("docker.io".to_owned()), repository: name, tag: push_data.tag, digest: None }]
}

#[derive(Deserialize)]
struct HarborEvent {
    #[serde(rename = "type")]
    kind: String,
    /// Of the default format.
    #[serde(default)]
    occur_at: Value,
    event_data: Option<HarborData>,
    /// Of `CloudEvents`.
    #[serde(default)]
    id: String,
    data: Option<HarborData>,
}

#[derive(Deserialize)]
struct HarborData {
    #[serde(default)]
    resources: Vec<HarborResource>,
    repository: HarborRepository,
}

#[derive(Deserialize)]
struct HarborResource {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    resource_url: String,
}

#[derive(Deserialize)]
struct HarborRepository {
    repo_full_name: String,
}

fn harbor(event: HarborEvent) -> Vec<Push> {
    let HarborEvent { kind, occur_at, event_data, id, data } = event;
    if !matches!(kind.as_str(), "PUSH_ARTIFACT" | "harbor.artifact.pushed") {
        return Vec::new();
    }
    let Some(HarborData { resources, repository }) = event_data.or(data) else { return Vec::new() };
    let name = repository.repo_full_name;
    // Without a tag, the digest stands in its place.
    let tagged = resources.into_iter().filter(|resource| !resource.tag.is_empty() && !resource.tag.contains(':'));
    let push = |resource: HarborResource| {
        let own = fingerprint(&[&id, &occur_at.to_string(), &name, &resource.tag, &resource.digest]);
        Push {
            id: (!id.is_empty() || !occur_at.is_null()).then(|| format!("harbor {own}")),
            registry: resource.resource_url.split_once('/').and_then(|(host, _)| some(host.to_owned())),
            repository: name.clone(),
            digest: resource.digest.parse().ok(),
            tag: resource.tag,
        }
    };
    tagged.map(push).collect()
}

#[derive(Deserialize)]
struct GenericEvent {
    image: String,
    digest: Option<String>,
    id: Option<String>,
}

fn generic(event: GenericEvent) -> Result<Push, String> {
    let image: Reference = event.image.parse().map_err(|error: crate::oci::ReferenceError| error.to_string())?;
    let digest = event.digest.map(|digest| digest.parse::<Digest>().map_err(|error| error.to_string())).transpose()?.or(image.digest().cloned());
    let tag = image.tag().ok_or("`image` names no tag")?.to_owned();
    // With neither id nor digest a later push of the same tag looks the same.
    let id = match (&event.id, &digest) {
        (Some(id), _) => Some(format!("generic {}", fingerprint(&[id]))),
        (None, Some(digest)) => Some(format!("generic {}", fingerprint(&[&event.image, digest.as_str()]))),
        (None, None) => None,
    };
    Ok(Push { id, registry: Some(image.registry().to_owned()), repository: image.repository().to_owned(), tag, digest })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn fingerprint(parts: &[&str]) -> String {
    Digest::of(parts.join("\0").as_bytes()).hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/webhooks/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn said(sender: Sender, name: &str) -> Vec<(Option<String>, String, String, bool)> {
        let pushes = read(sender, &payload(name)).unwrap();
        pushes.into_iter().map(|push| (push.registry, push.repository, push.tag, push.id.is_some())).collect()
    }

    #[test]
    fn recorded_payloads_name_what_was_pushed() {
        let push = |host: &str, repository: &str, tag: &str| vec![(Some(host.to_owned()), repository.to_owned(), tag.to_owned(), true)];
        for (sender, name, wanted) in [
            (Sender::DockerRegistry, "docker-registry-push", push("registry.example:5000", "team/app", "v1.2.3")),
            (Sender::DockerRegistry, "docker-registry-pull", Vec::new()),
            (Sender::DockerHub, "docker-hub", push("docker.io", "acme/worker", "2.1")),
            (Sender::Harbor, "harbor-push", push("harbor.example", "team/app", "v1.2.3")),
            (Sender::Harbor, "harbor-push-cloudevents", push("harbor.example", "team/app", "v1.2.3")),
            (Sender::Harbor, "harbor-push-untagged", Vec::new()),
            (Sender::Harbor, "harbor-scan", Vec::new()),
            (Sender::Generic, "generic", push("ghcr.io", "acme/worker", "2.1")),
        ] {
            assert_eq!(said(sender, name), wanted, "{name}");
        }
    }

    #[test]
    fn ids_tell_events_apart() {
        let id = |text: &str| read(Sender::DockerHub, text.as_bytes()).unwrap()[0].id.clone();
        let text = String::from_utf8(payload("docker-hub")).unwrap();
        assert_eq!(id(&text), id(&text));
        assert_ne!(id(&text), id(&text.replace("1763718000", "1763718001")));
        let generic = |text: &str| read(Sender::Generic, text.as_bytes()).unwrap()[0].id.clone();
        assert_eq!(generic(r#"{"image": "r.dev/a:1"}"#), None);
        assert_ne!(generic(r#"{"image": "r.dev/a:1", "id": "1"}"#), generic(r#"{"image": "r.dev/a:1", "id": "2"}"#));
    }

    #[test]
    fn rubbish_is_an_error() {
        for (sender, body) in [
            (Sender::DockerRegistry, "{}".to_owned()),
            (Sender::DockerRegistry, r#"{"events": [7]}"#.to_owned()),
            (Sender::DockerHub, r#"{"push_data": {"tag": 7}, "repository": {"repo_name": "a"}}"#.to_owned()),
            (Sender::Harbor, "[]".to_owned()),
            (Sender::Generic, r#"{"image": "NO"}"#.to_owned()),
            (Sender::Generic, format!(r#"{{"image": "r.dev/a:1", "digest": "{}"}}"#, "md5:1")),
            (Sender::Generic, String::new()),
            (Sender::Generic, "[".repeat(100_000)),
            (Sender::DockerHub, format!(r#"{{"push_data": {{"tag": "{}"}}, "repository": {{"repo_name": "a"}}}}"#, "x".repeat(600))),
            (Sender::DockerHub, r#"{"push_data": {"tag": "a\u0000"}, "repository": {"repo_name": "a"}}"#.to_owned()),
        ] {
            assert!(read(sender, body.as_bytes()).is_err(), "{body:.80}");
        }
        let event = r#"{"action": "push", "target": {"tag": "1", "repository": "a"}}"#;
        let many = format!(r#"{{"events": [{}]}}"#, vec![event; PUSHES_MAX + 1].join(","));
        assert!(matches!(read(Sender::DockerRegistry, many.as_bytes()), Err(EventError::Many)));
    }
}
