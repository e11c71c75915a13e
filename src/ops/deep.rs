//! `verify --deep`: what a container runtime would find only when it unpacks. Every layer is decompressed and held against the diff IDs of the
//! configs that name it (image-spec, config.md, "Layer `DiffID`").

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufReader, Read},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::verify::archive_failure;
use crate::{
    archive::Archive,
    failure::{Failure, Kind},
    oci::{Digest, ImageConfig, Platform, Reference, media_type},
    progress::{Event, Reporter},
};

/// Bytes of one layer, unpacked.
const LAYER_MAX: u64 = 64 << 30;
/// Bytes that are unpacked and hashed at a time.
const CHUNK: usize = 256 << 10;
/// Unpacking keeps a core busy; more threads than this read more than they work.
const THREADS_MAX: usize = 8;

/// What unpacking has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeepOutcome {
    /// Layers that were held against a diff ID.
    pub layers: usize,
    /// Their bytes, unpacked.
    pub unpacked: u64,
    /// What indexes list and the archive does not hold: platforms that were not asked for.
    pub left_out: Vec<LeftOut>,
    /// Images without a manifest for one of the delivery's platforms.
    pub without: Vec<Without>,
}

/// A manifest that an index lists and the archive does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LeftOutManifest")]
pub struct LeftOut {
    /// The index.
    pub index: Digest,
    /// The manifest.
    pub manifest: Digest,
    /// Its platform, as the index says.
    pub platform: Option<Platform>,
}

/// An image that does not run on a platform of the delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Without {
    /// The image.
    pub image: Reference,
    /// The platform.
    pub platform: Platform,
}

#[derive(Debug, thiserror::Error)]
enum DeepError {
    #[error("blobs/sha256/{}: unpacked it has the digest {found}, and the config {config} says {wanted}", layer.hex())]
    DiffId { layer: Digest, config: Digest, wanted: Digest, found: Digest },
    #[error("blobs/sha256/{}: the config {config} has {diff_ids} diff IDs for {layers} layers", manifest.hex())]
    Count { manifest: Digest, config: Digest, diff_ids: usize, layers: usize },
    #[error("blobs/sha256/{}: it cannot be unpacked: {source}", layer.hex())]
    Unpack { layer: Digest, source: std::io::Error },
    #[error("blobs/sha256/{}: unpacked it has more than {LAYER_MAX} bytes", layer.hex())]
    TooLarge { layer: Digest },
    #[error("blobs/sha256/{}: it is no image config: {source}", config.hex())]
    Config { config: Digest, source: serde_json::Error },
}

/// Unpacks all layers of images.
pub(crate) fn run(archive: &Archive, reporter: &dyn Reporter) -> Result<DeepOutcome, Failure> {
    let wanted = wanted(archive)?;
    // What a delta archive leaves out can be unpacked where somebody gives it.
    let missing = archive.missing();
    let readable = |layer: &Digest| !missing.contains_key(layer);
    let work: Vec<(&Digest, &BTreeMap<Digest, Digest>)> = wanted.iter().filter(|(layer, _)| readable(layer)).collect();
    let task = format!("unpack {}", archive.path().display());
    let total = work.iter().filter_map(|(layer, _)| archive.locate(layer)).map(|(_, size)| size).sum();
    reporter.event(Event::Started { task: task.clone(), total: Some(total) });
    let unpacking = Unpacking { archive, work: &work, next: AtomicUsize::new(0), state: Mutex::new(State::default()), zstd: Mutex::new(()) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(work.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| unpacking.work(&task, reporter));
        }
    });
    let state = unpacking.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = state.failed {
        return Err(failure);
    }
    reporter.event(Event::Finished { task, note: format!("{} layers, {} bytes unpacked", work.len(), state.unpacked) });
    Ok(DeepOutcome { layers: work.len(), unpacked: state.unpacked, left_out: left_out(archive), without: without(archive) })
}

/// The diff IDs of each layer, with a config that says so.
fn wanted(archive: &Archive) -> Result<BTreeMap<Digest, BTreeMap<Digest, Digest>>, Failure> {
    let mut wanted: BTreeMap<Digest, BTreeMap<Digest, Digest>> = BTreeMap::new();
    for (digest, manifest) in &archive.graph.manifests {
        let config = &manifest.config;
        if !matches!(config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            continue;
        }
        let bytes = archive.read(&config.digest).map_err(archive_failure)?;
        let parsed: ImageConfig = serde_json::from_slice(&bytes).map_err(|source| failed(DeepError::Config { config: config.digest.clone(), source }))?;
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.is_empty() && parsed.architecture.is_empty() {
            // An artifact that calls its config one of an image, as older tools do; nothing unpacks it.
            continue;
        }
        if diff_ids.len() != manifest.layers.len() {
            let (diff_ids, layers) = (diff_ids.len(), manifest.layers.len());
            return Err(failed(DeepError::Count { manifest: digest.clone(), config: config.digest.clone(), diff_ids, layers }));
        }
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            wanted.entry(layer.digest.clone()).or_default().insert(diff_id, config.digest.clone());
        }
    }
    Ok(wanted)
}

fn failed(error: DeepError) -> Failure {
    Failure::new(Kind::Untrusted, error).hint("the archive is as it was signed; what it was made from does not hold together: pull and export the image again")
}

fn left_out(archive: &Archive) -> Vec<LeftOut> {
    let absent = |(index, parsed): (&Digest, &crate::oci::Index)| {
        let gone = parsed.manifests.iter().filter(|child| archive.locate(&child.digest).is_none());
        gone.map(|child| LeftOut { index: index.clone(), manifest: child.digest.clone(), platform: child.platform.clone() }).collect::<Vec<_>>()
    };
    archive.graph.indexes.iter().flat_map(absent).collect()
}

