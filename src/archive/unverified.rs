//! An archive that nobody has vouched for yet, and the only way from there to an [`Archive`].

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    Archive, ArchiveError, Base, Contents, Fault, Flaw, Limits, Signature, Standing, Trust, base,
    builder::{FORMAT, root_name},
    canonical, docker,
    graph::{Blobs, Graph},
    medium::{self, Medium, WholeFile},
    names::{self, Name},
    scan::{self, Entry},
    volumes::{self, Purpose, VolumeError, VolumeSet},
};
use crate::{
    io::FileError,
    oci::{Digest, Index, annotation, media_type},
    progress::{Event, Reporter},
};

/// Bytes that are read and hashed at a time.
const CHUNK: usize = 1 << 20;
/// More threads than this wait for the disk.
const THREADS_MAX: usize = 8;

/// Opens an archive and checks the container: names, kinds, order, sizes, ends. No content is trusted or even read yet.
///
/// Of an archive in volumes its name, its list or one of its volumes may be given.
pub fn open(path: &Path) -> Result<Unverified, ArchiveError> {
    open_in(path, &[])
}

/// The same with further folders in which volumes may be.
pub fn open_in(path: &Path, folders: &[PathBuf]) -> Result<Unverified, ArchiveError> {
    open_for(path, folders, Purpose::Reading)
}

/// The same to sign it: also one in volumes whose last signing never came to its end, which signing again mends.
pub fn open_to_sign(path: &Path, folders: &[PathBuf]) -> Result<Unverified, ArchiveError> {
    open_for(path, folders, Purpose::Signing)
}

fn open_for(path: &Path, folders: &[PathBuf], purpose: Purpose) -> Result<Unverified, ArchiveError> {
    let limits = Limits::default();
    let Some(list) = volumes::list_of(path, folders) else {
        let opened = open_with(path, limits);
        return match (volumes::archive_of_part(path), opened) {
            (Some(archive), Err(ArchiveError::Damaged { .. })) => {
                let list = volumes::list_beside(&archive).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                Err(VolumeError::NoList { path: path.into(), list }.into())
            }
            (_, opened) => opened,
        };
    };
    let set = VolumeSet::open(&list, path, folders, purpose)?;
    let expect = set.expectation();
    let unverified = open_medium(path, Box::new(set), limits)?;
    expect(unverified.index_digest()?)?;
    Ok(unverified)
}

/// The same of one file, with other limits.
pub fn open_with(path: &Path, limits: Limits) -> Result<Unverified, ArchiveError> {
    let failed = |source| FileError::new("open", path, source);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")).into());
    }
    open_medium(path, Box::new(WholeFile::new(file, metadata.len(), path)), limits)
}

/// The same of whatever gives bytes; `name` stands for it in errors.
pub fn open_medium(name: &Path, medium: Box<dyn Medium>, limits: Limits) -> Result<Unverified, ArchiveError> {
    let scanned = scan::scan(&*medium, &limits);
    open_scanned(name, medium, scanned, limits)
}

/// The same where the entries are known.
pub(crate) fn open_scanned(name: &Path, medium: Box<dyn Medium>, scanned: Result<Vec<Entry>, Flaw>, limits: Limits) -> Result<Unverified, ArchiveError> {
    match scanned {
        Ok(entries) => {
            let signatures = entries.iter().filter(|entry| entry.name.is_signature()).cloned().collect();
            Ok(Unverified { opened: Opened { medium, path: name.into(), entries: by_digest(&entries), signatures }, entries, limits })
        }
        Err(flaw) => Err(fault(&*medium, name, flaw)),
    }
}

/// A flaw, or the piece of the medium that it comes from.
fn fault(medium: &dyn Medium, path: &Path, flaw: Flaw) -> ArchiveError {
    match medium.blame() {
        Some(blamed) => blamed.into(),
        None => ArchiveError::Damaged { path: path.into(), flaw },
    }
}

fn by_digest(entries: &[Entry]) -> BTreeMap<Digest, (u64, u64)> {
    let blob = |entry: &Entry| match &entry.name {
        Name::Blob(digest) => Some((digest.clone(), (entry.offset, entry.size))),
        _ => None,
    };
    entries.iter().filter_map(blob).collect()
}

/// An open archive and where its blobs are.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) medium: Box<dyn Medium>,
    pub(crate) path: PathBuf,
    pub(crate) entries: BTreeMap<Digest, (u64, u64)>,
    /// Where signatures stand, or have room.
    pub(crate) signatures: Vec<Entry>,
}

