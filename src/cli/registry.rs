//! `registry`: looks into a registry, and keeps accounts for it.

use std::path::PathBuf;

use clap::Subcommand;

use super::args::FormatArgs;
use crate::{
    context::Context,
    failure::{Failure, Kind},
    ops::registry::{self, RegistryAccess},
    report::{Printer, prompt},
};

/// Look into a registry, log in to it, log out of it
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct RegistryArgs {
    #[command(subcommand)]
    command: RegistryCommand,
}

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    Login(LoginArgs),
    Logout(LogoutArgs),
    Ls(LsArgs),
    Tags(TagsArgs),
}

/// How the registry is reached.
#[derive(Debug, clap::Args)]
struct ReachArgs {
    /// Speak HTTP without TLS; loopback hosts may do so without being told
    #[arg(long)]
    plain_http: bool,
    /// PEM file with certificate authorities to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ReachArgs {
    fn resolve(self, context: &Context) -> RegistryAccess {
        RegistryAccess { docker_config: context.docker_config(), ca_file: self.ca_file, plain_http: self.plain_http, reach: context.reach() }
    }
}

/// List the repositories of a registry that has a catalog
#[derive(Debug, clap::Args)]
struct LsArgs {
    /// The registry, as in registry.example:5000
    registry: String,
    /// Regular expression that the whole name must match
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// List the tags of a repository
#[derive(Debug, clap::Args)]
struct TagsArgs {
    /// The repository, as in registry.example/team/app
    repository: String,
    /// Regular expression that the whole tag must match, as in `v5.*`
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Check an account with a registry, and keep it where docker keeps its accounts
#[derive(Debug, clap::Args)]
struct LoginArgs {
    /// The registry; docker.io for Docker Hub
    registry: String,
    /// Name of the account; asked for if left out
    #[arg(long, short, value_name = "USER")]
    username: Option<String>,
    /// Read the password, or an access token, from standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Forget the account for a registry
#[derive(Debug, clap::Args)]
struct LogoutArgs {
    /// The registry; docker.io for Docker Hub
    registry: String,
    #[command(flatten)]
    format: FormatArgs,
}

impl RegistryArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        match self.command {
            RegistryCommand::Ls(args) => {
                let filter = registry::filter(args.filter.as_deref())?;
                let access = args.reach.resolve(context);
                let outcome = super::block_on(registry::repositories(&args.registry, filter.as_ref(), &access))?;
                printer.outcome(args.format.format, &outcome, |o| lines(&o.repositories))
            }
            RegistryCommand::Tags(args) => {
                let filter = registry::filter(args.filter.as_deref())?;
                let access = args.reach.resolve(context);
                let outcome = super::block_on(registry::tags(&args.repository, filter.as_ref(), &access))?;
                printer.outcome(args.format.format, &outcome, |o| lines(&o.tags))
            }
            RegistryCommand::Login(args) => args.run(context, printer),
            RegistryCommand::Logout(args) => args.run(context, printer),
        }
    }
}

impl LoginArgs {
    fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let nobody = |what: &str, hint: &str| Failure::new(Kind::Usage, format!("there is no {what}, and nobody at a terminal who could be asked")).hint(hint);
        let failed = |error: std::io::Error| Failure::new(Kind::Other, format!("cannot read from the terminal: {error}"));
        let user = match self.username {
            Some(user) => user,
            None if self.password_stdin || !prompt::can_ask() => return Err(nobody("user name", "say it with --username USER")),
            None => prompt::line("Username: ").map_err(failed)?,
        };
        let password = if self.password_stdin {
            prompt::secret_from_stdin().map_err(failed)?
        } else if prompt::can_ask() {
            prompt::secret("Password: ").map_err(failed)?
        } else {
            return Err(nobody("password", "give it on standard input, with --password-stdin"));
        };
        if user.is_empty() || user.contains(':') || password.expose().is_empty() {
            return Err(Failure::new(Kind::Usage, "the user name is empty or holds a colon, or the password is empty"));
        }
        let outcome = super::block_on(registry::login(&self.registry, &user, password, &self.reach.resolve(context)))?;
        printer.outcome(self.format.format, &outcome, |o| {
            let unchecked = if o.checked == Some(false) { "; it was not checked, because the registry lets everybody in" } else { "" };
            match (&o.file, &o.helper) {
                (_, Some(helper)) => format!("logged in to {}{unchecked}; docker-credential-{helper} keeps the password\n", o.registry),
                (Some(file), _) => format!("logged in to {}{unchecked}; the password is in {}, not encrypted\n", o.registry, file.display()),
                _ => String::new(),
            }
        })
    }
}

impl LogoutArgs {
    fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let access = RegistryAccess { docker_config: context.docker_config(), reach: context.reach(), ..RegistryAccess::default() };
        let outcome = registry::logout(&self.registry, &access)?;
        printer.outcome(self.format.format, &outcome, |o| {
            if o.file.is_none() && o.helper.is_none() {
                return format!("there was no account for {}\n", o.registry);
            }
            format!("logged out of {}\n", o.registry)
        })
    }
}

fn lines(names: &[String]) -> String {
    names.iter().flat_map(|name| [name, "\n"]).collect()
}
