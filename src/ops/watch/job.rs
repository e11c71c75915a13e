//! One export and what follows it: the lock is made anew where there is one, the archive is written, and handed to a command or a server.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::Command,
};

use super::{Upload, WatchOptions};
use crate::{
    delivery::Delivery,
    failure::{Failure, Kind},
    ops::{
        export::{self, ExportOptions, ExportOutcome},
        inputs::read_delivery,
        lock::{self, LockOptions},
        sign::SigningKeys,
    },
    progress::SharedReporter,
};

/// Variables of ours that a command must not see.
const PRIVATE: [&str; 3] = ["COSIGN_PASSWORD", "KUBECTL_OFFLINE_WATCH_SECRET", "KUBECTL_OFFLINE_TOKEN"];
/// The most that is shown of what a command says.
const SAID_MAX: u64 = 1 << 20;

/// What a file's name may be made of.
const FIELDS: [&str; 3] = ["{name}", "{version}", "{time}"];

/// What follows an export.
#[derive(Debug, Clone, Default)]
pub struct Then {
    /// Program and arguments; `{archive}` stands for the archive. No shell reads them.
    pub exec: Vec<String>,
    /// The longest that it may take.
    pub exec_time: Duration,
    /// URL that the archive is put to.
    pub upload: Option<Upload>,
}

/// Something about what follows an export.
#[derive(Debug, thiserror::Error)]
enum ThenError {
    #[error("`{program}` cannot be started: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("`{program}` ended with {status}")]
    Status { program: String, status: std::process::ExitStatus },
    #[error("`{program}` did not end within {seconds} seconds and was killed")]
    Slow { program: String, seconds: u64 },
}

/// The file that a delivery's archive is written to.
pub(super) fn output(template: Option<&str>, delivery: &Delivery, at: Timestamp) -> PathBuf {
    let template = template.unwrap_or("{name}-{version}.offline.tar");
    let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    PathBuf::from(FIELDS.iter().zip([&delivery.name, &delivery.version, &time]).fold(template.to_owned(), |text, (field, value)| text.replace(field, value)))
}

/// Whether a template has only fields that are known, and gives every delivery a file of its own.
pub(super) fn check_template(template: &str, deliveries: usize) -> Result<(), String> {
    let rest = FIELDS.iter().fold(template.to_owned(), |text, field| text.replace(field, ""));
    if rest.contains(['{', '}']) {
        return Err(format!("`{template}` has a field that is not known; known are {}", FIELDS.join(", ")));
    }
    if deliveries > 1 && !template.contains("{name}") {
        return Err(format!("`{template}` is one file for {deliveries} deliveries; wanted {{name}} in it"));
    }
    Ok(())
}

/// Exports a delivery as it is now. Dropped, it leaves nothing half done.
pub(super) async fn export(file: &Path, options: &WatchOptions, reporter: &SharedReporter) -> Result<ExportOutcome, Failure> {
    let delivery = read_delivery(file)?;
    let lock = delivery.lock_path();
    if lock.exists() {
        let outcome = lock::run(LockOptions { delivery: delivery.clone(), access: options.access.clone(), check: false, ask: None }, reporter.clone()).await?;
        outcome.changes.iter().filter(|_| outcome.changed).for_each(|change| reporter.note(format!("{}: {change}", lock.display())));
    }
    let signer = SigningKeys::read(&options.keys, options.password.as_ref())?;
    let output = Some(output(options.output.as_deref(), &delivery, Timestamp::now()));
    let export = ExportOptions {
        delivery,
        output,
        signer,
        platforms: None,
        access: options.access.clone(),
        agents: options.agents.clone(),
        dry_run: false,
        locked: false,
        ask: None,
    };
    export::run(export, reporter.clone()).await
}

/// Hands the archive on.
pub(super) async fn hand_on(file: &Path, outcome: &ExportOutcome, then: &Then, reporter: &SharedReporter) -> Result<(), Failure> {
    let Some(archive) = &outcome.path else { return Ok(()) };
    if let Some(upload) = &then.upload {
        let to = upload.send(archive, reporter).await.map_err(|error| Failure::new(Kind::Other, error))?;
        reporter.note(format!("{}: put to {to}", archive.display()));
    }
    let Some((program, arguments)) = then.exec.split_first() else { return Ok(()) };
    let failed = |error| Failure::new(Kind::Other, error);
    let mut command = Command::new(program);
    for argument in arguments {
        command.arg(argument.replace("{archive}", &archive.to_string_lossy()));
    }
    for name in PRIVATE {
        command.env_remove(name);
    }
    command.env("OFFLINE_ARCHIVE", archive).env("OFFLINE_DELIVERY", file).env("OFFLINE_DIGEST", outcome.digest.as_str());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let start = |source| failed(ThenError::Start { program: program.clone(), source });
    let mut child = command.spawn().map_err(start)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (status, (), ()) = tokio::join!(child.wait(), said(program, out, reporter), said(program, err, reporter));
        status
    };
    let slow = || failed(ThenError::Slow { program: program.clone(), seconds: then.exec_time.as_secs() });
    let status = tokio::time::timeout(then.exec_time, ended).await.map_err(|_| slow())?.map_err(start)?;
    if status.success() { Ok(()) } else { Err(failed(ThenError::Status { program: program.clone(), status })) }
}

/// Passes on what a command says, line by line; what is too much is read and not shown.
async fn said(program: &str, stream: Option<impl AsyncRead + Unpin>, reporter: &SharedReporter) {
    let Some(mut stream) = stream else { return };
    let mut lines = BufReader::new((&mut stream).take(SAID_MAX)).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let text: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).take(400).collect();
        reporter.note(format!("{program}: {text}"));
    }
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_known_fields() {
        let text = "apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: shop, version: '1.0'}\nspec: {}\n";
        let delivery = crate::delivery::parse(Path::new("delivery.yaml"), text).unwrap();
        let at = Timestamp::from_second(0).unwrap();
        for (template, wanted) in [(None, "shop-1.0.offline.tar"), (Some("out/{name}-{time}.tar"), "out/shop-19700101T000000Z.tar"), (Some("a.tar"), "a.tar")] {
            assert_eq!(output(template, &delivery, at), Path::new(wanted));
        }
        assert!(check_template("{name}-{version}-{time}.tar", 2).is_ok() && check_template("a.tar", 1).is_ok());
        assert!(check_template("{nmae}.tar", 1).is_err() && check_template("a.tar", 2).is_err());
    }
}
