//! What several tests need: the program, the lab, a registry, the shop that is delivered.

mod daemon;
pub(crate) mod faulty;
mod lab;
mod memory;
mod program;
pub(crate) mod registry;
mod shop;
pub(crate) mod site;
mod upstream;

pub(crate) use daemon::{Daemon, free_port};
pub(crate) use lab::{Lab, eventually, lab};
pub(crate) use memory::peak;
pub(crate) use program::{Finished, Program, finish, root, run, tool};
pub(crate) use shop::{Shop, interrupt};
pub(crate) use upstream::{PASSWORD, USER, Upstream};
