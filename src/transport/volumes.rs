//! An archive in volumes on a web server: its list (`NAME.volumes.json`), and the volumes beside it, each read by ranges like any file there.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Url;

use super::{Reach, TransportProblem, http::WebFile};
use crate::{
    archive::{
        VolumeError,
        volumes::{LIST_MAX, VolumeList, is_list},
    },
    oci::Digest,
    redact::SafeUrl,
};

/// Volumes that are asked for at a time.
const AT_ONCE: usize = 8;

/// The volumes of an archive, one after the other.
pub(super) struct Volumes {
    list: VolumeList,
    /// Where each begins, what it is called for people, and how it is read.
    files: Vec<(u64, PathBuf, WebFile)>,
}

/// A volume that answered; nothing if the server does not have it.
type Opened = Option<(PathBuf, WebFile, u64)>;

impl Volumes {
    /// Whether a URL is that of a list.
    pub(super) fn are_at(url: &SafeUrl) -> bool {
        Url::parse(url.expose()).is_ok_and(|url| is_list(Path::new(url.path())))
    }

    /// Reads a list, and makes sure that all of its volumes are there and have their sizes.
    pub(super) async fn open(url: &SafeUrl, reach: &Reach) -> Result<Self, TransportProblem> {
        let list = list(url, reach).await?;
        let base = reach.url(url.expose())?;
        let names: Vec<String> = list.volumes.iter().map(|volume| volume.name.clone()).collect();
        let asked = names.into_iter().map(|name| volume_of(base.clone(), name, reach));
        let opened: Vec<Opened> = futures::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let (mut files, mut missing, mut start) = (Vec::new(), Vec::new(), 0);
        for (at, (volume, opened)) in list.volumes.iter().zip(opened).enumerate() {
            let Some((path, file, found)) = opened else {
                missing.push(volume.name.clone());
                continue;
            };
            if found != volume.size {
                return Err(VolumeError::Size { path, number: at + 1, of: list.volumes.len(), wanted: volume.size, found }.into());
            }
            files.push((start, path, file));
            start += volume.size;
        }
        if !missing.is_empty() {
            let folder = PathBuf::from(SafeUrl::new(base.join(".").unwrap_or(base).to_string()).to_string());
            let of = list.volumes.len();
            return Err(VolumeError::Missing { list: url.to_string().into(), missing, of, folders: vec![folder] }.into());
        }
        Ok(Self { list, files })
    }

    /// Bytes of the archive.
    pub(super) fn length(&self) -> u64 {
        self.list.size
    }

    /// Some bytes from an offset on: at least one, at most `length`, and only of one volume.
    pub(super) async fn range(&self, offset: u64, length: usize) -> Result<Bytes, TransportProblem> {
        let at = self.files.partition_point(|(start, ..)| *start <= offset).saturating_sub(1);
        let (Some((start, _, file)), Some(volume)) = (self.files.get(at), self.list.volumes.get(at)) else { return Ok(Bytes::new()) };
        let left = usize::try_from((start + volume.size).saturating_sub(offset)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(Bytes::new());
        }
        file.range(offset - start, length.min(left)).await
    }

    /// Finds the volume that is to blame for bytes that are wrong: `digest` gives that of so many bytes from an offset on, where they can be read.
    pub(super) fn blame(&self, digest: impl Fn(u64, u64) -> Option<Digest>) -> Option<VolumeError> {
        let of = self.files.len();
        self.list.volumes.iter().zip(&self.files).enumerate().find_map(|(at, (volume, (start, path, _)))| {
            let (wanted, found) = (volume.digest.clone(), digest(*start, volume.size)?);
            (found != wanted).then(|| VolumeError::Content { path: path.clone(), number: at + 1, of, wanted, found })
        })
    }
}

async fn list(url: &SafeUrl, reach: &Reach) -> Result<VolumeList, TransportProblem> {
    let most = usize::try_from(LIST_MAX).unwrap_or(usize::MAX);
    let (file, length, first) = WebFile::open(url, reach, most).await?;
    if length > LIST_MAX {
        return Err(TransportProblem::NoArchive(format!("as a list of volumes it has {length} bytes, more than the {LIST_MAX} that are accepted")));
    }
    let mut bytes = first.to_vec();
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&file.range(bytes.len() as u64, most).await?);
    }
    let path = url.to_string().into();
    VolumeList::parse(&bytes).map_err(|source| VolumeError::List { path, source }.into())
}

/// A volume beside the list, by its name; what grants access to the list by its query is not said to have meant the volume.
async fn volume_of(mut url: Url, name: String, reach: &Reach) -> Result<Opened, TransportProblem> {
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().map_err(|()| TransportProblem::Url)?.pop().push(&name);
    let url = SafeUrl::new(url.to_string());
    let path = PathBuf::from(url.to_string());
    match WebFile::open(&url, reach, 1).await {
        Ok((file, length, _)) => Ok(Some((path, file, length))),
        Err(TransportProblem::Status { status: 404 | 410, .. }) => Ok(None),
        Err(source) => Err(TransportProblem::Volume { path, source: Box::new(source) }),
    }
}
