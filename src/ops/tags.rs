//! The tags that policies of `spec.images` pick, before anything is rendered: from the lock where there is one, else from registries.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{prepare::registry_failure, several};
use crate::{
    delivery::{Delivery, ImageEntry, Lock, LockedTag},
    failure::{Failure, Kind},
    oci::Platform,
    progress::{Event, SharedReporter},
    registry::Registries,
};

/// Tags that only a registry can tell.
#[derive(Debug, thiserror::Error)]
#[error("the lock has no tag for {}", .0.join(", "))]
struct Unpicked(Vec<String>);

/// The same without a network: a policy that the lock has not answered is an error.
pub(super) fn settled(delivery: &mut Delivery, locked: Option<&Lock>) -> Result<(), Failure> {
    from_lock(delivery, locked);
    let open = delivery.spec.images.iter().filter_map(|entry| match entry {
        ImageEntry::Policy { repository, policy } => Some(format!("`{}` by {policy}", repository.name())),
        ImageEntry::Ref(_) | ImageEntry::Archive(_) | ImageEntry::Docker(_) | ImageEntry::Containerd(_) => None,
    });
    let open: Vec<String> = open.collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, Unpicked(open)).hint("`kubectl offline lock` asks the registry and writes the tags down; `images --resolve` only asks"))
}

/// Puts the reference of the lock in the place of every policy that the lock has answered; tells what it was.
fn from_lock(delivery: &mut Delivery, locked: Option<&Lock>) -> Vec<LockedTag> {
    let mut picked = Vec::new();
    for entry in &mut delivery.spec.images {
        let ImageEntry::Policy { repository, policy } = &*entry else { continue };
        let Some(tag) = locked.and_then(|lock| lock.tag(repository, policy)) else { continue };
        picked.push(LockedTag::new(tag.clone(), policy));
        *entry = ImageEntry::Ref(tag.clone());
    }
    picked
}

/// Puts a reference with its tag in the place of every policy; and tells what was picked, for the lock. All that fail are reported.
pub(super) async fn settle(
    delivery: &mut Delivery,
    locked: Option<&Lock>,
    registries: &Arc<Registries>,
    reporter: &SharedReporter,
) -> Result<Vec<LockedTag>, Failure> {
    let platform = delivery.spec.platforms.first().cloned().unwrap_or_else(Platform::linux_amd64);
    let mut picked = from_lock(delivery, locked);
    let mut tasks = JoinSet::new();
    for (at, entry) in delivery.spec.images.iter().enumerate() {
        let ImageEntry::Policy { repository, policy } = entry else { continue };
        let (registries, repository, policy, platform) = (registries.clone(), repository.clone(), policy.clone(), platform.clone());
        tasks.spawn(async move { (at, registries.pick(&repository, &policy, &platform).await, policy) });
    }
    if !tasks.is_empty() {
        reporter.step(format!("choosing {} tags", tasks.len()));
    }
    let mut failures = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((at, Ok(reference), policy)) => {
                reporter.event(Event::Note(format!("{reference}: {policy}")));
                picked.push(LockedTag::new(reference.clone(), &policy));
                if let Some(entry) = delivery.spec.images.get_mut(at) {
                    *entry = ImageEntry::Ref(reference);
                }
            }
            Ok((_, Err(error), _)) => failures.push(registry_failure(error)),
            Err(error) => failures.push(Failure::new(Kind::Other, error)),
        }
    }
    // They came in the order of the network.
    failures.sort_by_cached_key(ToString::to_string);
    several::all("tags cannot be chosen", failures)?;
    Ok(picked)
}
