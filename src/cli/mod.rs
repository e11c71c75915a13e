//! The command line: one file a command. A command turns its arguments into options, runs an operation and hands the outcome to the
//! printer.

mod args;
mod completion;
mod diff;
mod export;
mod extract;
mod images;
mod inspect;
mod install;
mod keygen;
mod list;
mod lock;
mod nodes;
mod outdated;
mod pflag;
mod registry;
mod schema;
mod sign;
mod status;
mod template;
mod trust;
mod verify;
mod version;
mod watch;

use std::{future::Future, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::sync::watch as signal;

use crate::{
    context::Context,
    failure::{Failure, Kind},
    report::{self, Printer},
};

/// Carry applications into Kubernetes clusters that cannot reach the internet
#[derive(Debug, Parser)]
#[command(name = "kubectl-offline", bin_name = "kubectl offline", version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct GlobalArgs {
    /// Say nothing but data and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Log what happens inside, to standard error
    // A value may follow, as helm's `--debug=false`.
    #[arg(long, global = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, value_parser = pflag::switch, value_name = "BOOL")]
    debug: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Completion(completion::CompletionArgs),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Extract(Box<extract::ExtractArgs>),
    Images(images::ImagesArgs),
    Inspect(inspect::InspectArgs),
    Install(install::InstallArgs),
    Keygen(keygen::KeygenArgs),
    List(list::ListArgs),
    Lock(lock::LockArgs),
    Nodes(Box<nodes::NodesArgs>),
    Outdated(outdated::OutdatedArgs),
    Registry(registry::RegistryArgs),
    Schema(schema::SchemaArgs),
    Sign(sign::SignArgs),
    Status(status::StatusArgs),
    Template(Box<template::TemplateArgs>),
    Trust(trust::TrustCommand),
    Verify(verify::VerifyArgs),
    Version(version::VersionArgs),
    Watch(Box<watch::WatchArgs>),
}

/// Runs the command line of this process and tells its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and no failure; clap knows which stream each belongs to.
            let code = u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code());
            match template_words(&error) {
                Some(failure) => Printer::new(true, false).failure(&failure),
                None => {
                    let _ = error.print();
                }
            }
            return ExitCode::from(code);
        }
    };
    let context = Context::from_env();
    let printer = Printer::new(context.no_color, cli.global.quiet);
    if cli.global.debug {
        report::show_log();
    }
    match cli.command.run(&context, &printer, cli.global.debug) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// What is wrong with the flags of `template`, whose errors are Helm's.
fn template_words(error: &clap::Error) -> Option<Failure> {
    let asked = std::env::args_os().skip(1).find(|argument| !argument.to_string_lossy().starts_with('-'));
    let words = pflag::words(error).filter(|_| asked.is_some_and(|command| command == "template"))?;
    Some(crate::ops::template::refused(words))
}

impl Command {
    /// Runs it and tells the exit code.
    fn run(self, context: &Context, printer: &Printer, debug: bool) -> Result<u8, Failure> {
        match self {
            Self::Outdated(args) => return args.run(context, printer),
            Self::Diff(args) => return args.run(context, printer),
            Self::Completion(args) => args.run(printer),
            Self::Export(args) => args.run(context, printer),
            Self::Extract(args) => args.run(context, printer),
            Self::Images(args) => args.run(context, printer),
            Self::Inspect(args) => args.run(context, printer),
            Self::Install(args) => args.run(context, printer),
            Self::Keygen(args) => args.run(context, printer),
            Self::List(args) => args.run(context, printer),
            Self::Lock(args) => args.run(context, printer),
            Self::Nodes(args) => args.run(context, printer),
            Self::Registry(args) => args.run(context, printer),
            Self::Schema(args) => args.run(printer),
            Self::Sign(args) => args.run(context, printer),
            Self::Status(args) => args.run(context, printer),
            Self::Template(args) => args.run(context, printer, debug),
            Self::Trust(args) => args.run(context, printer),
            Self::Verify(args) => args.run(context, printer),
            Self::Version(args) => args.run(printer),
            Self::Watch(args) => args.run(context, printer),
        }
        .map(|()| 0)
    }
}

/// Runs an operation that talks to the network. Ctrl-C or SIGTERM drops it: what it holds is cleaned up by its own guards.
fn block_on<T>(operation: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = operation => result,
            () = interrupted() => Err(Failure::new(Kind::Other, "interrupted")),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

/// Runs an operation that can take back what it has done: Ctrl-C or SIGTERM asks it to, and it is waited for.
fn run_to_end<T, F: Future<Output = Result<T, Failure>>>(operation: impl FnOnce(signal::Receiver<bool>) -> F) -> Result<T, Failure> {
    let (stop, asked) = signal::channel(false);
    let operation = operation(asked);
    runtime()?.block_on(async {
        let mut operation = std::pin::pin!(operation);
        tokio::select! {
            result = &mut operation => return result,
            () = interrupted() => {}
        }
        // Nobody listens only where the operation has just ended.
        let _ = stop.send(true);
        tokio::select! {
            result = operation => result,
            () = interrupted() => Err(Failure::new(Kind::Partial, "interrupted twice: what was being taken back may still be there")),
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| Failure::new(Kind::Other, e))
}

/// Ends when the process is asked to stop.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    // Where no handler can be set the process is simply ended by the system.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    /// Every text in a document.
    fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => found.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            serde_json::Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
            _ => {}
        }
    }

    /// Our commands in a shell script: words without quotes, up to a redirection.
    fn commands(script: &str) -> Vec<Vec<String>> {
        let ours = script.lines().filter(|line| !line.contains("curl ")).filter_map(|line| Some(&line[line.find("kubectl-offline ")?..]));
        let words = |line: &str| line.split_whitespace().take_while(|word| !word.starts_with(['>', '|'])).map(|word| word.replace('"', "")).collect();
        ours.map(words).collect()
    }

    #[test]
    fn the_examples_for_pipelines_are_commands_of_ours() {
        use clap::Parser as _;
        for (name, text, wanted) in
            [("github.yml", include_str!("../../examples/ci/github.yml"), 6), ("gitlab.yml", include_str!("../../examples/ci/gitlab.yml"), 6)]
        {
            let documents = crate::goyaml::parse_all(text).unwrap();
            assert_eq!(documents.len(), 1, "{name}");
            let mut scripts = Vec::new();
            texts(&documents[0], &mut scripts);
            let found: Vec<Vec<String>> = scripts.iter().flat_map(|script| commands(script)).collect();
            assert!(found.len() >= wanted, "{name}: {found:?}");
            for mut words in found {
                // What stands for a version is none before the shell has seen it.
                words.iter_mut().filter(|word| word.contains("_TAG")).for_each(|word| *word = "1.0.0".to_owned());
                if let Err(error) = super::Cli::try_parse_from(&words) {
                    panic!("{name}: {words:?}: {error}");
                }
            }
        }
        // The test itself can fail.
        let wrong = commands("  x | kubectl-offline export --no-such-flag > out");
        assert!(super::Cli::try_parse_from(&wrong[0]).is_err());
    }
}
