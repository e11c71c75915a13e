//! When is an object ready: a judgement on its own words, without asking anybody.
//!
//! Stricter than Helm 3's (pkg/kube/ready.go), which is content with `replicas - maxUnavailable`: a delivery is done when all of it runs.
//! The rules are those of `kubectl rollout status` (k8s.io/kubectl, `pkg/polymorphichelpers/rollout_status.go`).

use serde_json::Value;

use super::object::ObjectKey;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Done.
    Ready,
    /// Not yet, and why.
    Waiting(String),
    /// Never, and why.
    Failed(String),
}

/// Judges a live object.
pub(super) fn judge(key: &ObjectKey, live: &Value) -> State {
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return State::Waiting("it is being deleted".into());
    }
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => observed(live).unwrap_or_else(|| deployment(live)),
        ("apps", "StatefulSet") => observed(live).unwrap_or_else(|| stateful_set(live)),
        ("apps", "DaemonSet") => observed(live).unwrap_or_else(|| daemon_set(live)),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => observed(live).unwrap_or_else(|| replicas(live)),
        ("batch", "Job") => job(live),
        ("", "Pod") => pod(live),
        ("", "PersistentVolumeClaim") => claim(live),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd(live),
        // Load balancers may be given addresses by something that comes later, or never; a Service works without.
        _ => State::Ready,
    }
}

/// A Job that counts as done only when it has completed; for hooks.
pub(super) fn judge_completion(key: &ObjectKey, live: &Value) -> State {
    match (key.group.as_str(), key.kind.as_str()) {
        ("batch", "Job") => match job_end(live) {
            Some(state) => state,
            None => State::Waiting(format!("{} active, {} failed", number(live, "/status/active"), number(live, "/status/failed"))),
        },
        ("", "Pod") => match live.pointer("/status/phase").and_then(Value::as_str) {
            Some("Succeeded") => State::Ready,
            Some("Failed") => State::Failed(format!("the pod failed{}", reason_of(live))),
            phase => State::Waiting(format!("phase {}", phase.unwrap_or("unknown"))),
        },
        _ => State::Ready,
    }
}

fn number(live: &Value, pointer: &str) -> i64 {
    live.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn wanted(live: &Value) -> i64 {
    live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn condition<'a>(live: &'a Value, kind: &str) -> Option<(&'a str, &'a Value)> {
    let list = live.pointer("/status/conditions")?.as_array()?;
    list.iter().find(|c| c["type"] == kind).map(|c| (c["status"].as_str().unwrap_or_default(), c))
}

fn said(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    format!("{}: {}", text("reason"), text("message"))
}

fn reason_of(live: &Value) -> String {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (text("/status/reason"), text("/status/message")) {
        (reason, message) if reason.is_empty() && message.is_empty() => String::new(),
        (reason, message) => format!(" ({reason} {message})"),
    }
}

/// Nothing that a controller says counts before it has seen the object.
fn observed(live: &Value) -> Option<State> {
    let behind = number(live, "/status/observedGeneration") < number(live, "/metadata/generation");
    behind.then(|| State::Waiting("its controller has not seen it yet".into()))
}

fn deployment(live: &Value) -> State {
    if live.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return State::Ready;
    }
    if let Some(("False", condition)) = condition(live, "Progressing")
        && condition["reason"] == "ProgressDeadlineExceeded"
    {
        return State::Failed(said(condition));
    }
    let (wanted, updated) = (wanted(live), number(live, "/status/updatedReplicas"));
    let (all, available) = (number(live, "/status/replicas"), number(live, "/status/availableReplicas"));
    if updated < wanted {
        State::Waiting(format!("{updated} of {wanted} pods are of the new version"))
    } else if all > updated {
        State::Waiting(format!("{} old pods are still there", all - updated))
    } else if available < updated {
        State::Waiting(format!("{available} of {wanted} pods are available"))
    } else {
        State::Ready
    }
}

fn stateful_set(live: &Value) -> State {
    let (wanted, ready) = (wanted(live), number(live, "/status/readyReplicas"));
    if ready < wanted {
        return State::Waiting(format!("{ready} of {wanted} pods are ready"));
    }
    if live.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return State::Ready;
    }
    let partition = number(live, "/spec/updateStrategy/rollingUpdate/partition");
    let updated = number(live, "/status/updatedReplicas");
    if updated < wanted - partition {
        return State::Waiting(format!("{updated} of {} pods are of the new version", wanted - partition));
    }
    let same = live.pointer("/status/updateRevision") == live.pointer("/status/currentRevision");
    if partition == 0 && !same && updated < wanted { State::Waiting("the new version is being rolled out".into()) } else { State::Ready }
}

