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

/// As Helm 4 splits (pkg/release/v1/util/manifest.go): at `(?m)^---[ \t]*` after white space at the start is gone. What stands before
/// a separator keeps its line ends.
pub fn split_helm4(text: &str) -> Vec<String> {
    let mut text = text.trim_start();
    let mut pieces = Vec::new();
    loop {
        let end = if text.starts_with("---") { Some(0) } else { text.find("\n---").map(|at| at + 1) };
        let piece = end.map_or(text, |end| &text[..end]);
        if !piece.trim().is_empty() {
            pieces.push(piece.trim_start().to_owned());
        }
        let Some(end) = end else { return pieces };
        text = text[end + 3..].trim_start_matches([' ', '\t']);
        // What follows a separator on its line is a document's text, even if it is a separator itself.
        if text.starts_with("---") {
            let line = text.find("\n---").map_or(text.len(), |at| at + 1);
            pieces.push(text[..line].to_owned());
            text = &text[line..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_helm_4() {
        for (text, want) in [
            ("\n a: 1\n---\nb: 2\n", vec!["a: 1\n", "b: 2\n"]),
            ("---\na: 1", vec!["a: 1"]),
            ("---\n---\n\n---\na: 1\n\n", vec!["a: 1\n\n"]),
            ("a: 1\n---key: v\n--- \t# c\nb: 2", vec!["a: 1\n", "key: v\n", "# c\nb: 2"]),
            ("a: 1\n ---\nb: 2", vec!["a: 1\n ---\nb: 2"]),
            ("--- ---\na: 1\n------\nb: 2\n", vec!["---\na: 1\n", "---\nb: 2\n"]),
            ("", vec![]),
        ] {
            assert_eq!(split_helm4(text), want, "{text:?}");
        }
    }

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
