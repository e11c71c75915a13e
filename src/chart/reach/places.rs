//! Places of a template: what they name and call, and the conditions around them.

use std::collections::HashMap;

use crate::chart::gotmpl::{self, Control, Few, Node, Operand, Pipe, Term, Tree};

/// Somewhere in a template.
pub(super) struct Place {
    /// Its offset.
    pub at: u32,
    /// The innermost condition around it.
    pub step: Option<usize>,
    /// The value that is named there, from the chart's own root.
    pub names: Option<Vec<String>>,
    /// The template that is called there.
    pub calls: Option<String>,
}

/// A condition, and what it has to be.
pub(super) struct Step {
    /// The condition around it.
    pub outer: Option<usize>,
    /// The pipeline.
    pub pipe: u32,
    /// Whether it has to hold.
    pub truth: bool,
    /// What `.` is there.
    pub dot: Option<Vec<String>>,
}

/// All places of a body, in their order.
pub(super) fn places(tree: &Tree, body: Few) -> (Vec<Step>, Vec<Place>) {
    let mut walk = Walk { paths: Paths { tree, variables: HashMap::new() }, steps: Vec::new(), places: Vec::new() };
    walk.body(body, Some(&[]), None);
    (walk.steps, walk.places)
}

/// What operands name, as far as reading tells: `.Values.a`, `$.Values.a`, `.a` inside `with .Values`, variables of these.
pub(super) struct Paths<'t> {
    tree: &'t Tree,
    variables: HashMap<&'t str, Vec<String>>,
}

impl<'t> Paths<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self { tree, variables: HashMap::new() }
    }

    pub(super) fn operand(&self, operand: &Operand, dot: Option<&[String]>) -> Option<Vec<String>> {
        let below =
            |base: &[String], fields: &str| base.iter().cloned().chain(fields.split('.').filter(|part| !part.is_empty()).map(ToOwned::to_owned)).collect();
        match operand.term {
            Term::Dot => dot.map(<[String]>::to_vec),
            Term::Field(span) => dot.map(|dot| below(dot, self.tree.written(span))),
            Term::Variable(span) => {
                let text = self.tree.written(span);
                let (name, fields) = text.split_once('.').unwrap_or((text, ""));
                let base: &[String] = if name == "$" { &[] } else { self.variables.get(name)? };
                Some(below(base, fields))
            }
            Term::Chain(inner, span) => self.operand(&self.tree.operands[inner as usize], dot).map(|base| below(&base, self.tree.written(span))),
            Term::Pipe(pipe) => self.pipe(&self.tree.pipes[pipe as usize], dot),
            _ => None,
        }
    }

    /// What the first command of a pipeline is, if it is a value alone: `.Values.a | default dict`.
    pub(super) fn pipe(&self, pipe: &Pipe, dot: Option<&[String]>) -> Option<Vec<String>> {
        match pipe.commands.of(&self.tree.commands).first()?.args.of(&self.tree.operands) {
            [alone] => self.operand(alone, dot),
            _ => None,
        }
    }
}

/// A path from the root of the templates' data, as one from the root of the values.
pub(super) fn of_values(path: &[String]) -> Option<Vec<String>> {
    (path.len() > 1 && path[0] == "Values").then(|| path[1..].to_vec())
}

struct Walk<'t> {
    paths: Paths<'t>,
    steps: Vec<Step>,
    places: Vec<Place>,
}

impl Walk<'_> {
    fn place(&mut self, at: u32, step: Option<usize>, names: Option<Vec<String>>, calls: Option<String>) {
        self.places.push(Place { at, step, names, calls });
    }

    fn add_step(&mut self, outer: Option<usize>, pipe: u32, truth: bool, dot: Option<&[String]>) -> usize {
        self.steps.push(Step { outer, pipe, truth, dot: dot.map(<[String]>::to_vec) });
        self.steps.len() - 1
    }

    fn body(&mut self, body: Few, dot: Option<&[String]>, step: Option<usize>) {
        stacker::maybe_grow(super::STACK_LEFT, super::STACK_MORE, || self.nodes(body, dot, step));
    }

    fn nodes(&mut self, body: Few, dot: Option<&[String]>, step: Option<usize>) {
        let tree = self.paths.tree;
        for node in body.of(&tree.nodes) {
            match node {
                Node::Text(span) => self.place(span.start, step, None, None),
                Node::Action(pipe) => self.pipe(*pipe, dot, step),
                Node::Branch(control, arms, otherwise) => {
                    let mut before = step;
                    for arm in arms.of(&tree.arms) {
                        self.pipe(arm.pipe, dot, before);
                        let inner = self.add_step(before, arm.pipe, true, dot);
                        let narrowed = self.paths.pipe(&tree.pipes[arm.pipe as usize], dot);
                        let within = if *control == Control::With { narrowed.as_deref() } else { dot };
                        self.body(arm.body, within, Some(inner));
                        before = Some(self.add_step(before, arm.pipe, false, dot));
                    }
                    self.body(*otherwise, dot, before);
                }
                Node::Range(pipe, body, otherwise) => {
                    self.pipe(*pipe, dot, step);
                    let inner = self.add_step(step, *pipe, true, dot);
                    self.body(*body, None, Some(inner));
                    self.body(*otherwise, dot, step);
                }
                Node::Template(call) => {
                    let call = &tree.invocations[*call as usize];
                    self.place(call.pos, step, None, Some(call.name.to_string()));
                    if let Some(pipe) = call.pipe {
                        self.pipe(pipe, dot, step);
                    }
                }
                Node::Break | Node::Continue => {}
            }
        }
    }

    fn pipe(&mut self, pipe: u32, dot: Option<&[String]>, step: Option<usize>) {
        stacker::maybe_grow(super::STACK_LEFT, super::STACK_MORE, || self.commands(pipe, dot, step));
    }

    fn commands(&mut self, pipe: u32, dot: Option<&[String]>, step: Option<usize>) {
        let tree = self.paths.tree;
        let pipe = tree.pipes[pipe as usize];
        if let [variable] = pipe.declared.of(&tree.declared) {
            match self.paths.pipe(&pipe, dot) {
                Some(path) => self.paths.variables.insert(tree.written(*variable), path),
                None => self.paths.variables.remove(tree.written(*variable)),
            };
        }
        for command in pipe.commands.of(&tree.commands) {
            let args = command.args.of(&tree.operands);
            if let [Operand { term: Term::Identifier(name), pos }, Operand { term: Term::Str(called), .. }, ..] = args
                && tree.written(*name) == "include"
                && let Some(called) = gotmpl::unquote(tree.written(*called))
            {
                self.place(*pos, step, None, Some(called.into_owned()));
            }
            for operand in args {
                let names = self.paths.operand(operand, dot).as_deref().and_then(of_values);
                if names.is_some() {
                    self.place(operand.pos, step, names, None);
                } else {
                    self.inner(operand, dot, step);
                }
            }
        }
    }

    fn inner(&mut self, operand: &Operand, dot: Option<&[String]>, step: Option<usize>) {
        match operand.term {
            Term::Pipe(pipe) => self.pipe(pipe, dot, step),
            Term::Chain(inner, _) => {
                let inner = self.paths.tree.operands[inner as usize];
                self.inner(&inner, dot, step);
            }
            _ => {}
        }
    }
}
