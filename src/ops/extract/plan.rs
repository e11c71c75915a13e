//! What is written where: every piece with its name and where its bytes come from.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{ExtractOptions, ImageFormat, Kind, choose::Chosen, error::ExtractError, names, plain};
use crate::{
    archive::{Archive, Excerpt, Shown},
    delivery::record::{AppRecord, AppSource},
    failure::Failure,
    goyaml,
    oci::{Descriptor, Digest, Reference},
    ops::{install::manifests, missing::MissingLayers, verify::archive_failure},
    tree::{FileTree, SafePath},
};

/// Where the bytes of a file come from.
#[derive(Debug)]
pub(super) enum Content {
    /// From memory.
    Bytes(Bytes),
    /// From memory; the file may be run.
    Script(Bytes),
    /// A blob of the archive, with its size.
    Blob(Digest, u64),
    /// A tar of images.
    Images(Box<Excerpt>, ImageFormat),
    /// A line for each file that was written before it, as `sha256sum` writes them.
    Sums,
}

/// Something that the outcome tells of: a file, or a folder with all that is in it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) of: Vec<String>,
}

/// All that is to be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) pieces: Vec<Piece>,
    /// By path, so that no two are written to one place.
    files: BTreeMap<SafePath, (Content, usize)>,
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// What the options ask for.
    pub(super) fn new(archive: &Archive, options: &ExtractOptions, chosen: &Chosen<'_>) -> Result<Self, Failure> {
        let mut plan = Self::default();
        if options.parts.plain {
            plain::plan(&mut plan, archive, options, chosen)?;
        } else {
            plan.parts(archive, options, chosen)?;
        }
        if plan.files.is_empty() {
            return Err(ExtractError::Nothing.into());
        }
        plan.check(archive)?;
        Ok(plan)
    }

    /// The files, in the order in which they are written.
    pub(super) fn files(&self) -> impl Iterator<Item = (&SafePath, &Content, usize)> {
        // The sums are of all others.
        let last = |content: &Content| matches!(content, Content::Sums);
        let (sums, rest): (Vec<_>, Vec<_>) =
            self.files.iter().map(|(path, (content, piece))| (path, content, *piece)).partition(|(_, content, _)| last(content));
        rest.into_iter().chain(sums)
    }

    fn parts(&mut self, archive: &Archive, options: &ExtractOptions, chosen: &Chosen<'_>) -> Result<(), Failure> {
        let mut parts = options.parts;
        let said = parts.charts || parts.values || parts.files || parts.images.is_some();
        if !said && options.images.is_empty() {
            (parts.charts, parts.values, parts.files) = (true, true, options.apps.is_empty());
        }
        if !said || !options.images.is_empty() {
            parts.images = parts.images.or(Some(ImageFormat::DockerArchive));
        }
        for app in &chosen.apps {
            if parts.charts {
                self.app(archive, app)?;
            }
            if parts.values {
                self.values(app, &app.values)?;
            }
        }
        if parts.files {
            self.delivery_files(archive)?;
        }
        match parts.images {
            Some(format) if !chosen.images.is_empty() => {
                let left = if format == ImageFormat::Oci { 0 } else { archive.attached_count(&chosen.images, options.platform.as_ref()) };
                if left > 0 {
                    self.notes.push(format!("{left} signatures, attestations and SBOMs of the images are not in images.tar; --images oci gives them"));
                }
                Ok(self.images(archive, &chosen.images, options, format)?)
            }
            _ => Ok(()),
        }
    }

    /// An app's chart as it travels, or its manifests.
    fn app(&mut self, archive: &Archive, app: &AppRecord) -> Result<(), Failure> {
        match &app.source {
            AppSource::Chart { name, version, digest, .. } => Ok(self.chart(archive, app, (name, version), digest).map(drop)?),
            AppSource::Manifests { .. } => {
                let folder = format!("manifests/{}", names::leaf(&app.name)?);
                for (path, content) in read_manifests(archive, app)?.iter() {
                    let path = names::below(&folder, path.as_str())?;
                    self.add(Kind::Manifests, path, vec![app.name.clone()], Content::Bytes(content.clone()))?;
                }
                Ok(())
            }
        }
    }

    /// A chart under the name that `helm pull` gives it. Several apps may have one; the path is returned.
    pub(super) fn chart(&mut self, archive: &Archive, app: &AppRecord, (name, version): (&str, &str), digest: &Digest) -> Result<SafePath, ExtractError> {
        let path = names::below("charts", names::leaf(&format!("{name}-{version}.tgz"))?.as_str())?;
        let size = archive.locate(digest).map_or(0, |(_, size)| size);
        if let Some((Content::Blob(known, _), piece)) = self.files.get(&path)
            && known == digest
        {
            self.pieces[*piece].of.push(app.name.clone());
            return Ok(path);
        }
        self.add(Kind::Chart, path.clone(), vec![app.name.clone()], Content::Blob(digest.clone(), size))?;
        Ok(path)
    }

    /// The user's values as they were merged when the archive was made, or what became of them.
    pub(super) fn values(&mut self, app: &AppRecord, values: &Map<String, Value>) -> Result<(), ExtractError> {
        if values.is_empty() {
            return Ok(());
        }
        let path = names::below("values", names::leaf(&format!("{}.yaml", app.name))?.as_str())?;
        let text = goyaml::emit(&Value::Object(values.clone())).map_err(|source| ExtractError::Values { app: app.name.clone(), source })?;
        self.add(Kind::Values, path, vec![app.name.clone()], Content::Bytes(text.into()))
    }

    /// delivery.yaml, the lock, values files and `spec.files`, by their paths.
    pub(super) fn delivery_files(&mut self, archive: &Archive) -> Result<(), ExtractError> {
        for (title, descriptor) in archive.files() {
            let path = names::of_file(title)?;
            if path.as_str().strip_prefix("files/") != Some(title) {
                self.notes.push(format!("`{title}` is written to `{path}`"));
            }
            self.add(Kind::File, path, vec![title.clone()], Content::Blob(descriptor.digest.clone(), descriptor.size))?;
        }
        Ok(())
    }

    /// Images, in one tar or one folder.
    pub(super) fn images(
        &mut self,
        archive: &Archive,
        images: &[(Reference, Descriptor)],
        options: &ExtractOptions,
        format: ImageFormat,
    ) -> Result<(), ExtractError> {
        let of: Vec<String> = images.iter().map(|(name, _)| name.to_string()).collect();
        if format == ImageFormat::Oci {
            return self.layout(Kind::Images, "images", of, archive.excerpt(images, options.platform.as_ref(), Shown::All));
        }
        let excerpt = archive.excerpt(images, options.platform.as_ref(), Shown::Images);
        self.add(Kind::Images, names::leaf("images.tar")?, of, Content::Images(Box::new(excerpt), format))
    }

    /// What is attached to images, as a folder of its own: it is nothing for the nodes' runtimes.
    pub(super) fn attachments(&mut self, archive: &Archive, images: &[(Reference, Descriptor)], options: &ExtractOptions) -> Result<(), ExtractError> {
        if archive.attached_count(images, options.platform.as_ref()) == 0 {
            return Ok(());
        }
        let of: Vec<String> = images.iter().map(|(name, _)| name.to_string()).collect();
        self.layout(Kind::Attachments, "attachments", of, archive.excerpt(images, options.platform.as_ref(), Shown::Attached))
    }

    /// A folder that is an OCI layout.
    fn layout(&mut self, kind: Kind, folder: &str, of: Vec<String>, excerpt: Excerpt) -> Result<(), ExtractError> {
        let piece = self.pieces.len();
        self.pieces.push(Piece { kind, path: folder.to_owned(), of });
        for (name, bytes) in excerpt.layout {
            self.put(names::below(folder, name)?, Content::Bytes(bytes), piece)?;
        }
        for (digest, size) in excerpt.blobs {
            self.put(names::below(folder, &Excerpt::place(&digest))?, Content::Blob(digest, size), piece)?;
        }
        for (digest, bytes) in excerpt.made {
            self.put(names::below(folder, &Excerpt::place(&digest))?, Content::Bytes(bytes), piece)?;
        }
        Ok(())
    }

    /// A file that is a piece by itself.
    pub(super) fn add(&mut self, kind: Kind, path: SafePath, of: Vec<String>, content: Content) -> Result<(), ExtractError> {
        let piece = self.pieces.len();
        self.pieces.push(Piece { kind, path: path.as_str().to_owned(), of });
        self.put(path, content, piece)
    }

    fn put(&mut self, path: SafePath, content: Content, piece: usize) -> Result<(), ExtractError> {
        if self.files.contains_key(&path) {
            return Err(ExtractError::Twice { path: path.as_str().to_owned() });
        }
        self.files.insert(path, (content, piece));
        Ok(())
    }

    /// Whether all of it can be read: a delta archive without its base lacks layers.
    fn check(&self, archive: &Archive) -> Result<(), Failure> {
        let wanted = self.files.values().flat_map(|(content, _)| match content {
            Content::Images(excerpt, _) => excerpt.blobs.iter().map(|(digest, _)| digest).collect(),
            Content::Blob(digest, _) => vec![digest],
            Content::Bytes(_) | Content::Script(_) | Content::Sums => Vec::new(),
        });
        let wanted: BTreeSet<&Digest> = wanted.collect();
        MissingLayers::of(archive, |digest| wanted.contains(digest)).map_or(Ok(()), |missing| Err(missing.into()))
    }
}

/// The files of an app that is plain manifests.
pub(super) fn read_manifests(archive: &Archive, app: &AppRecord) -> Result<FileTree, Failure> {
    let (AppSource::Manifests { digest } | AppSource::Chart { digest, .. }) = &app.source;
    let package = archive.read(digest).map_err(archive_failure)?;
    Ok(manifests::unpack(&package).map_err(|error| ExtractError::Manifests { app: app.name.clone(), reason: error.to_string() })?)
}
