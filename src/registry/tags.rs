//! The tag that a policy chooses among those of a repository.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{ImageError, Problem, Registries, RegistryError};
use crate::{
    oci::{Descriptor, Platform, Reference, media_type},
    tag_policy::{self, NoTag, Pick, TagPolicy},
};

/// Tags whose images are asked for their time; each takes two or three requests.
const TIMES_MAX: usize = 256;
/// Images asked at a time; the registry's own bounds hold as well.
const AT_A_TIME: usize = 8;

/// What a configuration says about its time (image-spec, config.md).
#[derive(Deserialize)]
struct Made {
    created: Option<String>,
}

impl Registries {
    /// The reference with the tag that a policy chooses. Under `newest` the images of one platform are asked when they were made.
    pub async fn pick(&self, repository: &Reference, policy: &TagPolicy, platform: &Platform) -> Result<Reference, RegistryError> {
        let tags = self.tags(repository).await?;
        let target = self.target(repository, "choose a tag of")?;
        let failed = |problem| RegistryError { subject: repository.name(), ..target.error("choose a tag of", None, problem) };
        let none = |source| Problem::NoTag { policy: policy.to_string(), source };
        let candidates = policy.candidates(&tags).map_err(|error| failed(none(error)))?;
        let chosen = if policy.pick == Pick::Newest {
            if candidates.len() > TIMES_MAX {
                return Err(failed(Problem::ManyTags { policy: policy.to_string(), found: candidates.len(), max: TIMES_MAX }));
            }
            let times = self.times(repository, &candidates, platform).await?;
            let newest = tag_policy::newest(&times).map(str::to_owned);
            newest.ok_or_else(|| {
                let wanted = platform.clone();
                failed(ImageError::Platform { wanted, found: format!("no image under any of the {} tags that match", candidates.len()) }.into())
            })?
        } else {
            (*candidates.last().ok_or_else(|| failed(none(NoTag::Empty)))?).to_owned()
        };
        repository.with_tag(&chosen).map_err(|error| failed(Problem::BadTag(error.to_string())))
    }

    /// When the images under some tags were made; what is no image for the platform is left out.
    async fn times(&self, repository: &Reference, tags: &[&str], platform: &Platform) -> Result<Vec<(String, Option<Timestamp>)>, RegistryError> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let asked = tags.into_iter().map(|tag| async move {
            let Ok(image) = repository.with_tag(&tag) else { return Ok(None) };
            match self.image(&image, std::slice::from_ref(platform)).await {
                Ok(found) => Ok(Some((tag, found.content.documents.iter().find_map(made)))),
                Err(error) if is_no_image(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        stream::iter(asked).buffer_unordered(AT_A_TIME).try_filter_map(|found| async { Ok(found) }).try_collect().await
    }
}

fn made((descriptor, bytes): &(Descriptor, Bytes)) -> Option<Timestamp> {
    if !matches!(descriptor.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
        return None;
    }
    serde_json::from_slice::<Made>(bytes).ok()?.created?.parse().ok()
}

/// Signatures, charts and images for others are tags as well.
fn is_no_image(error: &RegistryError) -> bool {
    matches!(&*error.problem, Problem::Image(ImageError::Platform { .. } | ImageError::NotAnImage(_) | ImageError::Manifest { .. }))
}
