//! The parser: Go's text/template/parse/parse.go, with its messages.

use std::sync::Arc;

use super::ast::{Arm, Command, Control, Few, Invocation, Node, Operand, Pipe, Span, Template, Term, Tree, index};
use super::lex::{Kind, Lexer, Token};
use super::{literal, quote};

/// Nesting that ends a parse; Go allows more, its stack grows.
const MAX_BODIES: usize = 10_000;
/// Nodes of one text, which take some hundred bytes each.
const MAX_NODES: usize = 250_000;
/// Offsets are half a word.
const MAX_BYTES: usize = u32::MAX as usize;
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
pub(crate) fn parse(name: String, text: String, is_function: &dyn Fn(&str) -> bool) -> Result<Vec<Template>, ParseError> {
    if text.len() >= MAX_BYTES {
        return Err(ParseError { name, line: 1, message: format!("a text of more than {MAX_BYTES} bytes is refused") });
    }
    let mut tree = Tree::new(name, String::new());
    let made = Parser::new(&text, &mut tree, is_function).all()?;
    tree.text = text;
    let tree = Arc::new(tree);
    Ok(made.into_iter().map(|Made { name, body, nodes }| Template { name, tree: Arc::clone(&tree), body, nodes }).collect())
}

/// A template of the text.
struct Made {
    name: String,
    body: Few,
    nodes: usize,
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
    text: &'a str,
    tree: &'a mut Tree,
    is_function: &'a dyn Fn(&str) -> bool,
    tokens: [Token; 3],
    peeked: usize,
    vars: Vec<&'a str>,
    set: Vec<Made>,
    /// What belongs to a node that is not complete.
    open: Open,
    /// The token with which an action began.
    action: Option<u32>,
    range_depth: usize,
    bodies: usize,
    parens: usize,
    /// Nodes of the template that is being parsed, and of all.
    nodes: usize,
    all_nodes: usize,
}

