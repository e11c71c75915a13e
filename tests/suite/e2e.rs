//! The whole way, once, for real: a registry with basic auth on one side, two nodes that can reach nothing on the other.

use serde_json::Value;

use crate::support::{Finished, Lab, Shop, lab};

#[track_caller]
fn install(lab: &Lab, shop: &Shop, archive: &str) -> Finished {
    let kubeconfig = lab.kubeconfig();
    let args = ["install", archive, "--key", "shop.pub", "--kubeconfig", kubeconfig.to_str().unwrap(), "--timeout", "4m", "--format", "json"];
    shop.program().run(&args).ok()
}

/// Bytes that the run sent to nodes: the sum of every number under a key that speaks of bytes sent.
fn sent(outcome: &Value) -> u64 {
    fn add(value: &Value, seen: &mut bool) -> u64 {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| {
                    let key = key.to_lowercase();
                    let counts = key.contains("sent") || key.contains("transferred");
                    *seen |= counts && value.is_u64();
                    if counts { value.as_u64().unwrap_or(0) } else { add(value, seen) }
                })
                .sum(),
            Value::Array(items) => items.iter().map(|item| add(item, seen)).sum(),
            _ => 0,
        }
    }
    let mut seen = false;
    let bytes = add(outcome, &mut seen);
    assert!(seen, "the outcome does not say how much was sent: {outcome}");
    bytes
}

#[track_caller]
fn all_run(lab: &Lab, namespace: &str, version: &str) {
    let pods = lab.items(&["-n", namespace, "pods"]);
    for app in ["store", "front", "cache"] {
        let mut nodes = Vec::new();
        for pod in pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == app && pod["metadata"]["deletionTimestamp"].is_null()) {
            assert_eq!(pod["status"]["phase"], "Running", "{pod}");
            assert_eq!(pod["status"]["containerStatuses"][0]["ready"], true, "{pod}");
            if app != "cache" {
                assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], version, "{app}");
            }
            nodes.push(pod["spec"]["nodeName"].as_str().unwrap().to_owned());
        }
        nodes.sort();
        assert_eq!(nodes, ["node1", "node2"], "{app}");
    }
}

#[track_caller]
fn pinned(lab: &Lab, reference: &str) {
    for node in [1, 2] {
        let images = lab.images(node);
        let line = images.lines().find(|line| line.split_whitespace().next() == Some(reference));
        let line = line.unwrap_or_else(|| panic!("no {reference} on node {node}:\n{images}"));
        assert!(line.contains("io.cri-containerd.pinned=pinned"), "not pinned: {line}");
    }
}

/// What an install may have added: the namespace's own objects, releases and the remembered version as Secrets, the CRD; no Job, no other Secret.
#[track_caller]
fn nothing_of_ours(lab: &Lab, before: &[String], namespace: &str) {
    let foreign = || -> Vec<String> {
        let secrets = lab.items(&["-n", namespace, "secrets"]);
        let stays = |secret: &Value| secret["type"] == "helm.sh/release.v1" || secret["type"] == "offline.dev/delivery.v1";
        let release = |name: &str| secrets.iter().any(|s| s["metadata"]["name"] == name && stays(s));
        let fine = |name: &str| {
            let mut parts = name.splitn(3, '/');
            match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
                ("Job", ..) => false,
                ("Secret", place, secret) => place == namespace && release(secret),
                ("Namespace", "", name) => name == namespace,
                ("CustomResourceDefinition", "", name) => name == "robots.shop.example",
                (_, place, _) => place == namespace,
            }
        };
        lab.names().into_iter().filter(|name| !before.contains(name) && !fine(name)).collect()
    };
    crate::support::eventually(90, || if foreign().is_empty() { Ok(()) } else { Err(format!("left behind: {:?}", foreign())) });
}

#[track_caller]
fn helm_sees(lab: &Lab, namespace: &str, revisions: usize) {
    for helm in ["helm3", "helm4"] {
        let list: Vec<Value> = serde_json::from_str(&lab.helm(helm, namespace, &["list", "-o", "json"])).unwrap();
        let mut names: Vec<_> = list.iter().map(|release| (release["name"].as_str().unwrap(), release["status"].as_str().unwrap())).collect();
        names.sort_unstable();
        assert_eq!(names, [("front", "deployed"), ("store", "deployed")], "{helm}");
        let manifest = lab.helm(helm, namespace, &["get", "manifest", "store"]);
        for wanted in ["kind: Deployment", "kind: CronJob", "kind: DaemonSet", "kind: Robot"] {
            assert!(manifest.contains(wanted), "{helm}: no {wanted} in\n{manifest}");
        }
        assert!(lab.helm(helm, namespace, &["get", "hooks", "store"]).contains("kind: Job"), "{helm}");
        let history: Vec<Value> = serde_json::from_str(&lab.helm(helm, namespace, &["history", "store", "-o", "json"])).unwrap();
        assert_eq!(history.len(), revisions, "{helm}: {history:?}");
    }
}

