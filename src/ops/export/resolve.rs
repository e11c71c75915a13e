//! Every image to its digest, its documents and its layers: in registries side by side, in image archives from the file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{
    ExportedImage,
    attached::{Attacher, AttachmentMode},
};
use crate::{
    delivery::{Delivery, record::Origin},
    failure::{Failure, Kind},
    images::{Evidence, ImageSet},
    oci::{Digest, Platform, Reference},
    ops::{
        guesses::{self, Ask, Choice, Guess},
        prepare::registry_failure,
        several,
    },
    progress::SharedReporter,
    registry::{Attachment, Image, Registries, RegistryError, RemoteImage},
    source::LocalArchive,
};

/// Where a layer comes from.
#[derive(Debug, Clone)]
pub(in crate::ops) enum Origins {
    /// An image in a registry that has it.
    Registry(Reference),
    /// An image archive.
    Local(Arc<LocalArchive>),
}

/// All images, resolved.
#[derive(Debug)]
pub(in crate::ops) struct Resolved {
    /// Each with what it consists of and who named it.
    pub(in crate::ops) images: BTreeMap<Reference, (Image, Vec<Origin>)>,
    /// What is attached to them.
    pub(in crate::ops) attachments: BTreeMap<Reference, Vec<Attachment>>,
    /// Where to get each layer.
    pub(in crate::ops) layers: HashMap<Digest, Origins>,
    /// Guesses that no registry has for us.
    pub(in crate::ops) dropped: Vec<Guess>,
    /// Guesses that stay behind.
    pub(in crate::ops) left: Vec<Guess>,
}

/// How to resolve.
pub(in crate::ops) struct Resolver<'a> {
    /// What it is for.
    pub(in crate::ops) delivery: &'a Delivery,
    /// Platforms that every image must have.
    pub(in crate::ops) platforms: &'a [Platform],
    /// Digests of the lock, where there is one.
    pub(in crate::ops) locked: Option<&'a BTreeMap<Reference, Digest>>,
    /// Where images are asked for.
    pub(in crate::ops) registries: &'a Arc<Registries>,
    /// What is to become of guesses.
    pub(in crate::ops) guesses: GuessMode<'a>,
    /// What is to become of what is attached to images.
    pub(in crate::ops) attachments: AttachmentMode<'a>,
}

/// What is to become of guesses.
#[derive(Clone, Copy)]
pub(in crate::ops) enum GuessMode<'a> {
    /// As the delivery says; who may be asked, where somebody is there.
    Decide(Option<&'a Ask>),
    /// Those that are locked were taken, the others left.
    Locked,
    /// As the delivery says; where it does not, those that are in this lock are taken again and the others left again.
    AsBefore(&'a BTreeMap<Reference, Digest>),
    /// All of them, to be shown.
    Show,
}

impl Resolved {
    /// Says which guesses do not travel.
    pub(super) fn tell_guesses(&self, reporter: &SharedReporter) {
        for guess in &self.dropped {
            reporter.note(format!("{} is no image for this delivery: {}", guess.reference, guess.reason));
        }
        for guess in &self.left {
            reporter.note(format!("{} stays behind: {}", guess.reference, guess.reason));
        }
    }

    pub(super) fn summary(&self) -> Vec<ExportedImage> {
        let line = |(reference, (image, _)): (&Reference, &(Image, Vec<Origin>))| ExportedImage {
            reference: reference.clone(),
            digest: image.root.digest.clone(),
            size: image.layers.iter().map(|layer| layer.size).sum(),
        };
        self.images.iter().map(line).collect()
    }
}

/// Two image archives that disagree, or an archive that is not what a digest says.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error("two image archives hold different images called {0}")]
    Twice(Reference),
    #[error("the image archive's {image} has the digest {found}")]
    Digest { image: Reference, found: Digest },
}

/// What a registry said of an image.
struct Answer {
    image: Reference,
    evidence: Evidence,
    content: Result<RemoteImage, RegistryError>,
    attachments: Result<Vec<Attachment>, Failure>,
}