fn daemon_set(live: &Value) -> State {
    if live.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return State::Ready;
    }
    let (wanted, updated) = (number(live, "/status/desiredNumberScheduled"), number(live, "/status/updatedNumberScheduled"));
    let available = number(live, "/status/numberAvailable");
    if updated < wanted {
        State::Waiting(format!("{updated} of {wanted} pods are of the new version"))
    } else if available < wanted {
        State::Waiting(format!("{available} of {wanted} pods are available"))
    } else {
        State::Ready
    }
}

fn replicas(live: &Value) -> State {
    let (wanted, ready) = (wanted(live), number(live, "/status/readyReplicas"));
    if ready < wanted { State::Waiting(format!("{ready} of {wanted} pods are ready")) } else { State::Ready }
}

fn job_end(live: &Value) -> Option<State> {
    if let Some(("True", _)) = condition(live, "Complete") {
        return Some(State::Ready);
    }
    match condition(live, "Failed") {
        Some(("True", condition)) => Some(State::Failed(said(condition))),
        _ => None,
    }
}

/// A Job of a release need not have ended; it must have started or ended, and not have failed.
fn job(live: &Value) -> State {
    if let Some(end) = job_end(live) {
        return end;
    }
    let suspended = live.pointer("/spec/suspend") == Some(&Value::Bool(true));
    if suspended || number(live, "/status/ready") + number(live, "/status/succeeded") > 0 {
        State::Ready
    } else {
        State::Waiting(format!("{} active, {} failed", number(live, "/status/active"), number(live, "/status/failed")))
    }
}

fn pod(live: &Value) -> State {
    match live.pointer("/status/phase").and_then(Value::as_str) {
        Some("Succeeded") => State::Ready,
        Some("Failed") => State::Failed(format!("the pod failed{}", reason_of(live))),
        phase => match condition(live, "Ready") {
            Some(("True", _)) => State::Ready,
            _ => State::Waiting(format!("phase {}", phase.unwrap_or("unknown"))),
        },
    }
}

/// A claim whose class binds at first use stays pending until a pod comes; the pod is what is waited for.
fn claim(live: &Value) -> State {
    match live.pointer("/status/phase").and_then(Value::as_str) {
        Some("Lost") => State::Failed("its volume is lost".into()),
        _ => State::Ready,
    }
}

fn crd(live: &Value) -> State {
    match (condition(live, "Established"), condition(live, "NamesAccepted")) {
        (Some(("True", _)), _) => State::Ready,
        // A name that is taken is reported as established by Helm, as the kind exists then (pkg/kube/ready.go, `crdReady`).
        (_, Some(("False", condition))) => State::Failed(said(condition)),
        _ => State::Waiting("it is not established yet".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(group: &str, kind: &str) -> ObjectKey {
        ObjectKey { group: group.into(), kind: kind.into(), namespace: Some("shop".into()), name: "web".into() }
    }

    #[test]
    fn deployments_are_ready_when_all_pods_are_new_and_available() {
        let deployment = |status: Value| judge(&key("apps", "Deployment"), &json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}));
        let waiting = |text: &str| State::Waiting(text.into());
        assert_eq!(deployment(json!({"observedGeneration": 1})), waiting("its controller has not seen it yet"));
        assert_eq!(deployment(json!({"observedGeneration": 2, "updatedReplicas": 1})), waiting("1 of 2 pods are of the new version"));
        assert_eq!(deployment(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3})), waiting("1 old pods are still there"));
        assert_eq!(
            deployment(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 1})),
            waiting("1 of 2 pods are available")
        );
        assert_eq!(deployment(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2})), State::Ready);
        let stuck =
            json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "no"}]});
        assert_eq!(deployment(stuck), State::Failed("ProgressDeadlineExceeded: no".into()));
    }

    #[test]
    fn jobs_of_hooks_must_complete_and_others_must_run() {
        let (job, running) = (key("batch", "Job"), json!({"status": {"active": 1, "ready": 1}}));
        assert_eq!(judge(&job, &running), State::Ready);
        assert!(matches!(judge_completion(&job, &running), State::Waiting(_)));
        let failed = json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "twice"}]}});
        assert_eq!(judge(&job, &failed), State::Failed("BackoffLimitExceeded: twice".into()));
        let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        assert_eq!(judge_completion(&job, &complete), State::Ready);
    }

    #[test]
    fn others() {
        assert_eq!(judge(&key("", "Service"), &json!({"spec": {"type": "LoadBalancer"}})), State::Ready);
        assert_eq!(judge(&key("", "PersistentVolumeClaim"), &json!({"status": {"phase": "Pending"}})), State::Ready);
        assert_eq!(
            judge(&key("apps", "DaemonSet"), &json!({"status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}})),
            State::Ready
        );
        assert!(matches!(judge(&key("", "Pod"), &json!({"status": {"phase": "Failed", "reason": "Evicted"}})), State::Failed(s) if s.contains("Evicted")));
        let crd = key("apiextensions.k8s.io", "CustomResourceDefinition");
        assert_eq!(judge(&crd, &json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}})), State::Ready);
    }
}
