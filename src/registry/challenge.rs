//! What a registry answers who has not said who he is, and where its next page is: two headers, taken apart (RFC 9110, 11.6.1; RFC 8288).

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token of another server (distribution, docs/spec/auth/token.md).
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For what, where the registry says it.
        scope: Option<String>,
    },
}

/// The challenge to answer, among those of all `WWW-Authenticate` headers: a token's before a password's.
pub(super) fn challenge<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Challenge> {
    let found: Vec<Challenge> = headers.flat_map(challenges).collect();
    let bearer = found.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(found.first()).cloned()
}

fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start();
    while let Some((scheme, after)) = word(rest) {
        let (parameters, left) = parameters(after);
        let get = |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            found.push(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
        }
        rest = left.trim_start_matches([' ', '\t', ',']);
    }
    found
}

fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `key=value` and `key="value"` with commas between; what is left begins with the next scheme.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let here = rest.trim_start_matches([' ', '\t', ',']);
        let Some((key, after)) = word(here) else { return (found, "") };
        let Some(value) = after.trim_start().strip_prefix('=') else { return (found, here) };
        let value = value.trim_start();
        if let Some(quoted) = value.strip_prefix('"') {
            let (mut text, mut escaped, mut end) = (String::new(), false, quoted.len());
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => {
                        text.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => text.push(c),
                }
            }
            found.push((key.to_owned(), text));
            rest = &quoted[end..];
        } else {
            let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
            found.push((key.to_owned(), value[..end].to_owned()));
            rest = &value[end..];
        }
    }
}

/// The address of the next page, as it is written (distribution-spec, "Listing Tags").
pub(super) fn next_page<'h>(mut headers: impl Iterator<Item = &'h str>) -> Option<String> {
    headers.find_map(|header| {
        // A target may hold commas, so links are parted by their brackets.
        header.split('<').skip(1).find_map(|link| {
            let (target, parameters) = link.split_once('>')?;
            let is_next = parameters.split(';').skip(1).any(|parameter| {
                let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_end_matches(',').trim().trim_matches('"').eq_ignore_ascii_case("next")
            });
            is_next.then(|| target.trim().to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn challenges_as_registries_write_them() {
        for (header, wanted) in [
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:samalba/my-app:pull,push""#,
                Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:samalba/my-app:pull,push"))),
            ),
            (r#"bearer realm="https://h/a\"b", error=insufficient_scope"#, Some(bearer("https://h/a\"b", None, None))),
            (r#"Basic realm="x", Bearer realm="https://h/t", service=s"#, Some(bearer("https://h/t", Some("s"), None))),
            (r#"Bearer service="no realm""#, None),
            ("Negotiate", None),
            ("", None),
            (r#"Bearer realm="unclosed"#, Some(bearer("unclosed", None, None))),
        ] {
            assert_eq!(challenge([header].into_iter()), wanted, "{header}");
        }
        assert_eq!(challenge([r#"Basic realm="a""#, r#"Bearer realm="https://h""#].into_iter()), Some(bearer("https://h", None, None)));
    }

    #[test]
    fn links_as_registries_write_them() {
        for (header, wanted) in [
            (r#"</v2/app/tags/list?last=b&n=2>; rel="next""#, Some("/v2/app/tags/list?last=b&n=2")),
            ("</v2/_catalog?last=a,b&n=100>; rel=next", Some("/v2/_catalog?last=a,b&n=100")),
            (r#"</first>; rel="prev", <https://h/v2/x?next_page=gAA>; rel="next""#, Some("https://h/v2/x?next_page=gAA")),
            (r#"</first>; rel="prev""#, None),
            ("", None),
            ("<unclosed", None),
        ] {
            assert_eq!(next_page([header].into_iter()).as_deref(), wanted, "{header}");
        }
    }
}