impl Opened {
    /// Every place for a signature by the name of its entry, with the bundle that stands there.
    pub(crate) fn slots(&self) -> Result<Vec<(String, Option<String>)>, Flaw> {
        if let Some(unfinished) = self.medium.unfinished() {
            let labels = self.signatures.iter().map(|entry| entry.label.clone());
            return Ok(labels.zip(unfinished.iter().cloned().chain(std::iter::repeat(None))).collect());
        }
        let mut slots = Vec::new();
        for entry in &self.signatures {
            let flaw = |fault| Flaw::new(entry.label.clone(), fault);
            let bytes = read_whole(&*self.medium, entry.offset, entry.size).map_err(flaw)?;
            let text = String::from_utf8(bytes.into()).map_err(|_| flaw(Fault::Format("it is not text".into())))?;
            // JSON's white space (RFC 8259, section 2), and nothing else, may follow: cosign's own bundle ends as it likes.
            let bundle = text.trim_end_matches([' ', '\t', '\r', '\n']);
            slots.push((entry.label.clone(), (!bundle.is_empty()).then(|| bundle.to_owned())));
        }
        Ok(slots)
    }
}

/// An archive whose container is sound. It can be verified and nothing else.
#[derive(Debug)]
pub struct Unverified {
    opened: Opened,
    entries: Vec<Entry>,
    limits: Limits,
}

