//! `watch`: exports when a registry says that something was pushed.

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use super::args::{self, CacheArgs, FormatArgs};
use crate::{
    context::Context,
    failure::{Failure, Kind},
    io::read_capped_text,
    ops::watch::{self, Then, TlsFiles, Upload, WatchOptions},
    redact::Secret,
    report::Printer,
};

/// The largest file with a secret.
const SECRET_MAX: u64 = 4096;

/// Listen for webhooks of registries, and export a delivery when something of it was pushed
///
/// Senders post to /docker-registry, /docker-hub, /harbor or /generic. They know a shared secret, from --secret-file or
/// `KUBECTL_OFFLINE_WATCH_SECRET`. It runs until it is ended by Ctrl-C or SIGTERM; what waits then is exported by the next run.
#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// A delivery; may be given more than once
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Where to listen; without TLS of its own put a proxy before it that speaks it
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// File containing the x509 certificate for HTTPS, and behind it those of authorities in between
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// File containing the x509 private key matching --tls-cert-file
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// File with the secret that senders must know, of at least 16 characters
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Let everybody send who can reach the address
    #[arg(long, conflicts_with = "secret_file")]
    no_secret: bool,
    /// What a registry is called in the delivery, where it calls itself something else; may be given more than once
    #[arg(long, value_name = "ITSELF=REGISTRY", value_parser = alias)]
    alias: Vec<(String, String)>,
    /// The archive; {name}, {version} and {time} are put in. Left out: {name}-{version}.offline.tar
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
    /// Private key to sign with: a file, `env://NAME`, or `exec:PROGRAM` that prints it. Its password is read from `COSIGN_PASSWORD`; may be given more than once
    #[arg(long, value_name = "KEY")]
    key: Vec<OsString>,
    /// Write archives that nobody signed
    #[arg(long, conflicts_with = "key")]
    allow_unsigned: bool,
    /// Put each archive to this URL; one that ends with a slash is a folder
    #[arg(long, value_name = "URL")]
    upload: Option<String>,
    /// File with the `Authorization` header for the upload
    #[arg(long, value_name = "FILE", requires = "upload")]
    upload_auth_file: Option<PathBuf>,
    /// The longest that the command may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    exec_timeout: u64,
    /// How long after a push to wait for others, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    quiet_time: u64,
    /// Where the queue is kept; left out: beside the first delivery, as delivery.watch.json
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    format: FormatArgs,
    /// Command to run after each export, with its arguments; the last option. {archive} stands for the archive
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "CMD ARGS")]
    exec: Vec<String>,
}

fn alias(text: &str) -> Result<(String, String), String> {
    let (itself, registry) = text.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty()).ok_or("wanted ITSELF=REGISTRY")?;
    Ok((itself.to_owned(), registry.to_owned()))
}

impl WatchArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let format = self.format.format;
        let options = self.resolve(context)?;
        let reporter = printer.reporter();
        let outcome = super::run_to_end(|stop| watch::run(options, reporter, stop))?;
        printer.outcome(format, &outcome, |o| {
            let waiting = if o.waiting.is_empty() { String::new() } else { format!("; still waiting: {}", o.waiting.join(", ")) };
            format!("{} exports, {} failures{waiting}\n", o.exports, o.failures)
        })
    }

    fn resolve(self, context: &Context) -> Result<WatchOptions, Failure> {
        let known = match &self.secret_file {
            Some(file) => Some(secret(file)?),
            None => context.watch_secret().map(Secret::from),
        };
        if known.is_none() && !self.no_secret {
            return Err(Failure::new(Kind::Usage, "senders must know a secret: wanted --secret-file FILE or KUBECTL_OFFLINE_WATCH_SECRET")
                .hint("--no-secret lets everybody send who can reach the address; they can start exports, nothing else"));
        }
        if self.key.is_empty() && !self.allow_unsigned {
            return Err(Failure::new(Kind::Usage, "an archive is signed: wanted --key KEY")
                .hint("`kubectl offline keygen` makes a key pair")
                .hint("--allow-unsigned writes archives that install refuses unless it is told the same"));
        }
        let authorization = self.upload_auth_file.as_deref().map(secret).transpose()?;
        let upload = self
            .upload
            .map(|url| Upload::new(&url, authorization).map(|upload| upload.from(context.reach())))
            .transpose()
            .map_err(|error| Failure::new(Kind::Usage, error))?;
        let journal = self.journal.or_else(|| self.file.first().map(|file| file.with_extension("watch.json")));
        Ok(WatchOptions {
            journal: journal.unwrap_or_else(|| PathBuf::from("delivery.watch.json")),
            deliveries: self.file,
            listen: self.listen,
            tls: self.tls_cert_file.zip(self.tls_private_key_file).map(|(certificate, key)| TlsFiles { certificate, key }),
            secret: known.filter(|_| !self.no_secret),
            aliases: self.alias.into_iter().collect::<BTreeMap<_, _>>(),
            output: self.output,
            keys: args::key_sources(context, &self.key),
            password: args::key_password(context),
            access: self.cache.access(context),
            agents: crate::cluster::nodes::embedded(),
            then: Then { exec: self.exec, exec_time: Duration::from_secs(self.exec_timeout), upload },
            quiet: Duration::from_secs(self.quiet_time),
            retry: Duration::from_secs(30),
        })
    }
}

fn secret(file: &std::path::Path) -> Result<Secret<String>, Failure> {
    let text = read_capped_text(file, SECRET_MAX).map_err(|error| Failure::new(Kind::Usage, error))?;
    Ok(Secret::new(text.trim().to_owned()))
}
