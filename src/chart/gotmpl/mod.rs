//! Go's text/template language: lexer, parser, typed tree with positions. Knows nothing of Helm.

mod ast;
mod lex;
mod literal;
mod parse;

pub(crate) use ast::{Command, Control, Node, Number, Operand, Pipe, Template, Term};
pub(crate) use literal::{float, integer};
pub(crate) use parse::parse;

pub(crate) use crate::goyaml::{is_printable as printable, quote, quote_ascii};
