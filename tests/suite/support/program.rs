//! The program under test, and other people's programs, with an environment that holds nothing of the user's.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A finished run.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Demands an exit code.
    #[track_caller]
    pub(crate) fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, wanted, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Demands success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Demands that the error names something.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.to_lowercase().contains(&text.to_lowercase()), "no `{text}` in:\n{}", self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.stdout))
    }
}

/// Runs `kubectl-offline` in a folder.
pub(crate) struct Program {
    folder: PathBuf,
    env: Vec<(String, String)>,
}

impl Program {
    /// In this folder, which is its HOME as well.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), env: Vec::new() }
    }

    /// With one more variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-offline"));
        command.args(args).current_dir(&self.folder).env_clear().env("HOME", &self.folder).env("COSIGN_PASSWORD", "");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        finish(&mut self.command(args))
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs a program that must succeed, and returns its standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let line = format!("{command:?}");
    let finished = finish(command);
    assert_eq!(finished.code, 0, "{line}\nstdout:\n{}\nstderr:\n{}", finished.stdout, finished.stderr);
    finished.stdout
}

/// A program that tests/lab/build.sh made.
pub(crate) fn tool(name: &str) -> PathBuf {
    let cache =
        std::env::var_os("OFFLINE_LAB_CACHE").map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/offline-lab"), PathBuf::from);
    cache.join("bin").join(name)
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
