//! Builds the agent for the nodes and embeds it: one static binary pair for each Linux architecture whose musl target is installed.
//!
//! The nodes are Linux whatever this program is built for, so the agent is always cross-built with a cargo of its own. With
//! `OFFLINE_SKIP_AGENT=1` none is built: quick checks need none.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Go's and Rust's names of the architectures that nodes have.
const ARCHITECTURES: [(&str, &str); 2] = [("amd64", "x86_64"), ("arm64", "aarch64")];

/// A way to build for one architecture.
struct Target {
    architecture: &'static str,
    triple: String,
    flags: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["agent/src", "agent/Cargo.toml", "Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=OFFLINE_SKIP_AGENT");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let skip = env::var_os("OFFLINE_SKIP_AGENT").is_some_and(|v| v == "1");
    let mut list = String::new();
    for target in if skip { Vec::new() } else { targets()? } {
        let folder = build(&target, &out)?;
        let path = |name: &str| folder.join(name).into_os_string().into_string().map_err(|path| format!("{} is no text", path.display()));
        let (loader, agent) = (path("offline-loader")?, path("offline-agent")?);
        writeln!(
            list,
            "    EmbeddedAgent {{ architecture: {:?}, loader: include_bytes!({loader:?}), agent: include_bytes!({agent:?}) }},",
            target.architecture
        )?;
    }
    let text = format!("/// The agents that were built with this program.\nstatic EMBEDDED: &[EmbeddedAgent] = &[\n{list}];\n");
    fs::write(out.join("agents.rs"), text)?;
    Ok(())
}

fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}").into())
}

fn targets() -> Result<Vec<Target>, Box<dyn Error>> {
    let mut found = Vec::new();
    for (architecture, rust) in ARCHITECTURES {
        let triple = format!("{rust}-unknown-linux-musl");
        if installed(&triple)? {
            // Rust brings the musl it links with, and a linker: no C compiler for the other architecture is needed.
            found.push(Target { architecture, triple, flags: vec!["-Clinker=rust-lld".to_owned()] });
        }
    }
    let host = variable("HOST")?.into_string().map_err(|_| "HOST is no text")?;
    if found.is_empty() {
        let own = ARCHITECTURES.into_iter().find(|(_, rust)| host == format!("{rust}-unknown-linux-gnu"));
        if let Some((architecture, _)) = own {
            found.push(Target { architecture, triple: host.clone(), flags: vec!["-Ctarget-feature=+crt-static".to_owned()] });
        }
    }
    if found.is_empty() {
        return Err(format!(
            "the agent that runs on cluster nodes cannot be built on {host}: it must be a static Linux binary, and no musl target of Rust is installed. \
             Install one or both: rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl \
             (or set OFFLINE_SKIP_AGENT=1 for a program that cannot import into nodes)"
        )
        .into());
    }
    Ok(found)
}

fn installed(triple: &str) -> Result<bool, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(["--print", "target-libdir", "--target", triple]).output()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // The folder is printed whether it is there or not; what counts is a standard library in it.
    Ok(output.status.success()
        && fs::read_dir(folder).is_ok_and(|mut files| files.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libstd-")))))
}

/// Runs cargo for the agent. Returns the folder with the two binaries.
fn build(target: &Target, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    // Beside the profiles' folders (target/PROFILE/build/PACKAGE/out), so that all of them share it. Not their own: cargo holds a lock on that.
    let folder = out.ancestors().nth(4).unwrap_or(out).join("agent");
    let mut flags = target.flags.clone();
    // Messages of panics name source files; where those lay on this machine is nobody's business.
    for (path, name) in [(Some(root.clone().into_os_string()), "offline"), (env::var_os("CARGO_HOME"), "cargo"), (env::var_os("HOME"), "home")] {
        if let Some(path) = path.and_then(|p| p.into_string().ok()) {
            flags.insert(0, format!("--remap-path-prefix={path}={name}"));
        }
    }
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(&root).args(["build", "--quiet", "--locked", "--package", "offline-agent", "--features", "bin", "--bins", "--profile", "agent"]);
    cargo.arg("--target").arg(&target.triple).arg("--target-dir").arg(&folder);
    // What the outer build was told about flags and wrappers (clippy is one) is not meant for this one.
    for name in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let output = cargo.output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("building the agent for {} failed:\n{reason}", target.triple).into());
    }
    Ok(folder.join(&target.triple).join("agent"))
}
