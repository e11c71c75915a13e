//! A second writer of archives, made from docs/archive-format.md alone: it shares no code with the program's writer, and writes what no writer should.

use offline::{archive::Signer as _, signing::PrivateKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DELIVERY: &str = "application/vnd.offline.delivery.v1+json";
const FILE: &str = "application/vnd.offline.file.v1";

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len()})
}

/// The header of the specification; the size may be any twelve bytes.
pub(crate) fn header(name: &[u8], size: u64) -> [u8; 512] {
    let mut head = [0; 512];
    head[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    head[100..108].copy_from_slice(b"0000644\0");
    head[108..116].copy_from_slice(b"0000000\0");
    head[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        head[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        head[124] = 0x80;
        head[128..136].copy_from_slice(&size.to_be_bytes());
    }
    head[136..148].copy_from_slice(b"00000000000\0");
    head[156] = b'0';
    head[257..265].copy_from_slice(b"ustar\x0000");
    checksum(&mut head);
    head
}

/// Writes the checksum that belongs to the rest.
pub(crate) fn checksum(head: &mut [u8; 512]) {
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|&byte| u32::from(byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An entry of the tar.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) head: [u8; 512],
    pub(crate) content: Vec<u8>,
    /// What fills the last block; whatever it is, it is written.
    pub(crate) filling: Vec<u8>,
}

impl Part {
    pub(crate) fn new(name: &str, content: Vec<u8>) -> Self {
        let filling = vec![0; (512 - content.len() % 512) % 512];
        Self { head: header(name.as_bytes(), content.len() as u64), content, filling }
    }

    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.head[..100]).trim_end_matches('\0').to_owned()
    }
}

/// The parts as a tar.
pub(crate) fn tar(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(part.head);
        bytes.extend(&part.content);
        bytes.extend(&part.filling);
    }
    bytes.extend([0; 1024]);
    bytes
}

/// What goes into an archive.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) roots: Vec<Value>,
    pub(crate) documents: Vec<Vec<u8>>,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) docker: Vec<Value>,
}

/// What is changed while a sound archive is being made: the record, a config, a manifest, the descriptor that names it.
pub(crate) struct Edits<'a> {
    pub(crate) record: &'a dyn Fn(&mut Value),
    pub(crate) config: &'a dyn Fn(Vec<u8>) -> Vec<u8>,
    pub(crate) manifest: &'a dyn Fn(Vec<u8>) -> Vec<u8>,
    pub(crate) root: &'a dyn Fn(&mut Value),
}

impl Default for Edits<'_> {
    fn default() -> Self {
        Self { record: &|_| (), config: &|bytes| bytes, manifest: &|bytes| bytes, root: &|_| () }
    }
}

impl Draft {
    /// The delivery `hostile` with one image of two layers, a chart and a file.
    pub(crate) fn sound() -> Self {
        Self::edited(&Edits::default())
    }