#[derive(Default)]
struct Open {
    nodes: Vec<Node>,
    arms: Vec<Arm>,
    declared: Vec<Span>,
    commands: Vec<Command>,
    operands: Vec<Operand>,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, tree: &'a mut Tree, is_function: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            lexer: Lexer::new(text),
            text,
            tree,
            is_function,
            tokens: [Token { kind: Kind::Eof, pos: 0, end: 0 }; 3],
            peeked: 0,
            vars: vec!["$"],
            set: Vec::new(),
            open: Open::default(),
            action: None,
            range_depth: 0,
            bodies: 0,
            parens: 0,
            nodes: 0,
            all_nodes: 0,
        }
    }

    fn all(mut self) -> Parsed<Vec<Made>> {
        self.root()?;
        Ok(self.set)
    }

    fn next(&mut self) -> Token {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.peeked]
    }

    fn backup(&mut self) {
        self.peeked += 1;
    }

    fn peek(&mut self) -> Token {
        if self.peeked == 0 {
            self.peeked = 1;
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.peeked - 1]
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.backup();
        token
    }

    /// The line of an offset.
    fn line(&self, pos: u32) -> usize {
        1 + self.text[..pos as usize].matches('\n').count()
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { name: self.tree.name.clone(), line: self.line(self.tokens[0].pos), message: message.into() })
    }

    fn unexpected<T>(&self, token: Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.fail(format!("unexpected {} in {context}", token.shown(self.text)));
        }
        let problem = self.lexer.problem();
        let mut extra = String::new();
        if let Some(line) = self.action.map(|pos| self.line(pos)).filter(|line| *line != self.line(token.pos)) {
            extra = format!(" in action started at {}:{line}", self.tree.name);
            if problem.ends_with(" action") {
                extra = extra[" in action".len()..].to_owned();
            }
        }
        self.fail(format!("{problem}{extra}"))
    }

    fn span(token: Token) -> Span {
        Span { start: token.pos, end: token.end }
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(token, context) }
    }

    fn add(&mut self, name: String, body: Few) -> Parsed<()> {
        let new = Made { name, body, nodes: std::mem::take(&mut self.nodes) };
        let is_blank = |made: &Made| self.is_blank(made.body);
        match self.set.iter().position(|made| made.name == new.name) {
            None => self.set.push(new),
            Some(old) if is_blank(&self.set[old]) => self.set[old] = new,
            Some(_) if !is_blank(&new) => return self.fail(format!("template: multiple definition of template {}", quote(&new.name))),
            Some(_) => {}
        }
        Ok(())
    }

    fn is_blank(&self, body: Few) -> bool {
        self.tree.is_blank(body, self.text)
    }

    fn root(&mut self) -> Parsed<()> {
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
                Item::Node(node) => self.open.nodes.push(node),
                Item::Stop(stop) => return self.fail(format!("unexpected {}", stop_text(&stop))),
            }
        }
        let body = self.body(0);
        self.add(self.tree.name.clone(), body)
    }

    /// Pushes `before` back in front of the current token.
    fn backup2(&mut self, before: Token) {
        self.tokens[1] = before;
        self.peeked = 2;
    }

    fn backup3(&mut self, second: Token, first: Token) {
        self.tokens[1] = first;
        self.tokens[2] = second;
        self.peeked = 3;
    }

    /// A define or block body: own variables, own range depth.
    fn separate_body(&mut self, name: String, context: &str) -> Parsed<()> {
        let vars = std::mem::replace(&mut self.vars, vec!["$"]);
        let ranges = std::mem::take(&mut self.range_depth);
        let action = self.action.take();
        let (body, stop) = self.item_list()?;
        if let Stop::Else = stop {
            return self.fail(format!("unexpected {} in {context}", stop_text(&stop)));
        }
        self.add(name, body)?;
        self.vars = vars;
        self.range_depth = ranges;
        self.action = action;
        Ok(())
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let name = self.template_name(token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.separate_body(name, "define clause")
    }

    fn template_name(&mut self, token: Token, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match literal::unquote(token.text(self.text)) {
            Some(name) => Ok(name.into_owned()),
            None => self.fail("invalid syntax"),
        }
    }

    /// The body that began with so many nodes on the stack.
    fn body(&mut self, mark: usize) -> Few {
        Few::settle(&mut self.open.nodes, mark, &mut self.tree.nodes)
    }

    fn item_list(&mut self) -> Parsed<(Few, Stop)> {
        self.bodies += 1;
        if self.bodies > MAX_BODIES {
            return self.fail("nested too deeply");
        }
        let mark = self.open.nodes.len();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => self.open.nodes.push(node),
                Item::Stop(stop) => {
                    self.bodies -= 1;
                    return Ok((self.body(mark), stop));
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
            Kind::Text => Ok(Item::Node(Node::Text(Self::span(token)))),
            Kind::LeftDelim => {
                self.action = Some(token.pos);
                let item = self.action();
                if item.is_ok() {
                    self.action = None;
                }
                item
            }
            _ => self.unexpected(token, "input"),
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
            return self.unexpected(token, word);
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
        let arms = self.open.arms.len();
        let mut otherwise = Few::default();
        loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (body, stop) = self.item_list()?;
            self.open.arms.push(Arm { pipe, body });
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
        Ok(Node::Branch(control, Few::settle(&mut self.open.arms, arms, &mut self.tree.arms), otherwise))
    }

    /// What follows a last `else`.
    fn otherwise(&mut self) -> Parsed<Few> {
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
        let otherwise = if let Stop::Else = stop { self.otherwise()? } else { Few::default() };
        self.vars.truncate(mark);
        Ok(Node::Range(pipe, body, otherwise))
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(token, "block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        self.separate_body(name.clone(), "block clause")?;
        Ok(self.call(token.pos, &name, Some(pipe)))
    }

    fn invocation(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(token, "template clause")?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline("template clause", Kind::RightDelim)?);
        }
        Ok(self.call(token.pos, &name, pipe))
    }

    fn call(&mut self, pos: u32, name: &str, pipe: Option<u32>) -> Node {
        self.tree.invocations.push(Invocation { pos, name: Arc::from(name), pipe });
        Node::Template(index(self.tree.invocations.len() - 1))
    }

    /// Declares a variable, or assigns to it.
    fn declare(&mut self, token: Token) {
        self.open.declared.push(Self::span(token));
        self.vars.push(token.text(self.text));
    }

    /// Declared variables; whether they are assigned to.
    fn declarations(&mut self, context: &str) -> Parsed<bool> {
        let mark = self.open.declared.len();
        loop {
            let v = self.peek_non_space();
            if v.kind != Kind::Variable {
                return Ok(false);
            }
            self.next();
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next_non_space();
                    self.declare(v);
                    return Ok(next.kind == Kind::Assign);
                }
                Kind::Char if next.text(self.text) == "," => {
                    self.next_non_space();
                    self.declare(v);
                    if context != "range" || self.open.declared.len() - mark >= 2 {
                        return self.fail(format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.fail("range can only initialize variables");
                    }
                }
                _ if after.kind == Kind::Space => {
                    self.backup3(v, after);
                    return Ok(false);
                }
                _ => {
                    self.backup2(v);
                    return Ok(false);
                }
            }
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<u32> {
        let pos = self.peek_non_space().pos;
        let (declared, commands) = (self.open.declared.len(), self.open.commands.len());
        let assign = self.declarations(context)?;
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
                    let command = self.command()?;
                    self.open.commands.push(command);
                }
                _ => return self.unexpected(token, context),
            }
        }
        let declared = Few::settle(&mut self.open.declared, declared, &mut self.tree.declared);
        let commands = Few::settle(&mut self.open.commands, commands, &mut self.tree.commands);
        if commands.len() == 0 {
            return self.fail(format!("missing value for {context}"));
        }
        for (i, command) in commands.of(&self.tree.commands).iter().enumerate().skip(1) {
            let first = command.args.of(&self.tree.operands)[0].term;
            if matches!(first, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Char(_) | Term::Str(_)) {
                return self.fail(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        self.tree.pipes.push(Pipe { pos, assign, declared, commands });
        Ok(index(self.tree.pipes.len() - 1))
    }

    fn command(&mut self) -> Parsed<Command> {
        let pos = self.peek_non_space().pos;
        let mark = self.open.operands.len();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.open.operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        let args = Few::settle(&mut self.open.operands, mark, &mut self.tree.operands);
        if args.len() == 0 {
            return self.fail("empty command");
        }
        Ok(Command { pos, args })
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(node) = self.term()? else { return Ok(None) };
        self.count()?;
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(node));
        }
        // Fields follow each other without anything between them.
        let mut fields = Self::span(first);
        while self.peek().kind == Kind::Field {
            self.count()?;
            fields.end = self.next().end;
        }
        let term = match node.term {
            Term::Field(names) => Term::Field(Span { end: fields.end, ..names }),
            Term::Variable(names) => Term::Variable(Span { end: fields.end, ..names }),
            Term::Bool(_) | Term::Str(_) | Term::Number(_) | Term::Char(_) | Term::Nil | Term::Dot => {
                let text = token_text(self.text, node);
                return self.fail(format!("unexpected . after term {}", quote(text)));
            }
            Term::Identifier(_) | Term::Chain(..) | Term::Pipe(_) => {
                self.tree.operands.push(node);
                Term::Chain(index(self.tree.operands.len() - 1), fields)
            }
        };
        Ok(Some(Operand { pos: first.pos, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_non_space();
        let (pos, span, text) = (token.pos, Self::span(token), token.text(self.text));
        let term = match token.kind {
            Kind::Identifier => {
                if !(self.is_function)(text) {
                    return self.fail(format!("function {} not defined", quote(text)));
                }
                Term::Identifier(span)
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.vars.contains(&text) {
                    return self.fail(format!("undefined variable {}", quote(text)));
                }
                Term::Variable(span)
            }
            Kind::Field => Term::Field(span),
            Kind::Bool => Term::Bool(text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => match literal::number(text, token.kind == Kind::CharConstant) {
                Ok(_) if token.kind == Kind::CharConstant => Term::Char(span),
                Ok(_) => Term::Number(span),
                Err(message) => return self.fail(message),
            },
            Kind::LeftParen => {
                if self.parens >= MAX_PARENS {
                    return self.fail("max expression depth exceeded");
                }
                self.parens += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.parens -= 1;
                Term::Pipe(pipe)
            }
            Kind::String | Kind::RawString => match literal::unquote(text) {
                Some(_) => Term::Str(span),
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

/// How a term that takes no fields is written.
fn token_text(text: &str, node: Operand) -> &str {
    match node.term {
        Term::Bool(true) => "true",
        Term::Bool(false) => "false",
        Term::Nil => "nil",
        Term::Number(span) | Term::Char(span) | Term::Str(span) => span.of(text),
        _ => ".",
    }
}

fn stop_text(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "{{end}}",
        Stop::Else => "{{else}}",
    }
}
