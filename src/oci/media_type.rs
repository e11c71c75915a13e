//! Media types that the program knows, with where they are defined.

/// OCI image index (image-spec, media-types.md).
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest (image-spec, media-types.md).
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config (image-spec, media-types.md).
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, not compressed (image-spec, media-types.md).
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip (image-spec, media-types.md).
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd (image-spec, media-types.md).
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker manifest list (distribution, manifest-v2-2.md).
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2 (distribution, manifest-v2-2.md).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config (distribution, manifest-v2-2.md).
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip (distribution, manifest-v2-2.md).
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// The OCI empty value `{}` (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Config of a Helm chart in a registry (helm, pkg/registry/constants.go).
pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// A packaged Helm chart in a registry (helm, pkg/registry/constants.go).
pub const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Who signed a packaged Helm chart, in a registry (helm, pkg/registry/constants.go).
pub const HELM_PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// Artifact type of the delivery itself: delivery.yaml, lock, values and files. Ours.
pub const DELIVERY: &str = "application/vnd.offline.delivery.v1+json";
/// One file of the delivery, as it is. Ours.
pub const DELIVERY_FILE: &str = "application/vnd.offline.file.v1";
/// The program that imports images on a node, for one platform. Ours.
pub const AGENT: &str = "application/vnd.offline.agent.v1";
/// The small program that starts the agent on a node, for one platform. Ours.
pub const LOADER: &str = "application/vnd.offline.loader.v1";

/// Type, in index.json, of what is attached to an image: a signature, an attestation, an SBOM. What it is, its manifest says. Ours.
pub const ATTACHMENT: &str = "application/vnd.offline.attachment.v1";
/// What cosign signs: the claim that somebody stands for a digest (cosign, `specs/SIGNATURE_SPEC.md`).
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// A Sigstore bundle (sigstore/protobuf-specs); cosign 3 attaches signatures so.
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Whether this is an index of either family.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_MANIFEST_LIST)
}

/// Whether this is an image manifest of either family.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}
