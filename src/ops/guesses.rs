//! What may be an image: whether it is taken, left, or somebody is asked.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    delivery::{Delivery, Guesses},
    failure::{Failure, Kind},
    images::Evidence,
    oci::Reference,
    registry::{ImageError, Problem, RegistryError},
};

/// Asks whoever runs the program whether these are to travel.
pub type Ask = Arc<dyn Fn(&[Guess]) -> Result<bool, Failure> + Send + Sync>;

/// What may be an image, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guess {
    /// Its full name.
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Why it may be one; or, where it is none for us, why not.
    pub reason: String,
}

/// Registries have all of these, and nobody has decided about them.
#[derive(Debug, thiserror::Error)]
#[error("{} may be needed, and nobody has decided about them:{}", if .0.len() == 1 { "1 image".to_owned() } else { format!("{} images", .0.len()) }, lines(.0))]
pub(super) struct Undecided(pub(super) Vec<Guess>);

fn lines(guesses: &[Guess]) -> String {
    guesses.iter().flat_map(|guess| ["\n  - ".to_owned(), guess.reference.to_string(), ": ".to_owned(), guess.reason.clone()]).collect()
}

/// What the delivery says about a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It travels.
    Take,
    /// It stays behind.
    Leave,
    /// Ask; where nobody is there, fail.
    Ask,
    /// Fail.
    Fail,
}

/// What the apps that named it say: who wants it wins over who is not sure, and that over who does not want it.
pub(super) fn choice(delivery: &Delivery, evidence: &Evidence) -> Choice {
    let policies = evidence.origins().iter().map(|origin| {
        let app = delivery.spec.apps.iter().find(|app| Some(&app.name) == origin.app.as_ref());
        app.and_then(|app| app.guesses)
    });
    let policies: Vec<Option<Guesses>> = policies.collect();
    let any = |wanted: Option<Guesses>| policies.contains(&wanted);
    if any(Some(Guesses::Take)) {
        Choice::Take
    } else if any(Some(Guesses::Fail)) {
        Choice::Fail
    } else if any(None) || policies.is_empty() {
        Choice::Ask
    } else {
        Choice::Leave
    }
}

/// Whether those that nobody has decided about travel.
pub(super) fn decide(undecided: Vec<Guess>, strict: bool, ask: Option<&Ask>) -> Result<bool, Failure> {
    match ask.filter(|_| !strict) {
        Some(ask) => ask(&undecided),
        None => Err(Failure::new(Kind::Usage, Undecided(undecided))
            .hint("say `images: {guesses: take}` or `{guesses: leave}` in the app of delivery.yaml, or leave single ones out with `images: {exclude: […]}`")
            .hint("`kubectl offline images --why IMAGE` shows what names it")),
    }
}

/// Whether a registry's answer means that a guess is no image for us, rather than that the registry is in trouble.
pub(super) fn disproves(error: &RegistryError) -> bool {
    matches!(
        *error.problem,
        Problem::NotFound(_)
            | Problem::NoCredentials
            | Problem::Refused { .. }
            | Problem::Dns(_)
            | Problem::ConnectionRefused(_)
            | Problem::NotTls
            | Problem::Image(_)
    )
}

/// In a few words.
pub(super) fn why_not(error: &RegistryError) -> String {
    match &*error.problem {
        Problem::Image(ImageError::Platform { wanted, found }) => format!("it has no content for {wanted}, only for {found}"),
        problem => format!("{}: {problem}", error.host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery, delivery::record::Origin, images::ImageSet};

    #[test]
    fn who_wants_it_wins() {
        let app = |name: &str, guesses: &str| format!("  - {{name: {name}, manifests: [k], images: {{{guesses}}}}}\n");
        let text = format!(
            "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: d, version: '1'}}\nspec:\n  apps:\n{}{}{}{}",
            app("t", "guesses: take"),
            app("l", "guesses: leave"),
            app("f", "guesses: fail"),
            app("n", "")
        );
        let delivery = delivery::parse(std::path::Path::new("d.yaml"), &text).unwrap();
        for (apps, want) in [("tl", Choice::Take), ("l", Choice::Leave), ("lf", Choice::Fail), ("ln", Choice::Ask), ("fn", Choice::Fail), ("nt", Choice::Take)]
        {
            let mut set = ImageSet::new();
            let image: Reference = "a/b:1".parse().unwrap();
            for app in apps.chars() {
                set.guess(image.clone(), Origin { app: Some(app.to_string()), ..Origin::default() }, "r");
            }
            assert_eq!(choice(&delivery, set.get(&image).unwrap()), want, "{apps}");
        }
    }
}