impl Resolver<'_> {
    /// Resolves all images; all that fail are reported, with what failed before. What an image archive holds is not asked for in a registry.
    /// What is locked is asked for by its digest. A guess that no registry has for the platforms is dropped.
    pub(in crate::ops) async fn resolve(
        &self,
        mut named: ImageSet,
        archives: Vec<(LocalArchive, Origin)>,
        mut failures: Vec<Failure>,
        reporter: &SharedReporter,
    ) -> Result<Resolved, Failure> {
        let local = local_images(archives, &mut named)?;
        let mut found = Resolved { images: BTreeMap::new(), attachments: BTreeMap::new(), layers: HashMap::new(), dropped: Vec::new(), left: Vec::new() };
        named.retain(|image, evidence| {
            let stays = self.may_travel(image, evidence);
            if !stays {
                found.left.push(Guess { reference: image.clone(), reason: evidence.guess().unwrap_or_default().to_owned() });
            }
            stays
        });
        reporter.step(format!("resolving {} images", named.len()));
        let attacher = Arc::new(Attacher::new(self.delivery, self.attachments, self.registries, reporter)?);
        let mut tasks = JoinSet::new();
        for (image, evidence) in named.iter() {
            let pinned = self.locked.and_then(|locked| locked.get(image));
            match local.get(&image.without_digest()).or_else(|| local.get(image)) {
                Some((content, archive)) if image.digest().or(pinned).is_none_or(|digest| *digest == content.root.digest) => {
                    for layer in &content.layers {
                        found.layers.insert(layer.digest.clone(), Origins::Local(archive.clone()));
                    }
                    found.images.insert(image.clone(), (content.clone(), evidence.origins().to_vec()));
                    failures.extend(attacher.must_not_be_signed(image).err());
                }
                Some((content, _)) if image.tag().is_none() || pinned.is_some() => {
                    failures.push(Failure::new(Kind::Source, LocalError::Digest { image: image.clone(), found: content.root.digest.clone() }));
                }
                _ => {
                    let (registries, image, platforms, evidence) = (self.registries.clone(), image.clone(), self.platforms.to_vec(), evidence.clone());
                    let asked = pinned.map_or_else(|| image.clone(), |digest| image.by_digest(digest.clone()));
                    let attacher = attacher.clone();
                    tasks.spawn(async move {
                        let mut content = registries.image(&asked, &platforms).await;
                        let attachments = match &mut content {
                            Ok(remote) => attacher.attach(&image, &mut remote.content).await,
                            Err(_) => Ok(Vec::new()),
                        };
                        Answer { image, evidence, content, attachments }
                    });
                }
            }
        }
        let mut undecided = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(answer) => self.answered(answer, &mut found, &mut undecided, &mut failures),
                Err(error) => failures.push(Failure::new(Kind::Other, error)),
            }
        }
        // They came in the order of the network.
        failures.sort_by_cached_key(ToString::to_string);
        several::all("things are wrong with the images of this delivery", failures)?;
        found.dropped.sort_by(|a, b| a.reference.cmp(&b.reference));
        self.settle(undecided, &mut found)?;
        let Resolved { images, attachments, .. } = &mut found;
        attachments.retain(|image, attached| images.contains_key(image) && !attached.is_empty());
        Ok(found)
    }

    /// Whether an image is asked for at all.
    fn may_travel(&self, image: &Reference, evidence: &Evidence) -> bool {
        let choice = || guesses::choice(self.delivery, evidence);
        evidence.guess().is_none()
            || match self.guesses {
                GuessMode::Show => true,
                GuessMode::Locked => self.is_locked(image),
                GuessMode::AsBefore(before) => choice() == Choice::Take || (choice() != Choice::Leave && before.contains_key(image)),
                GuessMode::Decide(_) => choice() != Choice::Leave,
            }
    }

    fn is_locked(&self, image: &Reference) -> bool {
        self.locked.is_some_and(|locked| locked.contains_key(image))
    }

    fn answered(&self, answer: Answer, found: &mut Resolved, undecided: &mut Vec<(Guess, bool)>, failures: &mut Vec<Failure>) {
        let Answer { image, evidence, content, attachments } = answer;
        let guess = evidence.guess().filter(|_| !self.is_locked(&image));
        match content {
            Ok(remote) => {
                match attachments {
                    Ok(attached) => {
                        for (attachment, layer) in attached.iter().flat_map(|attachment| attachment.layers.iter().map(move |layer| (attachment, layer))) {
                            found.layers.entry(layer.digest.clone()).or_insert_with(|| Origins::Registry(attachment.name.clone()));
                        }
                        found.attachments.insert(image.clone(), attached);
                    }
                    Err(failure) => failures.push(failure),
                }
                for layer in &remote.content.layers {
                    found.layers.entry(layer.digest.clone()).or_insert_with(|| Origins::Registry(remote.reference.clone()));
                }
                let choice = guesses::choice(self.delivery, &evidence);
                if let (Some(reason), GuessMode::Decide(_), Choice::Ask | Choice::Fail) = (guess, self.guesses, choice) {
                    undecided.push((Guess { reference: image.clone(), reason: reason.to_owned() }, choice == Choice::Fail));
                }
                found.images.insert(image, (remote.content, evidence.origins().to_vec()));
            }
            Err(error) if guess.is_some() && guesses::disproves(&error) => {
                found.dropped.push(Guess { reference: image, reason: guesses::why_not(&error) });
            }
            Err(error) => failures.push(registry_failure(error)),
        }
    }

    /// What nobody has decided about.
    fn settle(&self, mut undecided: Vec<(Guess, bool)>, found: &mut Resolved) -> Result<(), Failure> {
        let GuessMode::Decide(ask) = self.guesses else { return Ok(()) };
        if undecided.is_empty() {
            return Ok(());
        }
        undecided.sort_by(|a, b| a.0.reference.cmp(&b.0.reference));
        let strict = undecided.iter().any(|(_, strict)| *strict);
        let open: Vec<Guess> = undecided.into_iter().map(|(guess, _)| guess).collect();
        if !guesses::decide(open.clone(), strict, ask)? {
            found.images.retain(|image, _| !open.iter().any(|guess| guess.reference == *image));
            found.left.extend(open);
        }
        Ok(())
    }
}

/// The names in image archives.
pub(super) fn local_names(archives: &[(LocalArchive, Origin)]) -> BTreeSet<Reference> {
    archives.iter().flat_map(|(archive, _)| archive.images()).flat_map(|image| image.names.iter().cloned()).collect()
}

type Local = BTreeMap<Reference, (Image, Arc<LocalArchive>)>;

fn local_images(archives: Vec<(LocalArchive, Origin)>, named: &mut ImageSet) -> Result<Local, Failure> {
    let mut local = Local::new();
    for (archive, origin) in archives {
        let archive = Arc::new(archive);
        for image in archive.images() {
            for name in &image.names {
                named.add(name.clone(), origin.clone());
                let before = local.insert(name.clone(), (image.content.clone(), archive.clone()));
                if before.is_some_and(|(other, _)| other.root.digest != image.content.root.digest) {
                    return Err(Failure::new(Kind::Source, LocalError::Twice(name.clone())));
                }
            }
        }
    }
    Ok(local)
}
