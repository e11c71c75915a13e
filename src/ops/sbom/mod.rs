//! The software bill of materials of an archive: the delivery, its apps, charts, images and files, and how they belong together, as SPDX 2.3 or
//! CycloneDX 1.6. The same archive gives the same document.
//!
//! It lists what the archive names. What is inside the layers of images is for scanners; SBOMs that travel with images stay as they are.

mod cyclonedx;
mod model;
mod purl;
mod spdx;

use serde_json::Value;

use self::model::Bill;
use super::{
    inspect::{self, InspectOptions, Looked},
    verify::Elsewhere,
};
use crate::failure::{Failure, Kind};

/// Which kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// SPDX 2.3 as JSON.
    Spdx,
    /// CycloneDX 1.6 as JSON.
    CycloneDx,
}

#[derive(Debug, thiserror::Error)]
#[error("SOURCE_DATE_EPOCH is `{0}`: wanted are seconds since 1970")]
struct Epoch(String);

/// The document for an archive. `epoch` is `SOURCE_DATE_EPOCH`, where that is set (reproducible-builds.org): the time that the document bears. Without
/// it that is the newest time at which an image says it was made.
pub fn run(options: &InspectOptions, elsewhere: &Elsewhere, format: SbomFormat, epoch: Option<&str>) -> Result<Value, Failure> {
    let time = match epoch {
        None => None,
        Some(text) => {
            let parsed = text.trim().parse::<i64>().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            Some(parsed.ok_or_else(|| Failure::new(Kind::Usage, Epoch(text.to_owned())))?)
        }
    };
    let Looked { contents, index, .. } = inspect::look(&options.archive, &options.trust, elsewhere)?;
    options.trust.check_version(contents.record())?;
    let bill = Bill::new(&contents, index, time);
    Ok(match format {
        SbomFormat::Spdx => spdx::document(&bill),
        SbomFormat::CycloneDx => cyclonedx::document(&bill),
    })
}
