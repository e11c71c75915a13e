//! Questions to whoever sits at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::redact::Secret;

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64 << 10;

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line.
pub fn line(question: &str) -> io::Result<String> {
    write!(io::stderr().lock(), "{question}")?;
    let mut answer = String::new();
    io::stdin().lock().take(ANSWER_MAX).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a line that the terminal does not show.
#[cfg(unix)]
pub fn secret(question: &str) -> io::Result<Secret<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let terminal = io::stdin();
    let shown = tcgetattr(&terminal)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let answer = line(question);
    tcsetattr(&terminal, OptionalActions::Flush, &shown)?;
    writeln!(io::stderr().lock())?;
    answer.map(Secret::new)
}

/// Asks for a line that the terminal does not show, which cannot be had here.
#[cfg(not(unix))]
pub fn secret(_: &str) -> io::Result<Secret<String>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a password cannot be asked for on this system; use --password-stdin"))
}

/// All of standard input as a secret, without the end of its line (docker/cli, cli/command/registry/login.go).
pub fn secret_from_stdin() -> io::Result<Secret<String>> {
    let mut text = String::new();
    io::stdin().lock().take(ANSWER_MAX).read_to_string(&mut text)?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(Secret::new(text))
}