impl Unverified {
    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.opened.path
    }

    /// Bytes of all entries.
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The signatures as they stand in the archive, with the names of their entries; blank ones are left out.
    pub fn signatures(&self) -> Result<Vec<(String, String)>, ArchiveError> {
        self.read_signatures().map_err(|flaw| self.damaged(flaw))
    }

    /// Checks the signature over index.json and everything that it leads to, each blob's bytes included.
    pub fn verify(self, trust: &Trust, reporter: &dyn Reporter) -> Result<Archive, ArchiveError> {
        let (index, contents) = self.contents(trust)?;
        self.hash_blobs(&contents, reporter).map_err(|flaw| self.damaged(flaw))?;
        Ok(Archive::new(self.opened, index, contents, self.limits.read))
    }

    /// The same without reading the layers: enough to tell what is in the archive, not enough to use it.
    pub fn look(self, trust: &Trust) -> Result<Contents, ArchiveError> {
        self.contents(trust).map(|(_, contents)| contents)
    }

    /// Checks the signature over index.json and nothing else.
    pub(crate) fn check_trust(&self, trust: &Trust) -> Result<(), ArchiveError> {
        let index = self.head(&Name::Index).map_err(|flaw| self.damaged(flaw))?;
        self.check_signature(&index, trust).map(drop)
    }

    /// Signature, then index.json, then documents, then what follows from them. Nothing is parsed before its bytes are vouched for.
    fn contents(&self, trust: &Trust) -> Result<(Bytes, Contents), ArchiveError> {
        let index = self.index()?;
        let standing = self.check_signature(&index, trust)?;
        let contents = self.check_contents(&index, standing).map_err(|flaw| self.damaged(flaw))?;
        Ok((index, contents))
    }

    fn damaged(&self, flaw: Flaw) -> ArchiveError {
        fault(&*self.opened.medium, &self.opened.path, flaw)
    }

    /// Digest of index.json: what the signature covers, and what the archive is known by as a base.
    pub fn index_digest(&self) -> Result<Digest, ArchiveError> {
        self.index().map(|bytes| Digest::of(&bytes))
    }

    fn index(&self) -> Result<Bytes, ArchiveError> {
        self.head(&Name::Index).map_err(|flaw| self.damaged(flaw))
    }

    fn check_signature(&self, index: &[u8], trust: &Trust) -> Result<Standing, ArchiveError> {
        let signatures = self.signatures()?;
        let verifier = match trust {
            Trust::Keys(verifier) => verifier,
            Trust::AllowUnsigned if signatures.is_empty() => return Ok(Standing::Unsigned),
            Trust::AllowUnsigned => return Ok(Standing::Unchecked),
        };
        let (mut good, mut first): (Vec<Signature>, _) = (Vec::new(), None);
        for (entry, bundle) in signatures {
            match verifier.verify(index, &bundle) {
                // A key counts once, however often it has signed.
                Ok(by) if good.iter().any(|known| known.by.fingerprint == by.fingerprint) => {}
                Ok(by) => good.push(Signature { by, entry }),
                Err(refusal) if refusal.stranger => first = first.or(Some((entry, refusal.reason))),
                Err(refusal) => return Err(ArchiveError::Untrusted { path: self.opened.path.clone(), entry, source: refusal.reason }),
            }
        }
        let path = self.opened.path.clone();
        if !good.is_empty() && good.len() < verifier.required() {
            return Err(ArchiveError::TooFewSignatures { path, wanted: verifier.required(), found: good.into_iter().map(|one| one.by).collect() });
        }
        let mut good = good.into_iter();
        match (good.next(), first) {
            (Some(Signature { by, entry }), _) => Ok(Standing::Signed { by, entry, also: good.collect() }),
            (None, Some((entry, source))) => Err(ArchiveError::Untrusted { path, entry, source }),
            (None, None) => Err(ArchiveError::Unsigned { path }),
        }
    }

    fn read_signatures(&self) -> Result<Vec<(String, String)>, Flaw> {
        let slots = self.opened.slots()?;
        Ok(slots.into_iter().filter_map(|(entry, bundle)| Some((entry, bundle?))).collect())
    }

    fn check_contents(&self, index: &[u8], standing: Standing) -> Result<Contents, Flaw> {
        if self.head(&Name::Layout)? != names::LAYOUT_CONTENT {
            return Err(Flaw::new(names::LAYOUT, Fault::Derived));
        }
        let index_flaw = |fault| Flaw::new(names::INDEX, fault);
        let parsed: Index = serde_json::from_slice(index).map_err(|e| index_flaw(Fault::Json(e)))?;
        if parsed.schema_version != 2 || parsed.media_type.as_deref() != Some(media_type::OCI_INDEX) {
            return Err(index_flaw(Fault::Format("it is no OCI image index".into())));
        }
        match parsed.annotations.get(annotation::FORMAT).map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(index_flaw(Fault::Format(format!("the archive has format {other}; this program reads format {FORMAT}")))),
            None => return Err(index_flaw(Fault::Format(format!("it has no annotation {}", annotation::FORMAT)))),
        }
        let mut seen = std::collections::BTreeSet::new();
        for root in &parsed.manifests {
            let name = root_name(root).map_err(|e| index_flaw(Fault::Format(e.to_string())))?;
            if !seen.insert(name) {
                return Err(index_flaw(Fault::Format(format!("it names `{name}` twice"))));
            }
        }
        canonical::check_index(index, &parsed).map_err(index_flaw)?;
        let base = Base::read(&parsed.annotations).map_err(index_flaw)?;
        let graph = Graph::walk(&parsed.manifests, &Documents { have_base: base.is_some(), ..Documents::new(self) }, self.limits.depth)?;
        if base.as_ref().is_some_and(|(_, wanted)| graph.left_out.is_empty() || base::list_digest(&graph.left_out) != *wanted) {
            return Err(index_flaw(Fault::Format("what is missing is not what was left out when the archive was made".into())));
        }
        self.check_order(&graph)?;
        if self.head(&Name::DockerList)? != docker::list(&parsed.manifests, &graph) {
            return Err(Flaw::new(names::DOCKER_LIST, Fault::Derived));
        }
        let mut contents = Contents::new(parsed.manifests, graph, standing, self.size(), &Documents::new(self))?;
        contents.base = base.map(|(base, _)| base);
        Ok(contents)
    }

    /// The blobs must be those that index.json leads to, in the order that follows from them.
    fn check_order(&self, graph: &Graph) -> Result<(), Flaw> {
        let wanted = graph.order();
        let known: std::collections::BTreeSet<&Digest> = wanted.iter().map(|(digest, _)| *digest).collect();
        let mut expected = wanted.iter();
        for entry in &self.entries {
            let Name::Blob(digest) = &entry.name else { continue };
            let flaw = |fault| Flaw::new(entry.label.clone(), fault);
            if !known.contains(digest) {
                return Err(flaw(Fault::Unreferenced));
            }
            match expected.next() {
                Some(&(wanted, _)) if wanted == digest => {}
                Some((wanted, _)) => return Err(flaw(Fault::Order { wanted: names::blob(wanted) })),
                None => return Err(flaw(Fault::Unreferenced)),
            }
        }
        match expected.next() {
            Some((digest, _)) => Err(Flaw::new(names::blob(digest), Fault::Missing { by: names::INDEX.into() })),
            None => Ok(()),
        }
    }

    fn head(&self, name: &Name) -> Result<Bytes, Flaw> {
        let entry = self.entries.iter().find(|entry| entry.name == *name).expect("the scan made sure of it");
        self.read(entry)
    }

    /// An entry whose size the scan has held against a small limit, or [`Documents`] has.
    fn read(&self, entry: &Entry) -> Result<Bytes, Flaw> {
        read_whole(&*self.opened.medium, entry.offset, entry.size).map_err(|fault| Flaw::new(entry.label.clone(), fault))
    }

    /// Hashes all layers, several at a time; documents were hashed when they were read.
    fn hash_blobs(&self, contents: &Contents, reporter: &dyn Reporter) -> Result<(), Flaw> {
        let layer = |entry: &&Entry| matches!(&entry.name, Name::Blob(digest) if !contents.graph.is_document(digest));
        let layers: Vec<&Entry> = self.entries.iter().filter(layer).collect();
        let task = format!("verify {}", self.opened.path.display());
        hash_entries(&*self.opened.medium, &layers, task, reporter)
    }
}

