//! Asking whether the account may do what will be needed, before anything is done.

use std::{collections::BTreeSet, fmt};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{
    Client,
    api::{Api, PostParams},
};

use super::error::ClusterError;

/// One thing that one may be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// As in `create`.
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Plural name, as in `deployments`; `pods/exec` for a subresource.
    pub resource: String,
    /// Namespace; none for everywhere, or for what has no namespace.
    pub namespace: Option<String>,
}

impl Right {
    /// A right on a resource.
    pub fn new(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> Self {
        Self { verb: verb.into(), group: group.into(), resource: resource.into(), namespace: namespace.map(str::to_owned) }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// Which of these the account lacks.
pub async fn missing_rights(client: &Client, wanted: BTreeSet<Right>) -> Result<Vec<Right>, ClusterError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answers = futures::stream::iter(wanted).map(|right| {
        let api = api.clone();
        async move { review(&api, &right).await.map(|allowed| (!allowed).then_some(right)) }
    });
    let mut missing: Vec<Right> = answers.buffered(8).try_filter_map(|right| async move { Ok(right) }).try_collect().await?;
    missing.sort();
    Ok(missing)
}

async fn review(api: &Api<SelfSubjectAccessReview>, right: &Right) -> Result<bool, ClusterError> {
    let (resource, subresource) = right.resource.split_once('/').map_or((right.resource.as_str(), None), |(r, s)| (r, Some(s.to_owned())));
    let attributes = ResourceAttributes {
        verb: Some(right.verb.clone()),
        group: Some(right.group.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: right.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let question = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = api.create(&PostParams::default(), &question).await.map_err(|e| ClusterError::request("ask for", "the account's rights", e))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
