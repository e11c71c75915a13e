//! A small archive with everything in it: images (one for two platforms of which one is left out, two that share a layer),
//! a chart, manifests, an agent, files.

use std::path::Path;

use bytes::Bytes;
use offline::{
    archive::{Builder, Layout, Signer, VolumeSize, Writer, content},
    delivery::record::{AppRecord, AppSource, FORMAT, FileRecord, ImageRecord, Record},
    oci::{Descriptor, Digest, Platform, media_type},
};
use serde_json::json;

/// What was built.
pub(crate) struct Sample {
    pub(crate) layout: Layout,
    /// Content of the layers that come later.
    pub(crate) layers: Vec<(Digest, Bytes)>,
}

/// A gzip'd tar with one file.
pub(crate) fn layer(path: &str, content: &[u8]) -> Bytes {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    header.set_cksum();
    let mut header = header.clone();
    tar.append_data(&mut header, path, content).unwrap();
    tar.into_inner().unwrap().finish().unwrap().into()
}

fn diff_id(gz: &Bytes) -> Digest {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gz[..]), &mut plain).unwrap();
    Digest::of(&plain)
}

struct Image {
    descriptor: Descriptor,
    documents: Vec<(Descriptor, Bytes)>,
}

fn image(arch: &str, layers: &[&Bytes]) -> Image {
    let config = json!({"architecture": arch, "os": "linux", "config": {"Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| diff_id(l)).collect::<Vec<_>>()}});
    let config = Bytes::from(config.to_string());
    let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
    let layers: Vec<_> = layers.iter().map(|l| Descriptor::of(media_type::OCI_LAYER_GZIP, l)).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config_descriptor, "layers": layers});
    let manifest = Bytes::from(manifest.to_string());
    let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    descriptor.platform = Some(format!("linux/{arch}").parse().unwrap());
    Image { documents: vec![(descriptor.clone(), manifest), (config_descriptor, config)], descriptor }
}

pub(crate) fn chart() -> (Bytes, Bytes) {
    let metadata = json!({"apiVersion": "v2", "name": "web", "version": "1.2.3"});
    (metadata.to_string().into(), layer("web/Chart.yaml", b"apiVersion: v2\nname: web\nversion: 1.2.3\n"))
}

/// Builds it; `version` makes different ones.
pub(crate) fn build(version: &str) -> Sample {
    build_with(version, true)
}

/// Builds one in which no platform of any image is left out.
pub(crate) fn build_whole(version: &str) -> Sample {
    build_with(version, false)
}

/// Numbers of four bytes in the large layer.
const LARGE: u32 = 40_000;

/// Builds one with room for so many signatures.
pub(crate) fn build_with_room(version: &str, signatures: usize) -> Sample {
    let mut builder = Builder::new();
    builder.room_for_signatures(signatures);
    fill(builder, version, true, LARGE)
}

/// Builds one of few blocks, which tests can cut at each.
pub(crate) fn build_small(version: &str) -> Sample {
    fill(Builder::new(), version, true, 300)
}

fn build_with(version: &str, left_out: bool) -> Sample {
    fill(Builder::new(), version, left_out, LARGE)
}

fn fill(mut builder: Builder, version: &str, left_out: bool, large: u32) -> Sample {
    let base = layer("etc/base", &vec![b'b'; 5000]);
    let big: Vec<u8> = (0..large).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (first, second) = (layer("hello", &big), layer("hello", b"second"));
    let (a, b, foreign) = (image("amd64", &[&base, &first]), image("amd64", &[&base, &second]), image("arm64", &[&base]));
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": if left_out { vec![&foreign.descriptor, &b.descriptor] } else { vec![&b.descriptor] }});
    let index = Bytes::from(index.to_string());
    let index_descriptor = Descriptor::of(media_type::OCI_INDEX, &index);
    for (descriptor, bytes) in a.documents.iter().chain(&b.documents).chain([&(index_descriptor.clone(), index)]) {
        builder.add_document(descriptor, bytes.clone()).unwrap();
    }
    let layers: Vec<_> = [base, first, second].into_iter().map(|l| (Digest::of(&l), l)).collect();
    for (_, bytes) in &layers {
        builder.add_layer(&Descriptor::of(media_type::OCI_LAYER_GZIP, bytes)).unwrap();
    }
    let mut images = Vec::new();
    for (name, descriptor) in [("registry.dev:5000/team/one:1.0", &a.descriptor), ("two", &index_descriptor), ("ghcr.io/x/two:2", &index_descriptor)] {
        let reference = name.parse().unwrap();
        builder.name(content::image_root(descriptor, &reference));
        images.push(ImageRecord { reference, digest: descriptor.digest.clone(), origins: Vec::new() });
    }
    images.sort_by(|a, b| a.reference.cmp(&b.reference));
    let (metadata, package) = chart();
    let manifests = layer("manifests/a.yaml", b"kind: ConfigMap\n");
    let files = vec![("delivery.yaml".to_owned(), Bytes::from_static(b"kind: Delivery\n")), ("docs/runbook.txt".to_owned(), Bytes::from_static(b"run\n"))];
    let record = record(version, images, Digest::of(&package), Digest::of(&manifests), &files[1]);
    for artifact in [
        content::agent_artifact(&Platform::linux_amd64(), Bytes::from_static(b"loader"), Bytes::from_static(b"agent")),
        content::manifests_artifact("glue", manifests),
        content::chart_artifact("web", "1.2.3", metadata, package),
        content::delivery_artifact(&record, &files),
    ] {
        builder.add_artifact(artifact).unwrap();
    }
    attach(&mut builder, &a.descriptor);
    Sample { layout: builder.lay_out().unwrap(), layers }
}

/// What cosign makes: a signature whose config is that of an image without a platform, and a bundle without any config.
fn attach(builder: &mut Builder, subject: &Descriptor) {
    let payload = Bytes::from_static(b"{\"critical\":{}}");
    let signed = Descriptor::of(media_type::SIMPLE_SIGNING, &payload).with_annotation("dev.cosignproject.cosign/signature", "MEUC");
    let config = json!({"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [signed.digest]}});
    let bundle = Bytes::from_static(b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"}");
    let held = Descriptor::of(media_type::SIGSTORE_BUNDLE, &bundle);
    for (tag, kind, config, layer, content, about) in [
        (format!(":sha256-{}.sig", subject.digest.hex()), media_type::OCI_CONFIG, Bytes::from(config.to_string()), signed, payload, None),
        (String::new(), media_type::OCI_EMPTY, Bytes::from_static(b"{}"), held, bundle, Some(subject)),
    ] {
        let config_descriptor = Descriptor::of(kind, &config);
        let mut manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config_descriptor, "layers": [layer]});
        if let Some(about) = about {
            manifest["subject"] = json!(Descriptor::new(&about.media_type, about.digest.clone(), about.size));
            manifest["artifactType"] = json!(media_type::SIGSTORE_BUNDLE);
        }
        let manifest = Bytes::from(manifest.to_string());
        let root = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
        let name = format!("registry.dev:5000/team/one{tag}@{}", root.digest).parse().unwrap();
        for (descriptor, bytes) in [(&root, manifest), (&config_descriptor, config), (&layer, content)] {
            builder.add_document(descriptor, bytes).unwrap();
        }
        builder.name(content::attachment_root(&root, &name, &subject.digest));
    }
}

fn record(version: &str, images: Vec<ImageRecord>, chart: Digest, manifests: Digest, file: &(String, Bytes)) -> Record {
    let app = |name: &str, source| AppRecord {
        name: name.into(),
        namespace: "shop".into(),
        depends_on: Vec::new(),
        source,
        values: serde_json::Map::new(),
        registry_keys: None,
    };
    Record {
        format: FORMAT,
        name: "sample".into(),
        version: version.into(),
        platforms: vec![Platform::linux_amd64()],
        registry: None,
        apps: vec![
            app("web", AppSource::Chart { name: "web".into(), version: "1.2.3".into(), digest: chart, origin: None }),
            app("glue", AppSource::Manifests { digest: manifests }),
        ],
        images,
        files: vec![FileRecord { path: file.0.clone(), digest: Digest::of(&file.1), size: file.1.len() as u64 }],
    }
}

impl Sample {
    /// Writes the archive, its layers in parallel and in small pieces.
    pub(crate) fn write(&self, path: &Path, signer: Option<&dyn Signer>) {
        self.write_in(path, signer, None);
        assert_eq!(std::fs::metadata(path).unwrap().len(), self.layout.size());
    }

    /// The same in volumes.
    pub(crate) fn write_in(&self, path: &Path, signer: Option<&dyn Signer>, volume: Option<VolumeSize>) {
        let writer = Writer::create_in(path, &self.layout, volume).unwrap();
        writer.sign(signer.as_slice()).unwrap();
        assert_eq!(writer.pending().len(), self.layers.len());
        std::thread::scope(|scope| {
            for (digest, bytes) in &self.layers {
                let mut place = writer.layer(digest).unwrap();
                scope.spawn(move || {
                    bytes.chunks(1000).for_each(|chunk| place.write(chunk).unwrap());
                    place.finish().unwrap();
                });
            }
        });
        writer.finish().unwrap();
    }
}
