//! suite
#[cfg(test)]
mod install;
#[cfg(test)]
mod release;
