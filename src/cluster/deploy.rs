//! One app into the cluster, and back out if the whole does not succeed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    Catalog, Cluster, ClusterError, HookRun, Object, ObjectKey, Right, WaitOptions, apply,
    hooks::clear_all,
    object::flatten,
    release::{Hook, Info, Release, Status, Store, Stored, base_of, last_of, now},
    run_hooks, wait_ready,
};
use crate::progress::SharedReporter;

/// Whether an app is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is there, exactly so.
    Unchanged,
    /// It is new.
    Installed,
    /// It was there, and is another now.
    Upgraded,
}

/// What is to be in the cluster: an app, rendered and rewritten.
#[derive(Debug, Clone, Default)]
pub struct App {
    /// Name of the app and its release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// The chart, as releases store it.
    pub chart: Value,
    /// The user's values.
    pub config: Map<String, Value>,
    /// What was rendered, as releases store it.
    pub manifest: String,
    /// The manifest's documents.
    pub documents: Vec<Value>,
    /// The hooks, each with its documents.
    pub hooks: Vec<(Hook, Vec<Value>)>,
    /// The documents of `crds/`.
    pub crds: Vec<Value>,
    /// NOTES.txt, rendered.
    pub notes: String,
    /// Whether the chart is made up around plain manifests: then its version is the delivery's, and a new one alone changes nothing.
    pub plain: bool,
    /// Labels for the release's Secret.
    pub labels: BTreeMap<String, String>,
}

/// What the cluster has of an app.
#[derive(Debug, Clone)]
pub struct Present {
    history: Vec<Stored>,
    base: Option<Stored>,
}

impl Present {
    /// Reads the revisions of a release. Fails if somebody is at work on it.
    pub async fn read(cluster: &Cluster, namespace: &str, name: &str) -> Result<Self, ClusterError> {
        let history = Store::of(cluster.client(), namespace).history(name).await?;
        let last = last_of(&history)?;
        // After `helm uninstall --keep-history` nothing of it is in the cluster.
        let gone = last.is_some_and(|last| last.release.info.status == Status::Uninstalled);
        let base = if gone { None } else { base_of(&history).cloned() };
        Ok(Self { history, base })
    }

    /// The revision that comes next, and whether that is an upgrade.
    pub fn next(&self) -> (u32, bool) {
        (self.history.last().map_or(0, |last| last.release.version) + 1, self.base.is_some())
    }

    /// The revision in force, if it is the newest and well: what an unchanged app must equal.
    pub fn settled(&self) -> Option<&Release> {
        self.history.last().map(|last| &last.release).filter(|release| release.info.status == Status::Deployed)
    }

    /// The manifest whose objects are in the cluster.
    pub fn manifest(&self) -> &str {
        self.base.as_ref().map_or("", |base| &base.release.manifest)
    }
}

/// Whether what is stored is what is wanted. Times and fates of hooks do not count.
pub fn same(release: &Release, app: &App) -> bool {
    let hook = |hook: &Hook| (hook.path.clone(), hook.manifest.clone(), hook.events.clone(), hook.weight);
    let stored: Vec<_> = release.hooks.iter().map(hook).collect();
    let wanted: Vec<_> = app.hooks.iter().map(|(h, _)| hook(h)).collect();
    let config = |config: &Map<String, Value>| floats(&Value::Object(config.clone()));
    let chart = |chart: &Value| {
        let mut chart = floats(chart);
        if let Some(metadata) = chart.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| app.plain) {
            metadata.remove("version");
        }
        chart
    };
    release.manifest == app.manifest && config(&release.config) == config(&app.config) && stored == wanted && chart(&release.chart) == chart(&app.chart)
}

/// Helm writes `1` where others write `1.0`: to compare, every number is a float.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(floats).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), floats(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

/// An app with everything that is to be done for it.
#[derive(Debug)]
pub struct Deployment {
    /// The app.
    pub app: App,
    /// What is to be done.
    pub change: Change,
    present: Present,
    objects: Vec<Object>,
    old: Vec<Object>,
    crds: Vec<Object>,
    runs: Vec<HookRun>,
    existing: BTreeSet<ObjectKey>,
    missing_crds: Vec<ObjectKey>,
    done: Done,
}

/// What this run has done so far.
#[derive(Debug, Default)]
struct Done {
    namespace: bool,
    crds: Vec<ObjectKey>,
    stored: Option<Stored>,
    objects: bool,
    finished: bool,
}

