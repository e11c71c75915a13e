//! Go's text/template language: lexer, parser, typed tree with positions. Knows nothing of Helm.

mod ast;
mod lex;
mod literal;
mod parse;

pub(crate) use ast::{Command, Control, Few, Node, Number, Operand, Pipe, Span, Template, Term, Tree};
pub(crate) use literal::{float, integer, number, unquote};
pub(crate) use parse::{ParseError, parse};

pub(crate) use crate::goyaml::{is_printable as printable, quote, quote_ascii};