#[test]
fn cluster_a_delivery_becomes_running_pods() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("shop");
    let old = shop.export("1.0", None);
    shop.program().run(&["verify", &old, "--key", "shop.pub"]).ok();
    let before = lab.names();

    let first = install(lab, &shop, &old);
    assert!(sent(&first.json()) > 0);
    all_run(lab, "shop", "1.0");
    for reference in shop.references() {
        pinned(lab, &reference);
    }
    helm_sees(lab, "shop", 1);
    nothing_of_ours(lab, &before, "shop");
    let kubeconfig = lab.kubeconfig();
    let ask = |args: &[&str]| shop.program().run(&[args, &["--kubeconfig", kubeconfig.to_str().unwrap()]].concat()).ok().stdout;
    assert!(ask(&["list"]).contains("shop"));
    assert!(ask(&["status", "shop"]).contains("node1"));

    let stood = lab.objects();
    let second = install(lab, &shop, &old);
    assert_eq!(sent(&second.json()), 0, "{}", second.stdout);
    let names: Vec<String> = stood.iter().map(|(name, _)| name.clone()).collect();
    lab.nothing_left(&names);
    assert_eq!(lab.objects(), stood, "the second install changed something");

    let new = shop.export("1.1", None);
    install(lab, &shop, &new);
    all_run(lab, "shop", "1.1");
    helm_sees(lab, "shop", 2);
    nothing_of_ours(lab, &before, "shop");

    for release in ["store", "front"] {
        lab.helm("helm3", "shop", &["rollback", release, "1", "--wait", "--timeout", "3m"]);
    }
    crate::support::eventually(60, || {
        // Helm's --wait lets as many pods of a DaemonSet be down as its update strategy does.
        let settled = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Pending";
        if lab.items(&["-n", "shop", "pods"]).iter().all(settled) { Ok(()) } else { Err("old pods are still ending, or new ones starting".to_owned()) }
    });
    all_run(lab, "shop", "1.0");
    helm_sees(lab, "shop", 3);

    for (helm, release) in [("helm3", "front"), ("helm4", "store")] {
        lab.helm(helm, "shop", &["uninstall", release, "--wait"]);
    }
    lab.delete_namespace("shop");
    lab.kubectl(&["delete", "crd", "robots.shop.example"]);
    lab.nothing_left(&before);
}

