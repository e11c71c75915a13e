//! Where a key comes from: a file, a variable of the environment, or a command that prints it.

use std::{
    ffi::OsStr,
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use zeroize::Zeroizing;

use super::KEY_MAX;
use crate::{
    io::{self, FileError},
    redact::Secret,
};

/// How cosign names a key in the environment (cosign, pkg/blob/load.go, `LoadFileOrURL`).
const VARIABLE: &str = "env://";
/// A command that prints the key.
const COMMAND: &str = "exec:";
/// How long a command may take; it may ask a person for something.
const COMMAND_TIME: Duration = Duration::from_mins(2);

/// A key, by where it is.
#[derive(Clone)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A variable of the environment, `env://NAME`.
    Variable {
        /// Its name.
        name: String,
        /// What it holds.
        value: Option<Secret<String>>,
    },
    /// A program and its arguments, `exec:PROGRAM ARGUMENT…`, which prints the key. No shell reads them.
    Command(Vec<String>),
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such variable.
    #[error("the environment has no variable `{0}`, from which the key was to be read")]
    NoVariable(String),
    /// No command is named.
    #[error("`{COMMAND}` names no program: wanted `{COMMAND}PROGRAM ARGUMENT…`")]
    NoCommand,
    /// The command cannot be run.
    #[error("`{program}`, which was to print the key, cannot be run: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The command failed.
    #[error("`{program}`, which was to print the key, ended with {status}")]
    Status {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The command does not end.
    #[error("`{program}`, which was to print the key, did not end within {seconds} seconds")]
    Slow {
        /// The program.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The command printed something that is no key.
    #[error("`{program}` printed more than {KEY_MAX} bytes, or something that is no text; wanted a key")]
    NoKey {
        /// The program.
        program: String,
    },
}

impl KeySource {
    /// Reads the name of a key: `env://NAME`, `exec:PROGRAM ARGUMENT…`, or the path of a file. `variable` looks into the environment.
    pub fn parse(text: &OsStr, variable: impl Fn(&str) -> Option<Secret<String>>) -> Self {
        let Some(text) = text.to_str() else { return Self::File(text.into()) };
        if let Some(name) = text.strip_prefix(VARIABLE) {
            return Self::Variable { name: name.to_owned(), value: variable(name) };
        }
        match text.strip_prefix(COMMAND) {
            Some(line) => Self::Command(line.split_whitespace().map(str::to_owned).collect()),
            None => Self::File(text.into()),
        }
    }

    /// The key's text.
    pub fn read(&self) -> Result<Zeroizing<String>, KeySourceError> {
        match self {
            Self::File(path) => Ok(Zeroizing::new(io::read_capped_text(path, KEY_MAX)?)),
            Self::Variable { name, value } => match value {
                Some(value) => Ok(Zeroizing::new(value.expose().clone())),
                None => Err(KeySourceError::NoVariable(name.clone())),
            },
            Self::Command(words) => run(words, COMMAND_TIME),
        }
    }
}

impl From<PathBuf> for KeySource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for KeySource {
    fn from(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable { name, .. } => write!(f, "{VARIABLE}{name}"),
            // Its arguments may hold a secret.
            Self::Command(words) => write!(f, "{COMMAND}{}", words.first().map_or("", String::as_str)),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs a command and takes what it prints. It may use the terminal: what it says to people goes there, as with kubectl's credential plugins.
fn run(words: &[String], time: Duration) -> Result<Zeroizing<String>, KeySourceError> {
    let (program, arguments) = words.split_first().ok_or(KeySourceError::NoCommand)?;
    let start = |source| KeySourceError::Start { program: program.clone(), source };
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().map_err(start)?;
    let output = child.stdout.take().ok_or_else(|| start(std::io::Error::other("it has no output")))?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Zeroizing::new(Vec::new());
        let read = output.take(KEY_MAX + 1).read_to_end(&mut text).map(|_| text);
        // Nobody listens where it took too long.
        let _ = send.send(read);
    });
    let read = receive.recv_timeout(time);
    if !matches!(&read, Ok(Ok(text)) if text.len() as u64 <= KEY_MAX) {
        // What does not end by itself, or prints without end. It may have ended meanwhile.
        let _ = child.kill();
    }
    let status = child.wait().map_err(start)?;
    let text = match read {
        Err(_) => return Err(KeySourceError::Slow { program: program.clone(), seconds: time.as_secs() }),
        Ok(text) => text.map_err(start)?,
    };
    if text.len() as u64 > KEY_MAX {
        return Err(KeySourceError::NoKey { program: program.clone() });
    }
    if !status.success() {
        return Err(KeySourceError::Status { program: program.clone(), status });
    }
    let text = std::str::from_utf8(&text).map_err(|_| KeySourceError::NoKey { program: program.clone() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn parse(text: &str) -> KeySource {
        KeySource::parse(OsStr::new(text), |name| (name == "KEY").then(|| "from the environment".into()))
    }

    #[test]
    fn keys_come_from_files_the_environment_and_commands() {
        assert!(matches!(parse("a/b.key"), KeySource::File(path) if path == Path::new("a/b.key")));
        assert_eq!(parse("env://KEY").read().unwrap().as_str(), "from the environment");
        assert!(matches!(parse("env://NONE").read(), Err(KeySourceError::NoVariable(name)) if name == "NONE"));
        assert_eq!(parse("exec:echo a  b").read().unwrap().as_str(), "a b\n");
        assert!(matches!(parse("exec:").read(), Err(KeySourceError::NoCommand)));
        assert!(matches!(parse("exec:/no/such/program").read(), Err(KeySourceError::Start { .. })));
        assert!(matches!(parse("exec:false").read(), Err(KeySourceError::Status { .. })));
        assert!(matches!(parse("exec:yes").read(), Err(KeySourceError::NoKey { .. })));
        assert_eq!(parse("exec:head -c 9 /dev/zero").read().unwrap().len(), 9);
        let slow = ["sleep".to_owned(), "60".to_owned()];
        assert!(matches!(run(&slow, Duration::from_millis(50)), Err(KeySourceError::Slow { .. })));
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, shown) in [("exec:vault --token=secret", "exec:vault"), ("env://KEY", "env://KEY")] {
            assert_eq!(format!("{0} {0:?}", parse(text)), format!("{shown} {shown}"));
        }
        let error = parse("exec:false --token=secret").read().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
