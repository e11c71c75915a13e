//! Whether one version of a delivery may follow another: an older archive, however well it is signed, brings old faults back.

use std::cmp::Ordering;

use crate::{
    failure::{Failure, Kind},
    semver::Version,
};

/// Why a version is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// It is older than somebody wants.
    #[error("{delivery} {found} is older than {wanted}, the oldest version that is accepted (--minimum-version)")]
    TooOld {
        /// The delivery.
        delivery: String,
        /// The archive's version.
        found: String,
        /// The oldest one that is accepted.
        wanted: String,
    },
    /// It is older than what was installed.
    #[error("{delivery} {found} is older than {installed}, which was installed in this cluster before")]
    Downgrade {
        /// The delivery.
        delivery: String,
        /// The archive's version.
        found: String,
        /// What was installed.
        installed: String,
    },
    /// Which is the older one cannot be told.
    #[error("whether {delivery} `{found}` is older than `{other}` cannot be told: {wrong} is no semantic version (as 1.2.3)", wrong = no_version(found, other))]
    Unordered {
        /// The delivery.
        delivery: String,
        /// The archive's version.
        found: String,
        /// The other one.
        other: String,
    },
}

fn no_version(found: &str, other: &str) -> String {
    let wrong: Vec<String> = [found, other].iter().filter(|text| Version::parse(text).is_none()).map(|text| format!("`{text}`")).collect();
    wrong.join(" and ")
}

/// How two versions stand to each other, by semantic versioning's precedence; none where one of them is no such version. The same text is the same.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    if one == other {
        return Some(Ordering::Equal);
    }
    Some(Version::parse(one)?.compare(&Version::parse(other)?))
}

/// Holds an archive's version against the oldest that is accepted.
pub(super) fn at_least(delivery: &str, found: &str, wanted: &str) -> Result<(), Failure> {
    let [delivery, found, wanted] = [delivery, found, wanted].map(str::to_owned);
    match compare(&found, &wanted) {
        Some(Ordering::Less) => Err(refused(VersionError::TooOld { delivery, found, wanted })),
        Some(_) => Ok(()),
        None => Err(refused(VersionError::Unordered { delivery, found, other: wanted })),
    }
}

/// Holds an archive's version against what was installed before.
pub(super) fn follows(delivery: &str, found: &str, installed: &str) -> Result<(), Failure> {
    let [delivery, found, installed] = [delivery, found, installed].map(str::to_owned);
    let error = match compare(&found, &installed) {
        Some(Ordering::Less) => VersionError::Downgrade { delivery, found, installed },
        Some(_) => return Ok(()),
        None => VersionError::Unordered { delivery, found, other: installed },
    };
    Err(refused(error).hint("--allow-downgrade installs it all the same, and from then on counts as what was installed"))
}

fn refused(error: VersionError) -> Failure {
    Failure::new(Kind::Untrusted, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_versions_do_not_follow_newer_ones() {
        for (found, installed) in
            [("1.0", "1.0"), ("1.1", "1.0"), ("1.10.0", "1.9.0"), ("v2", "1"), ("1.0.0", "1.0.0-rc.1"), ("1.0.0+b", "1.0.0+a"), ("friday", "friday")]
        {
            assert!(follows("shop", found, installed).is_ok() && at_least("shop", found, installed).is_ok(), "{found} after {installed}");
        }
        for (found, installed) in [("1.0", "1.1"), ("1.9.0", "1.10.0"), ("1.0.0-rc.1", "1.0.0"), ("0.9", "1")] {
            let error = follows("shop", found, installed).unwrap_err();
            assert!(
                error.kind == Kind::Untrusted
                    && error.to_string() == format!("shop {found} is older than {installed}, which was installed in this cluster before")
            );
            assert!(error.hints[0].contains("--allow-downgrade"));
            assert!(at_least("shop", found, installed).unwrap_err().to_string().contains("--minimum-version"));
        }
    }

    #[test]
    fn what_has_no_order_is_not_ordered() {
        for (found, installed, wrong) in [("friday", "1.0", "`friday` is no"), ("1.0", "monday", "`monday` is no"), ("a", "b", "`a` and `b` is no")] {
            for error in [follows("shop", found, installed).unwrap_err(), at_least("shop", found, installed).unwrap_err()] {
                assert!(error.kind == Kind::Untrusted && error.to_string().contains(wrong), "{error}");
            }
        }
    }
}