/// `images --from-cluster` asks a real API server: pods that a Deployment made, init containers, names that the kubelet wrote anew, digests
/// of a real runtime, and a pod that nobody delivered.
#[test]
fn cluster_images_that_really_run() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("looked");
    let archive = shop.export("1.0", None);
    install(lab, &shop, &archive);
    all_run(lab, "looked", "1.0");
    let delivery = shop.path().join("1.0/delivery.yaml");
    let kubeconfig = lab.kubeconfig();
    let ask = |namespace: &str| {
        let args =
            ["images", "-f", delivery.to_str().unwrap(), "--from-cluster", "-n", namespace, "--format", "json", "--kubeconfig", kubeconfig.to_str().unwrap()];
        shop.program().run(&args).ok().json()
    };
    let running = |answer: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        answer["running"].as_array().unwrap().iter().map(|one| (text(&one["image"]), text(&one["found"]))).collect()
    };
    let answer = ask("looked");
    let pods: std::collections::BTreeSet<String> = lab
        .items(&["-n", "looked", "pods"])
        .iter()
        .flat_map(|pod| [pod["spec"]["containers"].clone(), pod["spec"]["initContainers"].clone()])
        .flat_map(|list| list.as_array().cloned().unwrap_or_default())
        .map(|container| container["image"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(running(&answer).into_iter().map(|(image, _)| image).collect::<std::collections::BTreeSet<_>>(), pods);
    assert!(running(&answer).iter().all(|(_, found)| found == "proven"), "{answer:#}");
    assert!(answer["running"].as_array().unwrap().iter().any(|one| one["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:"))), "{answer:#}");
    // A pod of somebody else runs an image that no delivery has; the same image by another name is as foreign.
    let foreign = format!("{}/shop/stranger:9", shop.upstream.host);
    let over = format!(r#"{{"spec": {{"containers": [{{"name": "c", "image": "{foreign}", "imagePullPolicy": "Never"}}]}}}}"#);
    lab.kubectl(&["-n", "looked", "run", "stranger", "--image", &foreign, "--restart=Never", "--overrides", &over]);
    let answer = ask("looked");
    assert!(running(&answer).contains(&(foreign.clone(), "missed".to_owned())), "{answer:#}");
    let empty = ask("default");
    assert!(running(&empty).is_empty() && !empty["excess"].as_array().unwrap().is_empty(), "{empty:#}");
    lab.delete_namespace("looked");
    lab.kubectl(&["delete", "crd", "robots.shop.example", "--ignore-not-found"]);
}

#[test]
fn cluster_images_are_renamed_to_the_registry_of_the_other_side() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("renamed");
    let archive = shop.export("1.0", Some("registry.shop.internal/mirror"));
    let before = lab.names();
    install(lab, &shop, &archive);
    all_run(lab, "renamed", "1.0");
    let mut seen = 0;
    for pod in lab.items(&["-n", "renamed", "pods"]) {
        for place in ["initContainers", "containers"] {
            for container in pod["spec"][place].as_array().into_iter().flatten() {
                let image = container["image"].as_str().unwrap();
                assert!(image.starts_with("registry.shop.internal/mirror/"), "{image}");
                assert_ne!(container["imagePullPolicy"], "Always", "could never work offline");
                pinned(lab, image);
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen} images in pods");
    for (kind, pointer) in
        [("robots.shop.example", "/spec/template/spec/containers/0/image"), ("cronjobs", "/spec/jobTemplate/spec/template/spec/containers/0/image")]
    {
        let object = &lab.items(&["-n", "renamed", kind])[0];
        assert!(object.pointer(pointer).unwrap().as_str().unwrap().starts_with("registry.shop.internal/mirror/"), "{object}");
    }
    nothing_of_ours(lab, &before, "renamed");
    for release in ["front", "store"] {
        lab.helm("helm4", "renamed", &["uninstall", release, "--wait"]);
    }
    lab.delete_namespace("renamed");
    lab.kubectl(&["delete", "crd", "robots.shop.example"]);
    lab.nothing_left(&before);
}

/// Takes the images of a registry from a node, with all their names, CRI's own `sha256:…` among them, and so their content. Gives how many names.
fn lose_images(lab: &Lab, node: u32, host: &str) -> usize {
    let listed = lab.images(node);
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let targets: Vec<&str> = rows.iter().filter(|row| row[0].starts_with(host)).map(|row| row[2]).collect();
    let names: Vec<&str> = rows.iter().filter(|row| targets.contains(&row[2])).map(|row| row[0]).collect();
    let node = node.to_string();
    let mut command = lab.script(&[&["ctr", &node, "images", "rm", "--sync"], &names[..]].concat());
    assert!(command.stdout(std::process::Stdio::null()).status().unwrap().success());
    names.len()
}

/// An update over what was installed, without its base, where a node has lost its images meanwhile.
#[test]
fn cluster_a_delta_is_installed_with_layers_of_other_nodes() {
    let Some(lab) = lab() else { return };
    let _all = lab.own();
    let shop = Shop::open("update");
    let old = shop.export("1.0", None);
    let before = lab.names();
    install(lab, &shop, &old);
    assert!(lose_images(lab, 2, &shop.upstream.host) > 7);

    let (delivery, new) = (shop.delivery("1.1", None), shop.path().join("delta.tar").to_str().unwrap().to_owned());
    let exported = shop.program().run(&["export", "-f", delivery.to_str().unwrap(), "-o", &new, "--key", "shop.key", "--base", &old, "--format", "json"]).ok();
    let left_out = exported.json()["base"]["leftOut"].as_u64().unwrap();
    assert!(left_out > 1_000_000, "{}", exported.stdout);
    let outcome = install(lab, &shop, &new).json();
    let [one, two] = ["node1", "node2"].map(|name| outcome["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap());
    assert!(one["bytesFromPeers"] == 0 && two["bytesFromPeers"].as_u64().unwrap() > 0, "{outcome}");
    all_run(lab, "update", "1.1");
    // Where all nodes have lost it, nobody is left to take it from, and that is told before anything is done.
    for node in [1, 2] {
        lose_images(lab, node, &shop.upstream.host);
    }
    let stood = lab.names();
    let kubeconfig = lab.kubeconfig();
    let args = ["install", &new, "--key", "shop.pub", "--kubeconfig", kubeconfig.to_str().unwrap()];
    shop.program().run(&args).code(5).says("node `node1` lacks sha256:");
    lab.nothing_left(&stood);
    // A registry that has the images gives what no node has, and so does the base. How much that is depends on what other tests have left there.
    let told = shop.program().run(&[&args[..], &["--blobs-from", &shop.upstream.host, "--format", "json"]].concat()).ok().json();
    assert!(told["nodes"].as_array().unwrap().iter().all(|node| node["bytesSent"].as_u64().unwrap() > 0), "{told}");
    for node in [1, 2] {
        lose_images(lab, node, &shop.upstream.host);
    }
    shop.program().run(&[&args[..], &["--base", &old]].concat()).ok();
    for release in ["front", "store"] {
        lab.helm("helm4", "update", &["uninstall", release, "--wait"]);
    }
    lab.delete_namespace("update");
    lab.kubectl(&["delete", "crd", "robots.shop.example"]);
    lab.nothing_left(&before);
}

#[test]
fn the_shop_exports_the_same_bytes_twice() {
    let shop = Shop::open("twice");
    let first = std::fs::read(shop.export("1.0", None)).unwrap();
    let second = std::fs::read(shop.export("1.0", None)).unwrap();
    assert!(first == second, "two exports differ");
    let images = shop.program().run(&["images", "-f", "1.0/delivery.yaml", "--format", "json"]).ok().json().to_string();
    for reference in shop.references() {
        assert!(images.contains(&reference), "no {reference} in {images}");
    }
}
