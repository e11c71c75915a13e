//! What was attached to an image after it was made: signatures, attestations, SBOMs. Three ways are in use: referrers (distribution-spec 1.1,
//! "Listing Referrers", and "Referrers Tag Schema" where a registry has no such list), cosign's tags (cosign, pkg/oci/remote/remote.go,
//! `SignatureTag` and its neighbours), and manifests of an image's own index (moby/buildkit, docs/attestations/attestation-storage.md).

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::{Image, ImageError, Problem, Registries, RegistryError, pool::Target};
use crate::oci::{Descriptor, Digest, Index, MANIFEST_MAX, Manifest, ManifestKind, Reference, media_type};

/// What cosign's tags end with: signatures, attestations, SBOMs.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];
/// Attachments of one image, those of attachments included.
const ATTACHMENTS_MAX: usize = 256;
/// Bytes of the attachments of one image.
const BYTES_MAX: u64 = 1 << 30;
/// Manifests of an attachment that is an index.
const CHILDREN_MAX: usize = 64;
/// Attachments of attachments: the signature of an SBOM.
const DEPTH_MAX: usize = 2;
/// Tags asked for at a time.
const TAGS: &str = "1000";

/// Something that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is: repository and digest, and the tag where it has one.
    pub name: Reference,
    /// What it is about: the image's index or one of its manifests, or another attachment.
    pub subject: Digest,
    /// Its manifest or index.
    pub root: Descriptor,
    /// Manifests and configs, byte for byte.
    pub documents: Vec<(Descriptor, Bytes)>,
    /// Its content.
    pub layers: Vec<Descriptor>,
}

/// What is attached to an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attested {
    /// Artifacts of their own.
    pub attachments: Vec<Attachment>,
    /// What a registry lists and we cannot carry, with why.
    pub left: Vec<String>,
}

/// Looks for attachments, and keeps in mind what registries have told.
#[derive(Debug)]
pub struct Attachments {
    registries: Arc<Registries>,
    /// Tags by host and repository.
    tags: Mutex<HashMap<String, Arc<OnceCell<Arc<Tags>>>>>,
    /// Hosts without a list of referrers.
    without_list: Mutex<HashSet<String>>,
}

/// Which of a repository's tags may belong to an image.
#[derive(Debug)]
enum Tags {
    /// These and no others.
    All(BTreeSet<String>),
    /// The registry does not tell; each has to be asked for.
    Unknown,
}

impl Tags {
    fn may_have(&self, tag: &str) -> bool {
        match self {
            Self::All(tags) => tags.contains(tag),
            Self::Unknown => true,
        }
    }
}

/// A list of tags (distribution-spec, "Listing Tags").
#[derive(Deserialize)]
struct Listed {
    tags: Option<Vec<String>>,
}

/// A list of referrers, each read on its own: a digest of another algorithm must not hide the rest.
#[derive(Deserialize)]
struct Referrers {
    #[serde(default)]
    manifests: Vec<serde_json::Value>,
}

/// What may still be taken for one image.
struct Budget {
    bytes: u64,
    known: HashSet<Digest>,
}

impl Budget {
    fn take(&mut self, size: u64) -> Result<(), Problem> {
        self.bytes = self.bytes.checked_sub(size).ok_or(Problem::TooLarge { size: BYTES_MAX.saturating_add(size), max: BYTES_MAX })?;
        Ok(())
    }
}

impl Attachments {
    /// Asks these registries.
    pub fn new(registries: Arc<Registries>) -> Self {
        Self { registries, tags: Mutex::default(), without_list: Mutex::default() }
    }

