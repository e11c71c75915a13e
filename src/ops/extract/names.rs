//! Names of what is written. They come from archives, so none of them leads out of the folder or does anything to a terminal or a shell.

use super::error::ExtractError;
use crate::tree::SafePath;

/// The longest name of a file (`NAME_MAX` of Linux).
const NAME_MAX: usize = 255;

/// One name, for a file or a folder.
pub(super) fn leaf(name: &str) -> Result<SafePath, ExtractError> {
    const WHAT: &str = "a chart, an app or a delivery";
    if name.contains('/') {
        return Err(wrong(name, WHAT, "it has a slash"));
    }
    // Such a name would be read as an option where somebody says `*`.
    if name.starts_with('-') {
        return Err(wrong(name, WHAT, "it begins with `-`"));
    }
    checked(name, WHAT)
}

/// A file below a folder.
pub(super) fn below(folder: &str, path: &str) -> Result<SafePath, ExtractError> {
    // By itself as well: behind a folder a drive is none any more.
    checked(path, "a file")?;
    checked(&format!("{folder}/{path}"), "a file")
}

/// A file of the delivery. As delivery.yaml may lie beside what it delivers, `../docs/a.pdf` is a name of one; it is put where it would be if
/// nothing went up, as `tar` does.
pub(super) fn of_file(title: &str) -> Result<SafePath, ExtractError> {
    let refused = || wrong(title, "a file", "it is no plain relative path");
    if title.starts_with('/') {
        return Err(refused());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in title.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    below("files", &parts.join("/")).map_err(|_| refused())
}

fn checked(path: &str, what: &'static str) -> Result<SafePath, ExtractError> {
    if path.contains(char::is_control) {
        return Err(wrong(path, what, "it has control characters"));
    }
    if path.split('/').any(|part| part.len() > NAME_MAX) {
        return Err(wrong(path, what, "it is longer than 255 bytes"));
    }
    path.parse().map_err(|_| wrong(path, what, "it is no plain relative path"))
}

fn wrong(name: &str, what: &'static str, reason: &'static str) -> ExtractError {
    let name = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    ExtractError::Name { name, what, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_plain_part() {
        for good in ["web", "web-1.2.3+build.tgz", "a b", "..a", "ü"] {
            assert_eq!(leaf(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "/", "/etc", "a/b", "../a", "a\\b", "c:x", "-rf", "a\nb", "\u{1b}[2J", "a\0", &"x".repeat(256)] {
            assert!(leaf(bad).is_err(), "{bad:?}");
            assert!(!leaf(bad).unwrap_err().to_string().contains(char::is_control), "{bad:?}");
        }
    }

    #[test]
    fn files_stay_below_their_folder() {
        for (title, path) in [
            ("delivery.yaml", "files/delivery.yaml"),
            ("docs/a.pdf", "files/docs/a.pdf"),
            ("../docs/a.pdf", "files/docs/a.pdf"),
            ("../../../../etc/passwd", "files/etc/passwd"),
            ("./a/../b", "files/b"),
        ] {
            assert_eq!(of_file(title).unwrap().as_str(), path);
        }
        for bad in ["", "..", ".", "/etc/passwd", "/../x", "a//b", "a/", "a\\..\\b", "c:/x", "a\rb"] {
            assert!(of_file(bad).is_err(), "{bad:?}: {:?}", of_file(bad));
        }
    }
}
