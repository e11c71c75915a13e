//! Go's text/template language: lexer, parser, typed tree with positions. Knows nothing of Helm.

mod ast;
mod lex;
mod literal;
mod parse;

pub(crate) use ast::{Command, Control, Node, Number, Operand, Pipe, Template, Term};
pub(crate) use literal::{integer, quote};
pub(crate) use parse::parse;
