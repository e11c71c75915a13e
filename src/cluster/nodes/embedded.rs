//! The agents that were built together with this program (build.rs).

use bytes::Bytes;

use super::AgentBinary;
use crate::oci::Platform;

/// The agent for one architecture, inside this program.
struct EmbeddedAgent {
    architecture: &'static str,
    loader: &'static [u8],
    agent: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// The agents inside this program, one for each architecture it was built with.
pub fn embedded() -> Vec<AgentBinary> {
    let binary = |e: &EmbeddedAgent| AgentBinary {
        platform: Platform { architecture: e.architecture.to_owned(), os: "linux".to_owned(), variant: None, os_version: None },
        loader: Bytes::from_static(e.loader),
        agent: Bytes::from_static(e.agent),
    };
    EMBEDDED.iter().map(binary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_agents_are_static_programs_of_their_architecture() {
        for agent in embedded() {
            for program in [&agent.loader, &agent.agent] {
                assert_eq!(&program[..4], b"\x7fELF", "{}", agent.platform);
                // e_machine (ELF specification): 62 is x86-64, 183 is AArch64.
                let machine = u16::from_le_bytes([program[18], program[19]]);
                assert_eq!(machine, if agent.platform.architecture == "amd64" { 62 } else { 183 });
                assert!(!program.windows(8).any(|w| w == b"ld-linux"), "{} asks for a dynamic linker", agent.platform);
            }
        }
    }
}
