//! What is attached to images: what of it travels, and whether the images are signed as delivery.yaml asks for.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    delivery::{Delivery, Lock, LockedAttachment},
    failure::{Failure, Kind},
    io,
    oci::{Digest, ManifestKind, Reference, media_type},
    ops::prepare::registry_failure,
    progress::SharedReporter,
    registry::{Attachment, Attachments, Attested, Image, Registries},
    signing::{self, AttachedError, KEY_MAX, PublicKey},
};

/// The largest payload or bundle that is verified.
const SIGNATURE_MAX: u64 = 4 << 20;
/// Signatures of one image that are verified; whoever may push may attach any number.
const SIGNATURES_MAX: usize = 64;
/// Attachments of one image that are asked for at a time.
const AT_A_TIME: usize = 4;

/// What becomes of attachments.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) enum AttachmentMode<'a> {
    /// Nobody asks for them, nor whether an image is signed.
    Ignore,
    /// Those that are there travel, where the delivery wants it.
    Find,
    /// Those of the lock travel.
    Locked(&'a Lock),
}

/// An image that is not signed as it must be.
#[derive(Debug, thiserror::Error)]
#[error("{image} is not signed by the key `{key}`, which spec.sources.\"{host}\".verify asks for: {reason}")]
struct NotSigned {
    image: Reference,
    host: String,
    key: String,
    reason: Unsigned,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error("no signature is attached to {0}")]
    Nothing(Digest),
    #[error("it comes from an image archive, in which no signatures are looked for")]
    Archive,
    #[error("{}", .0.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("; "))]
    None(Vec<(String, AttachedError)>),
}

/// A key with where it was read.
#[derive(Debug)]
struct Trusted {
    key: PublicKey,
    path: String,
}

/// Finds attachments of images one by one.
#[derive(Debug)]
pub(super) struct Attacher {
    registries: Arc<Registries>,
    finder: Attachments,
    /// Those of the lock, by image; none if the registries are to be asked.
    locked: Option<BTreeMap<Reference, Vec<LockedAttachment>>>,
    travel: bool,
    ignore: bool,
    keys: BTreeMap<String, Trusted>,
    reporter: SharedReporterBox,
}

/// A reporter has nothing to show of itself.
struct SharedReporterBox(SharedReporter);

impl std::fmt::Debug for SharedReporterBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reporter")
    }
}

impl Attacher {
    /// Reads the keys of the delivery.
    pub(super) fn new(delivery: &Delivery, mode: AttachmentMode<'_>, registries: &Arc<Registries>, reporter: &SharedReporter) -> Result<Self, Failure> {
        let ignore = matches!(mode, AttachmentMode::Ignore);
        let keys = if ignore { BTreeMap::new() } else { keys(delivery)? };
        let locked = match mode {
            AttachmentMode::Locked(lock) => Some(lock.images.iter().map(|image| (image.reference.clone(), image.attachments.clone())).collect()),
            AttachmentMode::Ignore | AttachmentMode::Find => None,
        };
        let (finder, travel) = (Attachments::new(registries.clone()), delivery.spec.attachments && !ignore);
        Ok(Self { registries: registries.clone(), finder, locked, travel, ignore, keys, reporter: SharedReporterBox(reporter.clone()) })
    }

    /// What travels with an image of a registry; its own attestations are added to it. An image that must be signed and is not fails.
    pub(super) async fn attach(&self, image: &Reference, content: &mut Image) -> Result<Vec<Attachment>, Failure> {
        let trusted = self.keys.get(image.registry());
        if self.ignore || (!self.travel && trusted.is_none()) {
            return Ok(Vec::new());
        }
        let found = match &self.locked {
            Some(locked) if self.travel => self.known(locked.get(image).map_or(&[], Vec::as_slice)).await?,
            _ => self.found(image, content).await?,
        };
        if let Some(trusted) = trusted {
            self.verify(image, &content.root.digest, &found, trusted).await?;
        }
        if !self.travel {
            return Ok(Vec::new());
        }
        self.finder.complete(image, content).await.map_err(failure)?;
        Ok(found)
    }

    /// An image of an archive has no registry that could hold its signature.
    pub(super) fn must_not_be_signed(&self, image: &Reference) -> Result<(), Failure> {
        match self.keys.get(image.registry()) {
            Some(trusted) => Err(not_signed(image, trusted, Unsigned::Archive)),
            None => Ok(()),
        }
    }

    async fn known(&self, locked: &[LockedAttachment]) -> Result<Vec<Attachment>, Failure> {
        let asked: Vec<_> = locked.iter().cloned().map(|LockedAttachment { reference, subject }| self.locked_one(reference, subject)).collect();
        stream::iter(asked).buffered(AT_A_TIME).try_collect().await
    }