    /// All that is attached to some digests of an image's repository, and to what is attached.
    pub async fn find(&self, image: &Reference, subjects: Vec<Digest>) -> Result<Attested, RegistryError> {
        let target = self.registries.target(image, "look for signatures of")?;
        let failed = |problem| target.error("look for signatures of", None, problem);
        let mut found = Attested::default();
        let mut budget = Budget { bytes: BYTES_MAX, known: subjects.iter().cloned().collect() };
        let mut open: VecDeque<(Digest, usize)> = subjects.into_iter().map(|digest| (digest, 0)).collect();
        while let Some((subject, depth)) = open.pop_front() {
            for (name, root, bytes) in self.of(&target, &subject, &mut found.left).await.map_err(failed)? {
                if !budget.known.insert(root.digest.clone()) {
                    continue;
                }
                if found.attachments.len() >= ATTACHMENTS_MAX {
                    let problem = ImageError::TooMany { what: "attachments", found: found.attachments.len() + 1, max: ATTACHMENTS_MAX };
                    return Err(failed(problem.into()));
                }
                if depth < DEPTH_MAX {
                    open.push_back((root.digest.clone(), depth + 1));
                }
                found.attachments.push(self.gather(&target, name, subject.clone(), (root, bytes), &mut budget).await.map_err(failed)?);
            }
        }
        found.attachments.sort_by(|a, b| a.name.cmp(&b.name));
        found.left.sort();
        found.left.dedup();
        Ok(found)
    }

    /// One that is known by name and digest.
    pub async fn known(&self, name: &Reference, subject: &Digest) -> Result<Attachment, RegistryError> {
        let target = self.registries.target(name, "get the attachment")?;
        let failed = |problem| target.error("get the attachment", None, problem);
        let bytes = self.registries.manifest(&target, name.digest()).await.map_err(failed)?;
        let root = described(&bytes).map_err(failed)?;
        let mut budget = Budget { bytes: BYTES_MAX, known: HashSet::new() };
        self.gather(&target, name.clone(), subject.clone(), (root, bytes), &mut budget).await.map_err(failed)
    }

    /// Adds the attestations that an image's own index has for the manifests that were taken. Tells whether there are any.
    pub async fn complete(&self, name: &Reference, image: &mut Image) -> Result<bool, RegistryError> {
        let target = self.registries.target(name, "get the attestations of")?;
        let failed = |problem| target.error("get the attestations of", None, problem);
        let mut budget = Budget { bytes: BYTES_MAX, known: image.documents.iter().map(|(descriptor, _)| descriptor.digest.clone()).collect() };
        let mut wanted: Vec<Descriptor> = Vec::new();
        for (descriptor, bytes) in image.documents.iter().filter(|(descriptor, _)| media_type::is_index(&descriptor.media_type)) {
            let index: Index = serde_json::from_slice(bytes).map_err(|source| failed(not_json(&descriptor.digest, source)))?;
            wanted.extend(index.manifests.into_iter().filter(|child| is_attestation_of(child, image)));
        }
        if wanted.len() > ATTACHMENTS_MAX {
            return Err(failed(ImageError::TooMany { what: "attestations", found: wanted.len(), max: ATTACHMENTS_MAX }.into()));
        }
        for child in &wanted {
            let bytes = self.registries.manifest(&target, Some(&child.digest)).await.map_err(failed)?;
            let (documents, layers) = self.contents(&target, (child.clone(), bytes), &mut budget).await.map_err(failed)?;
            image.documents.extend(documents);
            image.layers.extend(layers);
        }
        Ok(!wanted.is_empty())
    }

    /// What a registry has for a digest: by its list of referrers or the tag that stands for it, and by cosign's tags.
    async fn of(&self, target: &Target<'_>, subject: &Digest, left: &mut Vec<String>) -> Result<Vec<(Reference, Descriptor, Bytes)>, Problem> {
        let mut found = Vec::new();
        let stem = format!("sha256-{}", subject.hex());
        let tags = self.tags(target).await?;
        let listed = match self.listed(target, subject).await? {
            Some(listed) => listed,
            None if tags.may_have(&stem) => match self.tagged(target, &stem).await? {
                Some(bytes) => referrers(&bytes)?,
                None => Vec::new(),
            },
            None => Vec::new(),
        };
        if listed.len() > ATTACHMENTS_MAX {
            return Err(ImageError::TooMany { what: "referrers", found: listed.len(), max: ATTACHMENTS_MAX }.into());
        }
        for entry in listed {
            let Ok(descriptor) = serde_json::from_value::<Descriptor>(entry) else {
                left.push(format!("a referrer of {} is described in a way that is not understood", subject.short()));
                continue;
            };
            if !(media_type::is_manifest(&descriptor.media_type) || media_type::is_index(&descriptor.media_type)) {
                left.push(format!("{} of {} is of the type `{}`", descriptor.digest.short(), subject.short(), descriptor.media_type));
                continue;
            }
            let bytes = self.registries.manifest(target, Some(&descriptor.digest)).await?;
            let name = target.image.by_digest(descriptor.digest.clone());
            found.push((name, described(&bytes)?, bytes));
        }
        for suffix in SUFFIXES {
            let tag = format!("{stem}.{suffix}");
            if tags.may_have(&tag)
                && let Some(bytes) = self.tagged(target, &tag).await?
            {
                let root = described(&bytes)?;
                let name = format!("{}:{tag}@{}", target.image.name(), root.digest).parse();
                found.push((name.map_err(|error: crate::oci::ReferenceError| Problem::BadTag(error.to_string()))?, root, bytes));
            }
        }
        Ok(found)
    }

