//! A stream of manifests into documents: Helm's `releaseutil.SplitManifests`, not YAML's own rule.

/// Splits at `(?:^|\s*\n)---\s*` after trimming; empty pieces are left out, the others trimmed.
///
/// The separator takes the white space after it, so of two separators with nothing between them the second stays in the text.
pub fn split(text: &str) -> Vec<String> {
    let text = text.trim();
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut search = 0;
    while let Some(found) = text[search..].find("---") {
        let at = search + found;
        let opens = at == 0 || text[..at].ends_with('\n');
        // Separators do not overlap: what the one before consumed cannot open this one.
        if !opens || at < from || (at > 0 && at == from) {
            search = at + 1;
            continue;
        }
        pieces.push(&text[from..at]);
        let rest = &text[at + 3..];
        from = at + 3 + (rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']).len());
        search = from;
    }
    pieces.push(&text[from..]);
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_helm() {
        for (text, want) in [
            ("a: 1\n---\nb: 2\n", vec!["a: 1", "b: 2"]),
            ("---\na: 1", vec!["a: 1"]),
            ("---\n---\na: 1", vec!["---\na: 1"]),
            ("a: 1\n ---\nb: 2", vec!["a: 1\n ---\nb: 2"]),
            ("a: 1\n---key: v", vec!["a: 1", "key: v"]),
            ("a: 1\n--- # c\nb: 2", vec!["a: 1", "# c\nb: 2"]),
            ("# only", vec!["# only"]),
            ("", vec![]),
        ] {
            assert_eq!(split(text), want, "{text:?}");
        }
    }
}
