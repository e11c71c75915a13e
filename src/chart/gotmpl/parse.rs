//! The parser: Go's text/template/parse/parse.go, with its messages.

use std::sync::Arc;

use super::ast::{Command, Control, Invocation, Node, Operand, Pipe, Template, Term, Text};
use super::lex::{Kind, Lexer, Token};
use super::{literal, quote};

/// Nesting that ends a parse; Go allows more, its stack grows.
const MAX_BODIES: usize = 10_000;
/// Nodes of one text, which take some hundred bytes each.
const MAX_NODES: usize = 250_000;
/// Nested parentheses (`maxStackDepth` in Go).
const MAX_PARENS: usize = 10_000;

/// What Go would say: `template: name:line: message`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub(crate) struct ParseError {
    /// Name of the text.
    pub name: String,
    /// Line of the last token read.
    pub line: usize,
    /// The message without position.
    pub message: String,
}

/// Parses a text; the file's own template is the last of the list. `is_function` knows the functions' names.
pub(crate) fn parse(name: &str, text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<Vec<Template>, ParseError> {
    let source = Arc::new(Text { name: name.to_owned(), text: text.to_owned() });
    let mut parser = Parser {
        lexer: Lexer::new(text),
        source: &source,
        is_function,
        tokens: [const { None }; 3],
        peeked: 0,
        vars: vec!["$".to_owned()],
        set: Vec::new(),
        action_line: 0,
        range_depth: 0,
        bodies: 0,
        parens: 0,
        nodes: 0,
        all_nodes: 0,
    };
    parser.root()?;
    Ok(parser.set)
}

/// How a body ended.
enum Stop {
    End,
    Else,
}

enum Item {
    Node(Node),
    Stop(Stop),
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    source: &'a Arc<Text>,
    is_function: &'a dyn Fn(&str) -> bool,
    tokens: [Option<Token<'a>>; 3],
    peeked: usize,
    vars: Vec<String>,
    set: Vec<Template>,
    action_line: usize,
    range_depth: usize,
    bodies: usize,
    parens: usize,
    /// Nodes of the template that is being parsed, and of all.
    nodes: usize,
    all_nodes: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn next(&mut self) -> Token<'a> {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = Some(self.lexer.next_token());
        }
        self.tokens[self.peeked].clone().expect("a token was read into this slot")
    }

    fn backup(&mut self) {
        self.peeked += 1;
    }

    fn peek(&mut self) -> Token<'a> {
        if self.peeked == 0 {
            self.peeked = 1;
            self.tokens[0] = Some(self.lexer.next_token());
        }
        self.tokens[self.peeked - 1].clone().expect("a token was read into this slot")
    }

    fn next_non_space(&mut self) -> Token<'a> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'a> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let line = self.tokens[0].as_ref().map_or(1, |t| t.line);
        Err(ParseError { name: self.source.name.clone(), line, message: message.into() })
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parsed<T> {
        if token.kind == Kind::Error {
            let mut extra = String::new();
            if self.action_line != 0 && self.action_line != token.line {
                extra = format!(" in action started at {}:{}", self.source.name, self.action_line);
                if token.text.ends_with(" action") {
                    extra = extra[" in action".len()..].to_owned();
                }
            }
            return self.fail(format!("{token}{extra}"));
        }
        self.fail(format!("unexpected {token} in {context}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'a>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn add(&mut self, name: String, body: Vec<Node>) -> Parsed<()> {
        let new = Template { name, source: Arc::clone(self.source), body, nodes: std::mem::take(&mut self.nodes) };
        match self.set.iter_mut().find(|t| t.name == new.name) {
            None => self.set.push(new),
            Some(old) if old.is_empty() => *old = new,
            Some(_) if !new.is_empty() => return self.fail(format!("template: multiple definition of template {}", quote(&new.name))),
            Some(_) => {}
        }
        Ok(())
    }

    fn root(&mut self) -> Parsed<()> {
        let mut body = Vec::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.text_or_action()? {
                Item::Node(node) => body.push(node),
                Item::Stop(stop) => return self.fail(format!("unexpected {}", stop_text(&stop))),
            }
        }
        self.add(self.source.name.clone(), body)
    }

    /// Pushes `before` back in front of the current token.
    fn backup2(&mut self, before: Token<'a>) {
        self.tokens[1] = Some(before);
        self.peeked = 2;
    }

    fn backup3(&mut self, second: Token<'a>, first: Token<'a>) {
        self.tokens[1] = Some(first);
        self.tokens[2] = Some(second);
        self.peeked = 3;
    }

    /// A define or block body: own variables, own range depth.
    fn separate_body(&mut self, name: String, context: &str) -> Parsed<()> {
        let vars = std::mem::replace(&mut self.vars, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.range_depth);
        let line = std::mem::take(&mut self.action_line);
        let (body, stop) = self.item_list()?;
        if let Stop::Else = stop {
            return self.fail(format!("unexpected {} in {context}", stop_text(&stop)));
        }
        self.add(name, body)?;
        self.vars = vars;
        self.range_depth = ranges;
        self.action_line = line;
        Ok(())
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.separate_body(name, "define clause")
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match literal::unquote(&token.text) {
            Some(name) => Ok(name),
            None => self.fail("invalid syntax"),
        }
    }

    fn item_list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        self.bodies += 1;
        if self.bodies > MAX_BODIES {
            return self.fail("nested too deeply");
        }
        let mut body = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => body.push(node),
                Item::Stop(stop) => {
                    self.bodies -= 1;
                    return Ok((body, stop));
                }
            }
        }
        self.fail("unexpected EOF")
    }

    /// Counts a node. Go's only limit is memory.
    fn count(&mut self) -> Parsed<()> {
        self.nodes += 1;
        self.all_nodes += 1;
        if self.all_nodes > MAX_NODES {
            return self.fail(format!("a template of more than {MAX_NODES} nodes is refused"));
        }
        Ok(())
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        self.count()?;
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.pos..token.pos + token.text.len()))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                if item.is_ok() {
                    self.action_line = 0;
                }
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        Ok(Item::Node(match token.kind {
            Kind::Block => self.block()?,
            Kind::Break | Kind::Continue => self.loop_control(token.kind)?,
            Kind::Else => {
                if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::If => self.branch(Control::If)?,
            Kind::Range => self.range()?,
            Kind::With => self.branch(Control::With)?,
            Kind::Template => self.invocation()?,
            _ => {
                self.backup();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        }))
    }

    fn loop_control(&mut self, kind: Kind) -> Parsed<Node> {
        let word = if kind == Kind::Break { "{{break}}" } else { "{{continue}}" };
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, word);
        }
        if self.range_depth == 0 {
            return self.fail(format!("{word} outside {{{{range}}}}"));
        }
        Ok(if kind == Kind::Break { Node::Break } else { Node::Continue })
    }

    /// `if` and `with`. A chain of `else if` is one node however long it is: Go nests it, with the same scopes.
    fn branch(&mut self, control: Control) -> Parsed<Node> {
        let (context, again) = match control {
            Control::If => ("if", Kind::If),
            Control::With => ("with", Kind::With),
        };
        let mark = self.vars.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (body, stop) = self.item_list()?;
            branches.push((pipe, body));
            if let Stop::End = stop {
                break;
            }
            if self.peek().kind == again {
                self.next();
                continue;
            }
            otherwise = self.otherwise()?;
            break;
        }
        self.vars.truncate(mark);
        Ok(Node::Branch(control, branches, otherwise))
    }

    /// What follows a last `else`.
    fn otherwise(&mut self) -> Parsed<Vec<Node>> {
        let (body, stop) = self.item_list()?;
        if let Stop::Else = stop {
            return self.fail(format!("expected end; found {}", stop_text(&stop)));
        }
        Ok(body)
    }

    fn range(&mut self) -> Parsed<Node> {
        let mark = self.vars.len();
        let pipe = self.pipeline("range", Kind::RightDelim)?;
        self.range_depth += 1;
        let (body, stop) = self.item_list()?;
        self.range_depth -= 1;
        let otherwise = if let Stop::Else = stop { self.otherwise()? } else { Vec::new() };
        self.vars.truncate(mark);
        Ok(Node::Range(pipe, body, otherwise))
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        self.separate_body(name.clone(), "block clause")?;
        Ok(Node::Template(Invocation { pos: token.pos, name, pipe: Some(pipe) }))
    }

    fn invocation(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "template clause")?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline("template clause", Kind::RightDelim)?);
        }
        Ok(Node::Template(Invocation { pos: token.pos, name, pipe }))
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            let v = self.peek_non_space();
            if v.kind != Kind::Variable {
                return Ok(());
            }
            self.next();
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assign = next.kind == Kind::Assign;
                    self.next_non_space();
                    pipe.decl.push(v.text.to_string());
                    self.vars.push(v.text.into_owned());
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next_non_space();
                    pipe.decl.push(v.text.to_string());
                    self.vars.push(v.text.into_owned());
                    if context != "range" || pipe.decl.len() >= 2 {
                        return self.fail(format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.fail("range can only initialize variables");
                    }
                }
                _ if after.kind == Kind::Space => {
                    self.backup3(v, after);
                    return Ok(());
                }
                _ => {
                    self.backup2(v);
                    return Ok(());
                }
            }
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, assign: false, decl: Vec::new(), cmds: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    pipe.cmds.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipe.cmds.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (i, cmd) in pipe.cmds.iter().enumerate().skip(1) {
            if matches!(cmd.args[0].term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(..) | Term::Str(..)) {
                return self.fail(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut cmd = Command { pos: self.peek_non_space().pos, args: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                cmd.args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if cmd.args.is_empty() {
            return self.fail("empty command");
        }
        Ok(cmd)
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(node) = self.term()? else { return Ok(None) };
        self.count()?;
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(node));
        }
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            self.count()?;
            fields.push(self.next().text[1..].to_owned());
        }
        let term = match node.term {
            Term::Field(mut names) => {
                names.extend(fields);
                Term::Field(names)
            }
            Term::Variable(mut names) => {
                names.extend(fields);
                Term::Variable(names)
            }
            Term::Bool(_) | Term::Str(..) | Term::Number(..) | Term::Nil | Term::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&node.to_string())));
            }
            Term::Identifier(_) | Term::Chain(..) | Term::Pipe(_) => Term::Chain(Box::new(node), fields),
        };
        Ok(Some(Operand { pos: first.pos, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_non_space();
        let pos = token.pos;
        let term = match token.kind {
            Kind::Identifier => {
                if !(self.is_function)(&token.text) {
                    return self.fail(format!("function {} not defined", quote(&token.text)));
                }
                Term::Identifier(token.text.into_owned())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.vars.iter().any(|known| *known == token.text) {
                    return self.fail(format!("undefined variable {}", quote(&token.text)));
                }
                Term::Variable(vec![token.text.into_owned()])
            }
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => match literal::number(&token.text, token.kind == Kind::CharConstant) {
                Ok(number) => Term::Number(number, token.text.into_owned()),
                Err(message) => return self.fail(message),
            },
            Kind::LeftParen => {
                if self.parens >= MAX_PARENS {
                    return self.fail("max expression depth exceeded");
                }
                self.parens += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.parens -= 1;
                Term::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => match literal::unquote(&token.text) {
                Some(text) => Term::Str(text, token.text.into_owned()),
                None => return self.fail("invalid syntax"),
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Operand { pos, term }))
    }
}

fn stop_text(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "{{end}}",
        Stop::Else => "{{else}}",
    }
}
