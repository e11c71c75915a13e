//! Patterns of image names.

/// Whether a pattern matches a whole name: `*` stands for any characters, `?` for one.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and where in the name it ends so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, end)) => {
                    star = Some((at, end + 1));
                    (p, n) = (at + 1, end + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn whole_names() {
        for (pattern, name, want) in [
            ("*/tests:*", "ghcr.io/acme/tests:1", true),
            ("*/tests:*", "ghcr.io/acme/tests2:1", false),
            ("docker.io/library/busybox:1.3?", "docker.io/library/busybox:1.36", true),
            ("busybox", "docker.io/library/busybox:1", false),
            ("*", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b", "aXbc", false),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }
}