    async fn locked_one(&self, reference: Reference, subject: Digest) -> Result<Attachment, Failure> {
        self.finder.known(&reference, &subject).await.map_err(failure)
    }

    /// The image's index and its manifests are what signatures are about.
    async fn found(&self, image: &Reference, content: &Image) -> Result<Vec<Attachment>, Failure> {
        let mut subjects = vec![content.root.digest.clone()];
        if self.travel {
            let manifests = content.documents.iter().map(|(descriptor, _)| descriptor).filter(|d| is_subject(&d.media_type) && d.digest != content.root.digest);
            subjects.extend(manifests.map(|descriptor| descriptor.digest.clone()));
        }
        let Attested { attachments, left } = self.finder.find(image, subjects).await.map_err(failure)?;
        for what in left {
            self.reporter.0.note(format!("{image}: an attachment stays behind: {what}"));
        }
        Ok(attachments)
    }

    async fn verify(&self, image: &Reference, digest: &Digest, found: &[Attachment], trusted: &Trusted) -> Result<(), Failure> {
        let (mut reasons, mut tried) = (Vec::new(), 0);
        for attachment in found.iter().filter(|attachment| attachment.subject == *digest) {
            for layer in signatures(attachment) {
                tried += 1;
                if tried > SIGNATURES_MAX {
                    break;
                }
                let bytes = self.registries.content(&attachment.name, &layer, SIGNATURE_MAX).await.map_err(failure)?;
                let proven = match layer.annotation(SIGNATURE) {
                    _ if layer.media_type == media_type::SIGSTORE_BUNDLE => signing::bundled(&trusted.key, digest, &bytes),
                    Some(signature) => signing::simple_signing(&trusted.key, digest, &bytes, signature),
                    None => Err(AttachedError::Shape("it has no signature".to_owned())),
                };
                match proven {
                    Ok(()) => return Ok(()),
                    Err(error) => reasons.push((attachment.name.tag().map_or_else(|| attachment.root.digest.short().to_owned(), str::to_owned), error)),
                }
            }
        }
        let reason = if reasons.is_empty() { Unsigned::Nothing(digest.clone()) } else { Unsigned::None(reasons) };
        Err(not_signed(image, trusted, reason))
    }
}

/// Where cosign puts the signature of a layer's bytes (cosign, `specs/SIGNATURE_SPEC.md`).
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The parts of an attachment that may be signatures.
fn signatures(attachment: &Attachment) -> impl Iterator<Item = crate::oci::Descriptor> {
    let manifest = attachment.documents.iter().find(|(descriptor, _)| descriptor.digest == attachment.root.digest);
    let layers = manifest.and_then(|(descriptor, bytes)| match ManifestKind::parse(bytes, Some(&descriptor.media_type)) {
        Ok(ManifestKind::Manifest(manifest)) => Some(manifest.layers),
        Ok(ManifestKind::Index(_)) | Err(_) => None,
    });
    layers.unwrap_or_default().into_iter().filter(|layer| matches!(layer.media_type.as_str(), media_type::SIMPLE_SIGNING | media_type::SIGSTORE_BUNDLE))
}

fn is_subject(kind: &str) -> bool {
    media_type::is_index(kind) || media_type::is_manifest(kind)
}

fn keys(delivery: &Delivery) -> Result<BTreeMap<String, Trusted>, Failure> {
    let mut keys = BTreeMap::new();
    for (host, options) in &delivery.spec.sources {
        let Some(path) = &options.verify else { continue };
        let path = delivery.resolve(path);
        let pem = io::read_capped_text(&path, KEY_MAX).map_err(|error| Failure::new(Kind::Usage, error))?;
        let key = PublicKey::for_images(&pem).map_err(|source| Failure::new(Kind::Usage, UnusableKey { path: path.display().to_string(), source }))?;
        keys.insert(host.clone(), Trusted { key, path: path.display().to_string() });
    }
    Ok(keys)
}

/// A key of delivery.yaml that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be used to verify images: {source}")]
struct UnusableKey {
    path: String,
    source: signing::KeyError,
}

fn not_signed(image: &Reference, trusted: &Trusted, reason: Unsigned) -> Failure {
    let host = image.registry().to_owned();
    let error = NotSigned { image: image.clone(), host, key: trusted.path.clone(), reason };
    Failure::new(Kind::Source, error).hint("do not deliver it before you know why; whoever publishes it signs it with `cosign sign --key`")
}

fn failure(error: crate::registry::RegistryError) -> Failure {
    registry_failure(error).hint("spec.attachments: false in delivery.yaml leaves signatures, attestations and SBOMs behind")
}