impl Deployment {
    /// Finds all places in the cluster; reads, and writes nothing. `old` are the documents of the manifest in the cluster.
    pub async fn plan(cluster: &Cluster, catalog: &Catalog, mut app: App, present: Present, old: Vec<Value>) -> Result<Self, ClusterError> {
        let resolve = |documents: Vec<Value>| -> Result<Vec<Object>, ClusterError> {
            flatten(documents).into_iter().map(|document| Object::resolve(catalog, document, &app.namespace)).collect()
        };
        let mut objects = resolve(std::mem::take(&mut app.documents))?;
        let crds = resolve(std::mem::take(&mut app.crds))?;
        // Kinds of the old manifest may be gone from the cluster, and their objects with them.
        let old = flatten(old).into_iter().filter_map(|document| Object::resolve(catalog, document, &app.namespace).ok()).collect::<Vec<_>>();
        let mut runs = Vec::new();
        for (index, (_, documents)) in app.hooks.iter_mut().enumerate() {
            runs.push(HookRun { index, objects: resolve(std::mem::take(documents))? });
        }
        let owner = apply::Owner { release: &app.name, namespace: &app.namespace };
        for object in &mut objects {
            owner.stamp(object);
        }
        let mut old = old;
        for object in &mut old {
            owner.stamp(object);
        }
        let existing = apply::existing(cluster.client(), &objects, &old, owner).await?;
        let mut missing_crds = Vec::new();
        for crd in &crds {
            if crd.live(cluster.client()).await?.is_none() {
                missing_crds.push(crd.key().clone());
            }
        }
        let settled = present.settled().is_some_and(|release| same(release, &app));
        let change = match present.base {
            Some(_) if settled && existing.len() == objects.iter().map(Object::key).collect::<BTreeSet<_>>().len() => Change::Unchanged,
            Some(_) => Change::Upgraded,
            None => Change::Installed,
        };
        Ok(Self { app, change, present, objects, old, crds, runs, existing, missing_crds, done: Done::default() })
    }

    /// The app's objects, with Helm's marks.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The revision in force once all is done.
    pub fn revision(&self) -> u32 {
        match (&self.done.stored, self.change) {
            (Some(stored), _) => stored.release.version,
            (None, Change::Unchanged) => self.present.settled().map_or(0, |release| release.version),
            (None, _) => self.present.next().0,
        }
    }