    pub(crate) fn edited(edits: &Edits<'_>) -> Self {
        let mut draft = Self { roots: Vec::new(), documents: Vec::new(), layers: Vec::new(), docker: Vec::new() };
        let layers = [vec![b'a'; 3000], vec![b'b'; 700]].map(|bytes| draft.layer(LAYER, bytes));
        let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = (edits.config)(json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string().into());
        let config = draft.document(CONFIG, config);
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let image = draft.document(MANIFEST, (edits.manifest)(manifest.to_string().into()));
        let package = b"chart".to_vec();
        let record = json!({"format": 1, "name": "hostile", "version": "1", "platforms": [{"architecture": "amd64", "os": "linux"}],
            "apps": [{"name": "web", "namespace": "shop", "source": {"kind": "chart", "name": "web", "version": "1.0.0", "digest": format!("sha256:{}", hex(&package))}}],
            "images": [{"reference": "registry.example/a:1", "digest": image["digest"], "origins": []}]});
        draft.delivery(record, edits.record);
        draft.artifact(
            "charts/web-1.0.0",
            "application/vnd.cncf.helm.config.v1+json",
            br#"{"name":"web"}"#,
            &["application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
            vec![package],
        );
        draft.image(image, "registry.example/a:1", edits.root);
        draft.docker.push(json!({"config": config, "tag": "registry.example/a:1", "layers": layers}));
        draft
    }

    fn delivery(&mut self, mut record: Value, edit: &dyn Fn(&mut Value)) {
        edit(&mut record);
        let file = descriptor_titled(b"kind: Delivery\n", "delivery.yaml");
        let bytes = serde_json::to_vec(&record).unwrap();
        let config = self.document(DELIVERY, bytes);
        self.layers.push(b"kind: Delivery\n".to_vec());
        let manifest = artifact_manifest(DELIVERY, &config, &[file]);
        self.root_of_ours("delivery", DELIVERY, manifest);
    }

    /// Puts the same record in, with its members in another order.
    pub(crate) fn replace_record(&mut self, record: &[u8]) {
        let before: Value = serde_json::from_slice(&self.documents[2]).unwrap();
        // The program writes members that have no value where the specification lets them be left out.
        assert_eq!(before["images"], serde_json::from_slice::<Value>(record).unwrap()["images"]);
        let layers = self.layers[2].clone();
        let manifest = artifact_manifest(DELIVERY, &descriptor(DELIVERY, record), &[descriptor_titled(&layers, "delivery.yaml")]);
        self.documents[2] = record.to_vec();
        self.roots[0] = {
            let mut root = descriptor(MANIFEST, &manifest);
            root["artifactType"] = json!(DELIVERY);
            root["annotations"] = json!({"dev.offline.name": "delivery"});
            root
        };
        self.documents[3] = manifest;
    }

    /// An artifact of ours; `kinds` are its layers' types.
    pub(crate) fn artifact(&mut self, name: &str, kind: &str, config: &[u8], kinds: &[&str], contents: Vec<Vec<u8>>) -> &mut Self {
        let config_kind = if config == b"{}" { EMPTY } else { kind };
        let config = self.document(config_kind, config.to_vec());
        let layers: Vec<Value> = kinds.iter().zip(contents).map(|(kind, content)| self.layer(kind, content)).collect();
        self.root_of_ours(name, kind, artifact_manifest(kind, &config, &layers));
        self
    }

    /// Puts what was named last behind the delivery.
    pub(crate) fn front(&mut self) {
        let root = self.roots.pop().unwrap();
        self.roots.insert(1, root);
    }

    fn root_of_ours(&mut self, name: &str, kind: &str, manifest: Vec<u8>) {
        let mut root = self.document(MANIFEST, manifest);
        root["artifactType"] = json!(kind);
        root["annotations"] = json!({"dev.offline.name": name});
        if let Some(version) = name.strip_prefix("charts/web-") {
            root["annotations"]["org.opencontainers.image.version"] = json!(version);
        }
        self.roots.push(root);
    }

    /// Names an image.
    pub(crate) fn image(&mut self, descriptor: Value, name: &str, edit: &dyn Fn(&mut Value)) {
        let mut root = descriptor;
        root["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name});
        edit(&mut root);
        self.roots.push(root);
    }

    pub(crate) fn document(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let made = descriptor(kind, &bytes);
        self.documents.push(bytes);
        made
    }

    pub(crate) fn layer(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let made = descriptor(kind, &bytes);
        self.layers.push(bytes);
        made
    }

    /// index.json, with members in the order of the specification.
    pub(crate) fn index(&self) -> Vec<u8> {
        let roots: Vec<String> = self.roots.iter().map(ordered).collect();
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}],"annotations":{{"dev.offline.format":"1"}}}}"#, roots.join(",")).into_bytes()
    }

    fn docker_list(&self) -> Vec<u8> {
        let blob = |descriptor: &Value| descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        let item = |image: &Value| {
            let layers: Vec<String> = image["layers"].as_array().unwrap().iter().map(blob).collect();
            format!(r#"{{"Config":"{}","RepoTags":["{}"],"Layers":{}}}"#, blob(&image["config"]), image["tag"].as_str().unwrap(), json!(layers))
        };
        format!("[{}]", self.docker.iter().map(item).collect::<Vec<_>>().join(",")).into_bytes()
    }

    /// All entries; signed if there is a key.
    pub(crate) fn parts(&self, key: Option<&PrivateKey>) -> Vec<Part> {
        self.parts_of(self.index(), key)
    }

    /// The same with another index.json.
    pub(crate) fn parts_of(&self, index: Vec<u8>, key: Option<&PrivateKey>) -> Vec<Part> {
        let bundle = key.map(|key| key.sign(&index).unwrap()).unwrap_or_default();
        let mut parts = vec![
            Part::new("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            Part::new("index.json", index),
            Part::new("index.json.sigstore.json", room(&bundle)),
            Part::new("manifest.json", self.docker_list()),
        ];
        let mut documents: Vec<(String, &Vec<u8>)> = self.documents.iter().map(|bytes| (hex(bytes), bytes)).collect();
        documents.sort();
        documents.dedup();
        let mut layers: Vec<(String, &Vec<u8>)> = self.layers.iter().map(|bytes| (hex(bytes), bytes)).collect();
        layers.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(&b.0)));
        layers.dedup();
        parts.extend(documents.into_iter().chain(layers).map(|(hex, bytes)| Part::new(&format!("blobs/sha256/{hex}"), bytes.clone())));
        parts
    }
}

/// A bundle in its room of 16 KiB.
pub(crate) fn room(bundle: &str) -> Vec<u8> {
    let mut bytes = bundle.as_bytes().to_vec();
    bytes.resize((16 << 10) - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn descriptor_titled(bytes: &[u8], title: &str) -> Value {
    let mut made = descriptor(FILE, bytes);
    made["annotations"] = json!({"org.opencontainers.image.title": title});
    made
}

fn artifact_manifest(kind: &str, config: &Value, layers: &[Value]) -> Vec<u8> {
    let layers: Vec<String> = layers.iter().map(ordered).collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"{kind}","config":{},"layers":[{}]}}"#, ordered(config), layers.join(","))
        .into_bytes()
}

/// A descriptor with its members in the order of the specification; others follow.
fn ordered(descriptor: &Value) -> String {
    let known = ["mediaType", "digest", "size", "artifactType", "platform", "urls", "annotations"];
    let object = descriptor.as_object().unwrap();
    let others = object.keys().map(String::as_str).filter(|key| !known.contains(key));
    let members: Vec<String> = known.into_iter().chain(others).filter_map(|key| Some(format!("{}:{}", json!(key), object.get(key)?))).collect();
    format!("{{{}}}", members.join(","))
}
