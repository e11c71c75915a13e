//! Credential helpers: programs that keep accounts for docker and podman (docker-credential-helpers, credentials/credentials.go).

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use super::credentials::CredentialError;
use crate::redact::Secret;

/// The most that is read of what a helper says.
const HELPER_MAX: u64 = 64 << 10;

/// Runs a helper; nothing where it says that it does not know the registry (docker-credential-helpers, credentials/error.go). It blocks.
pub(super) fn run(config: &Path, registry: &str, helper: &str, action: &str, input: &[u8]) -> Result<Option<Secret<String>>, CredentialError> {
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| CredentialError::Config { path: config.into(), host: registry.to_owned(), reason: format!("`{program} {action}`: {reason}") };
    // The name becomes a program's, and is no path.
    if helper.contains(['/', '\\']) {
        return Err(failed("a helper's name holds no path".to_owned()));
    }
    let child = Command::new(&program).arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let sent = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let mut said = String::new();
    let heard = child.stdout.take().map_or(Ok(0), |stdout| stdout.take(HELPER_MAX).read_to_string(&mut said));
    let said = Secret::new(said);
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return sent.and(heard.map(|_| ())).map(|()| Some(said)).map_err(|error| failed(error.to_string()));
    }
    if said.expose().contains("credentials not found") {
        return Ok(None);
    }
    // What a helper prints on failure is its reason.
    Err(failed(said.expose().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()))
}