/// Hashes the blobs of a medium, several at a time.
pub(crate) fn hash_entries(medium: &dyn Medium, layers: &[&Entry], task: String, reporter: &dyn Reporter) -> Result<(), Flaw> {
    let total = layers.iter().map(|entry| entry.size).sum();
    reporter.event(Event::Started { task: task.clone(), total: Some(total) });
    let hashing = Hashing { medium, layers, next: AtomicUsize::new(0), done: AtomicU64::new(0), wrong: AtomicUsize::new(usize::MAX), failed: Mutex::new(None) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(layers.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| hashing.work(&task, reporter));
        }
    });
    if let Some((_, flaw)) = hashing.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(flaw);
    }
    reporter.event(Event::Finished { task, note: format!("{} layers, {total} bytes", layers.len()) });
    Ok(())
}

fn read_whole(medium: &dyn Medium, offset: u64, size: u64) -> Result<Bytes, Fault> {
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| Fault::Header)?];
    medium::read_exact_at(medium, &mut bytes, offset).map_err(Fault::Read)?;
    Ok(bytes.into())
}

/// Documents of an archive, held against their digests and the budget for all of them.
pub(crate) struct Documents<'a> {
    archive: &'a Unverified,
    left: std::cell::Cell<u64>,
    have_base: bool,
}

impl<'a> Documents<'a> {
    fn new(archive: &'a Unverified) -> Self {
        Self { archive, left: archive.limits.documents.into(), have_base: false }
    }
}

impl Blobs for Documents<'_> {
    fn have_base(&self) -> bool {
        self.have_base
    }

    fn size(&self, digest: &Digest) -> Option<u64> {
        self.archive.opened.entries.get(digest).map(|&(_, size)| size)
    }

    fn read(&self, digest: &Digest) -> Result<Bytes, Fault> {
        let limits = &self.archive.limits;
        let Some(&(offset, size)) = self.archive.opened.entries.get(digest) else { return Err(Fault::Missing { by: names::INDEX.into() }) };
        if size > limits.document {
            return Err(Fault::TooLarge { size, max: limits.document });
        }
        let left = self.left.get().checked_sub(size).ok_or(Fault::TooLarge { size, max: self.left.get() })?;
        self.left.set(left);
        let bytes = read_whole(&*self.archive.opened.medium, offset, size)?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(Fault::Digest { found }) }
    }
}

/// The work of the hashing threads: each takes the next layer until there is none or one before it is wrong. Of several that are wrong the first is
/// told, whichever thread is quicker.
struct Hashing<'a> {
    medium: &'a dyn Medium,
    layers: &'a [&'a Entry],
    next: AtomicUsize,
    done: AtomicU64,
    /// The first layer that is known to be wrong.
    wrong: AtomicUsize,
    failed: Mutex<Option<(usize, Flaw)>>,
}

impl Hashing<'_> {
    fn work(&self, task: &str, reporter: &dyn Reporter) {
        let mut buffer = vec![0; CHUNK];
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = self.layers.get(number) else { return };
            let mut progress = |n| {
                let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
                reporter.event(Event::Advanced { task: task.to_owned(), done });
            };
            if let Err(fault) = self.check(number, entry, &mut buffer, &mut progress) {
                self.wrong.fetch_min(number, Ordering::Relaxed);
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.as_ref().is_none_or(|(other, _)| number < *other) {
                    *failed = Some((number, Flaw::new(entry.label.clone(), fault)));
                }
            }
        }
    }

    fn check(&self, number: usize, entry: &Entry, buffer: &mut [u8], progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < entry.size {
            if self.wrong.load(Ordering::Relaxed) < number {
                return Ok(());
            }
            let n = usize::try_from(entry.size - at).unwrap_or(CHUNK).min(CHUNK);
            medium::read_exact_at(self.medium, &mut buffer[..n], entry.offset + at).map_err(Fault::Read)?;
            hasher.update(&buffer[..n]);
            at += n as u64;
            progress(n as u64);
        }
        let found = Digest::from_raw(&hasher.finalize().into());
        match &entry.name {
            Name::Blob(wanted) if *wanted == found => Ok(()),
            _ => Err(Fault::Digest { found }),
        }
    }
}