    /// The registry's own list; nothing where it has none. One that has such a list answers 200 even for what it does not know.
    async fn listed(&self, target: &Target<'_>, subject: &Digest) -> Result<Option<Vec<serde_json::Value>>, Problem> {
        let host = &target.endpoint.host;
        if self.without_list.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
            return Ok(None);
        }
        let session = target.host.session().await?;
        let name = &target.endpoint.repository;
        let mut url = session.web.at(&format!("{name}/referrers/{subject}"))?;
        let (mut found, mut first) = (Vec::new(), true);
        loop {
            let page = match self.registries.page(&target.host, session, url, &format!("repository:{name}:pull")).await {
                Ok(page) => page,
                // What has no such list says so in many ways; what is wrong with the account has shown before.
                Err(problem) if first && is_refusal(&problem) => {
                    self.without_list.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone());
                    return Ok(None);
                }
                Err(problem) => return Err(problem),
            };
            first = false;
            let more = referrers(&page.body)?;
            let any = !more.is_empty();
            found.extend(more);
            match page.next {
                Some(next) if any && found.len() <= ATTACHMENTS_MAX => url = next,
                _ => return Ok(Some(found)),
            }
        }
    }

    /// The tags of a repository that begin as those of attachments do, asked for once.
    async fn tags(&self, target: &Target<'_>) -> Result<Arc<Tags>, Problem> {
        let key = format!("{}/{}", target.endpoint.host, target.endpoint.repository);
        let cell = self.tags.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        cell.get_or_try_init(|| async { self.tags_once(target).await.map(Arc::new) }).await.cloned()
    }

    /// One page of tags, from where those of attachments begin. Registries that do not know `last` may send others, which shows.
    async fn tags_once(&self, target: &Target<'_>) -> Result<Tags, Problem> {
        let session = target.host.session().await?;
        let name = &target.endpoint.repository;
        let mut url = session.web.at(&format!("{name}/tags/list"))?;
        url.query_pairs_mut().append_pair("n", TAGS).append_pair("last", "sha256-");
        let page = match self.registries.page(&target.host, session, url, &format!("repository:{name}:pull")).await {
            Ok(page) => page,
            Err(problem) if is_refusal(&problem) => return Ok(Tags::Unknown),
            Err(problem) => return Err(problem),
        };
        let Ok(Listed { tags }) = serde_json::from_slice(&page.body) else { return Ok(Tags::Unknown) };
        let tags = tags.unwrap_or_default();
        let passed = tags.is_sorted() && tags.first().is_some_and(|tag| tag.as_str() > "sha256-") && tags.last().is_some_and(|tag| tag.as_str() >= "sha256-g");
        // A full page may have a next one without saying so.
        let whole = page.next.is_none() && tags.len() < 100;
        Ok(if passed || whole { Tags::All(tags.into_iter().filter(|tag| tag.starts_with("sha256-")).collect()) } else { Tags::Unknown })
    }

    /// What a tag of the same repository stands for, where it is there.
    async fn tagged(&self, target: &Target<'_>, tag: &str) -> Result<Option<Bytes>, Problem> {
        let image = target.image.with_tag(tag).map_err(|error| Problem::BadTag(error.to_string()))?;
        let tagged = Target { image: &image, endpoint: target.endpoint.clone(), host: target.host.clone() };
        match self.registries.manifest(&tagged, None).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Problem::NotFound(_)) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn gather(
        &self,
        target: &Target<'_>,
        name: Reference,
        subject: Digest,
        (root, bytes): (Descriptor, Bytes),
        budget: &mut Budget,
    ) -> Result<Attachment, Problem> {
        let (documents, layers) = self.contents(target, (root.clone(), bytes), budget).await?;
        Ok(Attachment { name, subject, root, documents, layers })
    }

    /// Everything below a manifest or an index.
    async fn contents(
        &self,
        target: &Target<'_>,
        (root, bytes): (Descriptor, Bytes),
        budget: &mut Budget,
    ) -> Result<(Vec<(Descriptor, Bytes)>, Vec<Descriptor>), Problem> {
        let (mut documents, mut layers) = (Vec::new(), Vec::new());
        budget.take(bytes.len() as u64)?;
        let mut manifests: Vec<Manifest> = Vec::new();
        match parsed(&root, &bytes)? {
            ManifestKind::Manifest(manifest) => manifests.push(manifest),
            ManifestKind::Index(index) => {
                if index.manifests.len() > CHILDREN_MAX {
                    return Err(ImageError::TooMany { what: "manifests", found: index.manifests.len(), max: CHILDREN_MAX }.into());
                }
                for child in index.manifests.into_iter().filter(|child| media_type::is_manifest(&child.media_type)) {
                    let bytes = self.registries.manifest(target, Some(&child.digest)).await?;
                    budget.take(bytes.len() as u64)?;
                    if let ManifestKind::Manifest(manifest) = parsed(&child, &bytes)? {
                        manifests.push(manifest);
                    }
                    documents.push((child, bytes));
                }
            }
        }
        documents.push((root, bytes));
        for manifest in manifests {
            budget.take(manifest.config.size)?;
            documents.push((manifest.config.clone(), self.config(target, &manifest.config).await?));
            for layer in manifest.layers {
                budget.take(layer.size)?;
                layers.push(layer);
            }
        }
        Ok((documents, layers))
    }

    async fn config(&self, target: &Target<'_>, config: &Descriptor) -> Result<Bytes, Problem> {
        const EMPTY: &[u8] = b"{}";
        if config.digest == Digest::of(EMPTY) {
            return Ok(Bytes::from_static(EMPTY));
        }
        self.registries.content(target.image, config, MANIFEST_MAX).await.map_err(|error| *error.problem)
    }
}