    /// What the account must be allowed to do.
    pub fn rights(&self, namespace_exists: bool) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        if self.change == Change::Unchanged {
            return rights;
        }
        let mut need = |verbs: &[&str], group: &str, resource: &str, namespace: Option<&str>| {
            rights.extend(verbs.iter().map(|verb| Right::new(verb, group, resource, namespace)));
        };
        if !namespace_exists {
            need(&["create"], "", "namespaces", None);
        }
        need(&["get", "list", "create", "update", "delete"], "", "secrets", Some(&self.app.namespace));
        for object in &self.objects {
            let (group, resource) = object.resource();
            need(&["get", "create", "patch", "delete"], group, resource, object.key().namespace.as_deref());
        }
        for object in self.runs.iter().flat_map(|run| &run.objects).chain(&self.crds) {
            let (group, resource) = object.resource();
            need(&["get", "create", "delete"], group, resource, object.key().namespace.as_deref());
        }
        for object in apply::vanished(&self.old, &self.objects) {
            let (group, resource) = object.resource();
            need(&["get", "delete"], group, resource, object.key().namespace.as_deref());
        }
        rights
    }

    /// Does it all: namespace, definitions, pending record, hooks, objects, wait, hooks, record.
    pub async fn run(&mut self, cluster: &Cluster, wait: WaitOptions, reporter: &SharedReporter) -> Result<(), ClusterError> {
        if self.change == Change::Unchanged {
            return self.relabel(cluster).await;
        }
        let client = cluster.client();
        let store = Store::of(client, &self.app.namespace);
        // What is about to be done is noted before it is done: the run may be stopped at any await.
        self.done.namespace = !apply::namespace_exists(client, &self.app.namespace).await?;
        apply::ensure_namespace(client, &self.app.namespace).await?;
        let mut stored = self.pending();
        self.done.stored = Some(stored.clone());
        if let Err(error) = store.create(&stored).await {
            // The record is the lock: whoever comes second stops here, and must not take away the first one's.
            self.done.stored = None;
            return Err(error);
        }
        self.done.crds.clone_from(&self.missing_crds);
        apply::create_crds(client, &self.crds).await?;

        let upgrade = self.change == Change::Upgraded;
        let (before, after) = if upgrade { ("pre-upgrade", "post-upgrade") } else { ("pre-install", "post-install") };
        let said = |line: String| reporter.note(line);
        run_hooks(client, &mut stored.release.hooks, &self.runs, before, wait, &said).await?;
        self.done.objects = true;
        apply::apply(client, &self.objects).await?;
        let kept = apply::delete(client, apply::vanished(&self.old, &self.objects)).await?;
        for key in kept {
            reporter.note(format!("{key} is no longer part of the app and stays, as its resource policy asks"));
        }
        wait_ready(client, &self.objects, wait, &said).await?;
        run_hooks(client, &mut stored.release.hooks, &self.runs, after, wait, &said).await?;

        if let Some(mut base) = self.present.base.clone() {
            base.release.info.status = Status::Superseded;
            store.update(&base).await?;
        }
        stored.release.info.status = Status::Deployed;
        stored.release.info.description = String::from(if upgrade { "Upgrade complete" } else { "Install complete" });
        self.done.finished = true;
        store.update(&stored).await?;
        self.done.stored = Some(stored);
        Ok(())
    }

    /// The record of a release that is being made (helm, pkg/action/install.go, `createRelease`).
    fn pending(&self) -> Stored {
        let (version, upgrade) = self.present.next();
        let deployed = now();
        let first = self.present.base.as_ref().map(|base| base.release.info.first_deployed.clone()).filter(|first| !first.is_empty());
        let info = Info {
            first_deployed: first.unwrap_or_else(|| deployed.clone()),
            last_deployed: deployed,
            description: if upgrade { "Preparing upgrade" } else { "Initial install underway" }.to_owned(),
            status: if upgrade { Status::PendingUpgrade } else { Status::PendingInstall },
            notes: self.app.notes.clone(),
            ..Info::default()
        };
        let release = Release {
            name: self.app.name.clone(),
            info,
            chart: self.app.chart.clone(),
            config: self.app.config.clone(),
            manifest: self.app.manifest.clone(),
            hooks: self.app.hooks.iter().map(|(hook, _)| hook.clone()).collect(),
            version,
            namespace: self.app.namespace.clone(),
            apply_method: Some("ssa".into()),
            other: Map::new(),
        };
        let mut labels = self.present.base.as_ref().map(|base| base.labels.clone()).unwrap_or_default();
        labels.extend(self.app.labels.clone());
        Stored { release, labels }
    }

    /// An unchanged app may belong to a newer version of its delivery; its Secret says so, and nothing else changes.
    async fn relabel(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let Some(mut stored) = self.present.history.last().cloned() else { return Ok(()) };
        if self.app.labels.iter().all(|(key, value)| stored.labels.get(key) == Some(value)) {
            return Ok(());
        }
        stored.labels.extend(self.app.labels.clone());
        Store::of(cluster.client(), &self.app.namespace).update(&stored).await
    }

    /// Removes revisions beyond Helm's limit; only once everything is well, as they could not be brought back.
    pub async fn prune(&self, cluster: &Cluster, limit: usize) -> Result<(), ClusterError> {
        if self.change == Change::Unchanged {
            return Ok(());
        }
        let store = Store::of(cluster.client(), &self.app.namespace);
        let history = store.history(&self.app.name).await?;
        store.prune(&history, limit + 1).await
    }

    /// Takes back what this run did. Tells what could not be.
    pub async fn undo(&mut self, cluster: &Cluster) -> Vec<String> {
        let mut left = Vec::new();
        let mut note = |what: &str, outcome: Result<(), ClusterError>| {
            if let Err(error) = outcome {
                left.push(format!("{what} of {}: {error}", self.app.name));
            }
        };
        let client = cluster.client();
        if self.done.stored.is_some() {
            let hooks: Vec<Hook> = self.app.hooks.iter().map(|(hook, _)| hook.clone()).collect();
            if self.change == Change::Installed {
                for event in ["pre-install", "post-install"] {
                    note("hooks", clear_all(client, &hooks, &self.runs, event).await);
                }
            }
            if self.done.objects {
                note("objects", self.undo_objects(cluster).await);
            }
            note("record", self.undo_record(cluster).await);
        }
        let crds: Vec<&Object> = self.crds.iter().filter(|crd| self.done.crds.contains(crd.key())).collect();
        note("definitions", apply::delete(client, crds).await.map(|_| ()));
        if self.done.namespace {
            note("namespace", apply::delete_namespace(client, &self.app.namespace).await);
        }
        self.done = Done::default();
        left
    }

    async fn undo_objects(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let client = cluster.client();
        if self.present.base.is_some() {
            apply::apply(client, &self.old).await?;
        }
        let old: BTreeSet<&ObjectKey> = self.old.iter().map(Object::key).collect();
        let new: Vec<&Object> = self.objects.iter().filter(|o| !old.contains(o.key()) && !self.existing.contains(o.key())).collect();
        for object in new.iter().rev() {
            apply::remove(client, object).await?;
        }
        apply::wait_gone(client, new).await
    }

    async fn undo_record(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let store = Store::of(cluster.client(), &self.app.namespace);
        if let Some(stored) = &self.done.stored {
            store.delete(&stored.release).await?;
        }
        match &self.present.base {
            Some(base) => store.update(base).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sameness_looks_at_what_is_wanted() {
        let hook = Hook { name: "h".into(), path: "c/templates/h.yaml".into(), manifest: "a: b".into(), events: vec!["pre-install".into()], ..Hook::default() };
        let app = App { manifest: "---\n".into(), chart: json!({"metadata": {"version": "1"}}), hooks: vec![(hook.clone(), vec![])], ..App::default() };
        let mut ran = hook;
        ran.last_run.phase = "Succeeded".into();
        ran.delete_policies.push("before-hook-creation".into());
        let release = Release { manifest: app.manifest.clone(), chart: app.chart.clone(), hooks: vec![ran], ..Release::default() };
        assert!(same(&release, &app));
        assert!(!same(&Release { manifest: String::new(), ..release.clone() }, &app));
        assert!(!same(&Release { chart: json!({"metadata": {"version": "2"}}), ..release.clone() }, &app));
        assert!(same(&Release { chart: json!({"metadata": {"version": "2"}}), ..release.clone() }, &App { plain: true, ..app.clone() }));
        assert!(!same(&Release { config: json!({"a": 1}).as_object().unwrap().clone(), ..release }, &app));
    }
}
