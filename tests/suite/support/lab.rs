//! The cluster of tests/lab: one for the whole suite, started when the first test asks for it and ended with the suite.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Finished, finish, root, run, tool};

/// A lab that runs.
pub(crate) struct Lab {
    folder: PathBuf,
    env: Vec<(&'static str, String)>,
    nodes: RwLock<()>,
}

/// The lab, or nothing (said on standard error) where no lab is wanted. With `OFFLINE_LAB_DIR` a running one is used.
pub(crate) fn lab() -> Option<&'static Lab> {
    static LAB: OnceLock<Option<Lab>> = OnceLock::new();
    let lab = LAB.get_or_init(|| match (std::env::var_os("OFFLINE_LAB_DIR"), std::env::var_os("OFFLINE_LAB")) {
        (Some(folder), _) => Some(Lab { folder: folder.into(), env: Vec::new(), nodes: RwLock::new(()) }),
        (None, Some(on)) if on == "1" => Some(Lab::up()),
        _ => None,
    });
    if lab.is_none() {
        eprintln!("skipped: needs the lab (OFFLINE_LAB=1, as root)");
    }
    lab.as_ref()
}

impl Lab {
    /// Starts it with two nodes under names of its own, so that a lab started by hand stays as it is.
    fn up() -> Self {
        let folder = std::env::temp_dir().join("offline-suite-lab");
        let own = [("LAB_NAME", "offsuite"), ("LAB_NET", "172.31.78"), ("LAB_API_PORT", "6453"), ("LAB_ETCD_PORT", "2409")];
        let lab = Self { folder, env: own.map(|(name, value)| (name, value.to_owned())).into(), nodes: RwLock::new(()) };
        run(&mut lab.script(&["up", "2"]));
        lab.script(&["down-after", &std::process::id().to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        lab
    }

    /// tests/lab/lab.sh for this lab.
    pub(crate) fn script(&self, args: &[&str]) -> Command {
        let mut command = Command::new(root().join("tests/lab/lab.sh"));
        command.env("LAB", &self.folder).envs(self.env.iter().map(|(name, value)| (name, value))).args(args);
        command
    }

    /// The admin's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// Held by tests that only need nodes to be there.
    pub(crate) fn share(&self) -> RwLockReadGuard<'_, ()> {
        self.nodes.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Held by tests that break nodes or look at everything in the cluster: nobody else may run.
    pub(crate) fn own(&self) -> RwLockWriteGuard<'_, ()> {
        self.nodes.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// kubectl that may fail.
    pub(crate) fn try_kubectl(&self, args: &[&str]) -> Finished {
        finish(Command::new(tool("kubectl")).arg("--kubeconfig").arg(self.kubeconfig()).args(args))
    }

    /// kubectl that must succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).ok().stdout
    }

    /// `kubectl get … -o json`, its items.
    #[track_caller]
    pub(crate) fn items(&self, args: &[&str]) -> Vec<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], args].concat());
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().cloned().unwrap_or_default()
    }

    /// helm3 or helm4 in a namespace.
    #[track_caller]
    pub(crate) fn helm(&self, which: &str, namespace: &str, args: &[&str]) -> String {
        run(Command::new(tool(which)).arg("--kubeconfig").arg(self.kubeconfig()).args(["-n", namespace]).args(args))
    }

    /// `ctr -n k8s.io images ls` on a node, one image a line.
    pub(crate) fn images(&self, node: u32) -> String {
        run(&mut self.script(&["ctr", &node.to_string(), "images", "ls"]))
    }

    /// Every object except what the cluster writes by itself: `kind/namespace/name` and its resourceVersion.
    pub(crate) fn objects(&self) -> Vec<(String, String)> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
        let busy =
            ["events", "events.events.k8s.io", "leases.coordination.k8s.io", "nodes", "componentstatuses", "endpoints", "apiservices.apiregistration.k8s.io"];
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !busy.contains(kind)).collect();
        let items = self.items(&["--all-namespaces", &kinds.join(",")]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = items
            .iter()
            .map(|item| {
                let meta = &item["metadata"];
                (format!("{}/{}/{}", text(&item["kind"]), text(&meta["namespace"]), text(&meta["name"])), text(&meta["resourceVersion"]))
            })
            .collect();
        found.sort();
        found
    }

    /// Names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.objects().into_iter().map(|(name, _)| name).collect()
    }

    /// Demands that soon only the objects of `before` are there, and all of them.
    #[track_caller]
    pub(crate) fn nothing_left(&self, before: &[String]) {
        let left = || -> Vec<String> { self.names().into_iter().filter(|name| !before.contains(name)).collect() };
        eventually(90, || if left().is_empty() { Ok(()) } else { Err(format!("left behind: {:?}", left())) });
    }

    /// Deletes a namespace and waits.
    pub(crate) fn delete_namespace(&self, name: &str) {
        self.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=120s"]);
    }

    /// A kubeconfig of a service account that may only read.
    pub(crate) fn reader(&self, namespace: &str, at: &Path) {
        self.kubectl(&["create", "namespace", namespace]);
        self.kubectl(&["-n", namespace, "create", "serviceaccount", "reader"]);
        self.kubectl(&["create", "clusterrole", &format!("{namespace}-read"), "--verb=get,list,watch", "--resource=*.*"]);
        self.kubectl(&[
            "create",
            "clusterrolebinding",
            &format!("{namespace}-read"),
            &format!("--clusterrole={namespace}-read"),
            &format!("--serviceaccount={namespace}:reader"),
        ]);
        let token = self.kubectl(&["-n", namespace, "create", "token", "reader"]);
        std::fs::copy(self.kubeconfig(), at).unwrap();
        let set = |args: &[&str]| run(Command::new(tool("kubectl")).arg("--kubeconfig").arg(at).arg("config").args(args));
        set(&["set-credentials", "reader", &format!("--token={}", token.trim())]);
        set(&["set-context", "lab", "--user=reader"]);
    }
}

/// Tries until it is true, at most so many seconds; then panics with the last reason.
#[track_caller]
pub(crate) fn eventually(seconds: u64, mut check: impl FnMut() -> Result<(), String>) {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        match check() {
            Ok(()) => return,
            Err(reason) => assert!(Instant::now() < until, "after {seconds} s: {reason}"),
        }
        thread::sleep(Duration::from_millis(500));
    }
}