/// A child of an image's index that attests one of the manifests that were taken.
fn is_attestation_of(child: &Descriptor, image: &Image) -> bool {
    let about = child.annotation("vnd.docker.reference.digest");
    child.annotation("vnd.docker.reference.type").is_some()
        && media_type::is_manifest(&child.media_type)
        && about.is_some_and(|about| image.documents.iter().any(|(descriptor, _)| descriptor.digest.as_str() == about))
}

/// Answers by which registries say that they do not have a question.
fn is_refusal(problem: &Problem) -> bool {
    match problem {
        Problem::NotFound(_) | Problem::NoCredentials | Problem::Refused { .. } => true,
        Problem::Server { status, .. } => (400..500).contains(status) && *status != 429 && *status != 408 || *status == 501,
        _ => false,
    }
}

fn referrers(body: &Bytes) -> Result<Vec<serde_json::Value>, Problem> {
    let list: Referrers = serde_json::from_slice(body).map_err(|error| Problem::Listing(format!("its list of referrers is not one: {error}")))?;
    Ok(list.manifests)
}

fn not_json(digest: &Digest, source: serde_json::Error) -> Problem {
    ImageError::Manifest { digest: digest.to_string(), source: crate::oci::ManifestError::Json(source) }.into()
}

fn parsed(descriptor: &Descriptor, bytes: &Bytes) -> Result<ManifestKind, Problem> {
    let kind = ManifestKind::parse(bytes, Some(&descriptor.media_type));
    kind.map_err(|source| ImageError::Manifest { digest: descriptor.digest.to_string(), source }.into())
}

/// The descriptor of a manifest or an index, by what it says of itself.
fn described(bytes: &Bytes) -> Result<Descriptor, Problem> {
    let digest = Digest::of(bytes);
    let kind = ManifestKind::parse(bytes, None).map_err(|source| ImageError::Manifest { digest: digest.to_string(), source })?;
    let (said, default) = match &kind {
        ManifestKind::Manifest(manifest) => (manifest.media_type.as_deref(), media_type::OCI_MANIFEST),
        ManifestKind::Index(index) => (index.media_type.as_deref(), media_type::OCI_INDEX),
    };
    Ok(Descriptor::new(said.unwrap_or(default), digest, bytes.len() as u64))
}
