//! One integration binary; each file is one subject.

mod conformance;
#[cfg(test)]
mod install;
#[cfg(test)]
mod release;