fn without(archive: &Archive) -> Vec<Without> {
    let platforms: BTreeSet<&Platform> = archive.record().platforms.iter().collect();
    let lacking = |(reference, descriptor): &(Reference, crate::oci::Descriptor)| {
        let lacks = platforms.iter().filter(|platform| archive.children(descriptor, platform).is_none());
        lacks.map(|platform| Without { image: reference.clone(), platform: (*platform).clone() }).collect::<Vec<_>>()
    };
    archive.images().iter().flat_map(lacking).collect()
}

#[derive(Default)]
struct State {
    read: u64,
    unpacked: u64,
    failed: Option<Failure>,
}

/// The work of the threads: each takes the next layer until there is none or one is wrong.
struct Unpacking<'a> {
    archive: &'a Archive,
    work: &'a [(&'a Digest, &'a BTreeMap<Digest, Digest>)],
    next: AtomicUsize,
    state: Mutex<State>,
    /// Whoever unpacks zstd, whose window may have 100 MB.
    zstd: Mutex<()>,
}

impl Unpacking<'_> {
    fn work(&self, task: &str, reporter: &dyn Reporter) {
        while let Some((layer, wanted)) = self.work.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = self.layer(layer).and_then(|(found, size)| match wanted.iter().find(|(diff_id, _)| **diff_id != found) {
                None => Ok(size),
                Some((wanted, config)) => Err(failed(DeepError::DiffId { layer: (*layer).clone(), config: config.clone(), wanted: wanted.clone(), found })),
            });
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.failed.is_some() {
                return;
            }
            match outcome {
                Ok(size) => {
                    state.read += self.archive.locate(layer).map_or(0, |(_, size)| size);
                    state.unpacked += size;
                    reporter.event(Event::Advanced { task: task.to_owned(), done: state.read });
                }
                Err(failure) => state.failed = Some(failure),
            }
        }
    }

    /// Digest and size of a layer's content.
    fn layer(&self, layer: &Digest) -> Result<(Digest, u64), Failure> {
        let blob = || Blob { archive: self.archive, digest: layer, at: 0 };
        let mut magic = [0; 4];
        let n = self.archive.read_at(layer, 0, &mut magic).map_err(archive_failure)?;
        let unpack = |source| failed(DeepError::Unpack { layer: layer.clone(), source });
        // By what they are and not by what they are called, as containerd does (pkg/archive/compression, `DetectCompression`).
        match &magic[..n] {
            [0x1f, 0x8b, ..] => hashed(layer, &mut flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, blob()))),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                let _one = self.zstd.lock().unwrap_or_else(PoisonError::into_inner);
                hashed(layer, &mut Zstd { source: Some(BufReader::with_capacity(CHUNK, blob())), frame: None })
            }
            _ => {
                let size = self.archive.locate(layer).map_or(0, |(_, size)| size);
                Ok(Ok((layer.clone(), size)))
            }
        }
        .map_err(unpack)?
    }
}

fn hashed(layer: &Digest, reader: &mut dyn Read) -> std::io::Result<Result<(Digest, u64), Failure>> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Ok((Digest::from_raw(&hasher.finalize().into()), size))),
            Ok(n) => {
                size += n as u64;
                hasher.update(&buffer[..n]);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if size > LAYER_MAX {
            return Ok(Err(failed(DeepError::TooLarge { layer: layer.clone() })));
        }
    }
}

/// A blob's bytes, from the start.
struct Blob<'a> {
    archive: &'a Archive,
    digest: &'a Digest,
    at: u64,
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.archive.read_at(self.digest, self.at, buffer).map_err(std::io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}

type Frame<R> = ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

/// All frames of a zstd stream, one after the other (RFC 8878, section 3); pzstd and `zstd -T` with seek tables write several, and skippable ones.
struct Zstd<R: Read> {
    source: Option<BufReader<R>>,
    frame: Option<Box<Frame<BufReader<R>>>>,
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::io::BufRead as _;
        loop {
            if let Some(frame) = &mut self.frame {
                match frame.read(buffer)? {
                    0 => self.source = self.frame.take().map(|frame| frame.into_inner()),
                    n => return Ok(n),
                }
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let magic = source.fill_buf()?.get(..4).map(<[u8]>::to_vec);
            if let Some([0x50..=0x5f, 0x2a, 0x4d, 0x18]) = magic.as_deref() {
                let mut head = [0; 8];
                source.read_exact(&mut head)?;
                let skipped = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
                std::io::copy(&mut source.by_ref().take(skipped), &mut std::io::sink())?;
                self.source = Some(source);
                continue;
            }
            let frame = ruzstd::decoding::StreamingDecoder::new(source).map_err(|e| std::io::Error::other(e.to_string()))?;
            self.frame = Some(Box::new(frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_streams_of_several_frames_are_read_whole() {
        let frame = |text: &[u8]| ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let stream = [frame(b"one "), skippable.clone(), frame(b"two "), frame(&vec![b'3'; 300_000]), skippable].concat();
        let mut text = Vec::new();
        Zstd { source: Some(BufReader::new(&stream[..])), frame: None }.read_to_end(&mut text).unwrap();
        assert_eq!((&text[..8], text.len()), (&b"one two "[..], 300_008));
        let mut cut = Zstd { source: Some(BufReader::new(&stream[..stream.len() - 20])), frame: None };
        assert!(cut.read_to_end(&mut Vec::new()).is_err());
    }
}
