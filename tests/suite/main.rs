//! suite
mod install;
mod release;
