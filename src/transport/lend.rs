//! Layers that an archive leaves out, from registries that have them. Which repositories may have a layer is a guess of whoever asks; each is asked
//! until one says yes.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    Reach, TransportError, TransportProblem,
    parts::{self, Parts},
    remote,
};
use crate::{
    archive::{Lent, LentBlob},
    oci::{Digest, Reference},
    registry::{Problem, Registries},
};

/// Layers that are asked for at a time.
const AT_ONCE: usize = 8;

/// A layer, and where it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// Names in repositories that may have it, the likeliest first.
    pub repositories: Vec<Reference>,
}

/// What was found of a layer.
enum Found {
    /// Whose it is.
    At(Reference),
    /// What each repository said.
    Nowhere(Vec<String>),
}

/// Asks registries for layers. What has none of them is no error; a registry that cannot be asked is one. `name` stands for them in messages.
pub fn lend(name: &str, wanted: Vec<Asked>, reach: &Reach) -> Result<Lent, TransportError> {
    let failed = |problem| TransportError::new("read", name, problem);
    let registries = Arc::new(parts::registries(wanted.iter().flat_map(|asked| &asked.repositories), reach));
    let asking = registries.clone();
    let (runtime, found) = remote::begin(async move { ask_all(&asking, wanted).await }).map_err(failed)?;
    let (mut blobs, mut tried, mut joined, mut offset) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), 0_u64);
    for (asked, found) in found {
        match found {
            Found::At(reference) => {
                let place = reference.name();
                blobs.insert(asked.digest.clone(), LentBlob { offset, size: asked.size, place });
                offset = offset.saturating_add(asked.size);
                joined.push((asked.digest, asked.size, reference));
            }
            Found::Nowhere(said) => {
                tried.insert(asked.digest, said);
            }
        }
    }
    let parts = Parts::joined(registries, joined).map_err(failed)?;
    Ok(Lent { medium: remote::of_blobs(runtime, parts, name.to_owned()), blobs, tried })
}

async fn ask_all(registries: &Registries, wanted: Vec<Asked>) -> Result<Vec<(Asked, Found)>, TransportProblem> {
    let asking = wanted.into_iter().map(|asked| async move {
        let found = ask(registries, &asked).await?;
        Ok::<_, TransportProblem>((asked, found))
    });
    futures::stream::iter(asking).buffered(AT_ONCE).try_collect().await
}

/// Many registries answer for a repository that they do not have as if it were somebody else's: that is told, and the next one is asked.
async fn ask(registries: &Registries, asked: &Asked) -> Result<Found, TransportProblem> {
    let mut said = Vec::new();
    for reference in &asked.repositories {
        match registries.holds(reference, &asked.digest).await {
            Ok(true) => return Ok(Found::At(reference.clone())),
            Ok(false) => said.push(format!("{} does not have it", reference.name())),
            Err(error) => match *error.problem {
                problem @ (Problem::NoCredentials | Problem::Refused { .. }) => said.push(format!("{}: {problem}", reference.name())),
                _ => return Err(Box::new(error).into()),
            },
        }
    }
    Ok(Found::Nowhere(said))
}
