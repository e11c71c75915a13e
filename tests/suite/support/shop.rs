//! The delivery of the end-to-end tests (tests/fixtures/shop): two apps whose images are in a registry with basic auth.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Program, Upstream, root};

/// A registry with the shop's images, and a folder with its delivery.
pub(crate) struct Shop {
    /// Where the images come from.
    pub upstream: Upstream,
    folder: TempDir,
    tool: String,
    namespace: String,
}

const BUSYBOX: &str = "/bin/busybox:bin/busybox";

impl Shop {
    /// Fills a registry and makes a key pair (shop.key, shop.pub).
    pub(crate) fn open(namespace: &str) -> Self {
        let upstream = Upstream::start();
        let folder = TempDir::new().unwrap();
        for (name, version) in
            [("store", "1.0"), ("store", "1.1"), ("sweep", "1.0"), ("migrate", "1.0"), ("robot", "1.0"), ("cache", "1.0"), ("front", "latest")]
        {
            push(&upstream, folder.path(), namespace, name, version, "amd64");
        }
        push(&upstream, folder.path(), namespace, "tool-amd64", "1.0", "amd64");
        push(&upstream, folder.path(), namespace, "tool-arm64", "1.0", "arm64");
        let tool = upstream.push_index("shop/tool:1.0", &["shop/tool-amd64:1.0", "shop/tool-arm64:1.0"]);
        let shop = Self { upstream, folder, tool, namespace: namespace.to_owned() };
        shop.program().run(&["keygen", "-o", "shop"]).ok();
        shop
    }

    /// The folder in which the program runs.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program, with the registry's password.
    pub(crate) fn program(&self) -> Program {
        Program::new(self.path()).env("DOCKER_CONFIG", self.upstream.docker_config().to_str().unwrap())
    }

    /// References that the pods and objects of version 1.0 name.
    pub(crate) fn references(&self) -> Vec<String> {
        let tool = format!("shop/tool@{}", self.tool);
        ["shop/store:1.0", "shop/sweep:1.0", "shop/migrate:1.0", "shop/robot:1.0", "shop/cache:1.0", "shop/front:latest", &tool]
            .map(|name| format!("{}/{name}", self.upstream.host))
            .into()
    }

    /// Writes the delivery of a version; returns the path of delivery.yaml.
    pub(crate) fn delivery(&self, version: &str, registry: Option<&str>) -> PathBuf {
        let folder = self.path().join(version);
        let line = registry.map(|registry| format!("  registry: {registry}")).unwrap_or_default();
        let put_in = |text: String| {
            text.replace("@REGISTRY_LINE@", &line)
                .replace("@NAMESPACE@", &self.namespace)
                .replace("@VERSION@", version)
                .replace("@HOST@", &self.upstream.host)
                .replace("@TOOL@", &self.tool)
        };
        copy(&root().join("tests/fixtures/shop"), &folder, &put_in);
        folder.join("delivery.yaml")
    }

    /// Exports a version to `shop-VERSION.tar` and returns its path.
    #[track_caller]
    pub(crate) fn export(&self, version: &str, registry: Option<&str>) -> String {
        let out = self.path().join(format!("shop-{version}.tar")).to_str().unwrap().to_owned();
        let delivery = self.delivery(version, registry);
        self.program().run(&["export", "-f", delivery.to_str().unwrap(), "-o", &out, "--key", "shop.key"]).ok();
        out
    }
}

/// The images of each shop are its own: a node that got them in one test must not have them in another.
fn push(upstream: &Upstream, folder: &Path, namespace: &str, name: &str, version: &str, arch: &str) {
    let marker = folder.join(format!("{name}-{version}"));
    fs::write(&marker, format!("{namespace} {name} {version} {arch}\n")).unwrap();
    let own = format!("{}:etc/shop", marker.display());
    upstream.push_files(&format!("shop/{name}:{version}"), arch, &[BUSYBOX, "->busybox:bin/sh", "->busybox:bin/sleep", "--", &own]);
}

fn copy(from: &Path, to: &Path, put_in: &dyn Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, put_in);
        } else {
            fs::write(target, put_in(fs::read_to_string(entry.path()).unwrap())).unwrap();
        }
    }
}

/// Sends the signal that Ctrl-C sends.
pub(crate) fn interrupt(process: &std::process::Child) {
    Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
}
