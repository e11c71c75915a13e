//! Values against schemas (santhosh-tekuri/jsonschema, validator.go), in its order and with its words.

use std::{cell::Cell, collections::BTreeSet, sync::OnceLock};

use serde_json::{Map, Value};

use super::{
    NoRemoteSchemas,
    compile::{Additional, Compiled, Items, Needs, Schema, TYPES, compile, type_bit},
    document::Draft,
    number::{Decimal, count},
    problem::{Problem, Role, quote, quotes, shown},
};
use crate::chart::meter;

/// Checks of one schema against one value, of a whole run: a chart's schema may refer to itself in many ways.
const MAX_STEPS: u64 = 5_000_000;

/// What is wrong with values; none if nothing is.
pub(super) fn problem(schema: &Compiled, value: &Value) -> Option<Problem> {
    let run = Run { schemas: &schema.schemas, steps: Cell::new(0) };
    run.root(schema.root, value).err()
}

/// What is wrong with a schema by the schema of its draft.
pub(super) fn metaschema_problem(draft: Draft, value: &Value) -> Result<Option<String>, String> {
    static COMPILED: [OnceLock<Result<Compiled, String>>; 5] = [const { OnceLock::new() }; 5];
    let place = match draft {
        Draft::V4 => 0,
        Draft::V6 => 1,
        Draft::V7 => 2,
        Draft::V2019 => 3,
        Draft::V2020 => 4,
    };
    let compiled = COMPILED[place].get_or_init(|| compile(draft.url(), None, &NoRemoteSchemas)).as_ref().map_err(Clone::clone)?;
    Ok(problem(compiled, value).map(|problem| problem.report(&compiled.schemas[compiled.root].location)))
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct At<'a> {
    part: Option<&'a str>,
    above: Option<&'a At<'a>>,
}

impl At<'_> {
    fn parts(&self) -> Vec<String> {
        let mut parts = self.above.map_or_else(Vec::new, At::parts);
        parts.extend(self.part.map(ToOwned::to_owned));
        parts
    }
}

/// The schemas on the way to this one.
struct Scope<'a> {
    schema: usize,
    keyword: &'a str,
    /// Changes with the value.
    depth: usize,
    above: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// The same schema for the same value, further up.
    fn cycle(&self) -> bool {
        let mut next = self.above;
        while let Some(scope) = next {
            if scope.depth != self.depth {
                return false;
            }
            if scope.schema == self.schema {
                return true;
            }
            next = scope.above;
        }
        false
    }
}

/// What no schema has looked at yet.
#[derive(Default)]
struct Unevaluated {
    properties: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Unevaluated {
    fn of(value: &Value, schema: &Schema, wanted: bool) -> Self {
        let mut left = Self::default();
        match value {
            Value::Object(map) if !schema.all_properties_evaluated() && (wanted || schema.unevaluated_properties.is_some()) => {
                left.properties = map.keys().cloned().collect();
            }
            Value::Array(items) if wanted || schema.unevaluated_items.is_some() => {
                left.items = schema.items_evaluated().map_or_else(BTreeSet::new, |from| (from..items.len()).collect());
            }
            _ => {}
        }
        left
    }

    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.items.is_empty()
    }

    fn keep(&mut self, other: &Self) {
        self.properties.retain(|name| other.properties.contains(name));
        self.items.retain(|index| other.items.contains(index));
    }
}

struct Run<'a> {
    schemas: &'a [Schema],
    steps: Cell<u64>,
}

/// One value before one schema.
struct Check<'a, 'v> {
    run: &'a Run<'a>,
    value: &'v Value,
    at: At<'a>,
    schema: &'a Schema,
    scope: &'a Scope<'a>,
    left: Unevaluated,
    problems: Vec<Problem>,
}

type Outcome = Result<Unevaluated, Problem>;

impl Run<'_> {
    fn root(&self, schema: usize, value: &Value) -> Result<(), Problem> {
        let scope = Scope { schema, keyword: "", depth: 0, above: None };
        let left = Unevaluated::of(value, &self.schemas[schema], false);
        self.check(value, At { part: None, above: None }, &scope, left).map(|_| ())
    }

    fn check(&self, value: &Value, at: At<'_>, scope: &Scope<'_>, left: Unevaluated) -> Outcome {
        let check = Check { run: self, value, at, schema: &self.schemas[scope.schema], scope, left, problems: Vec::new() };
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS || meter::steps(1).is_err() {
            return Err(check.plain(format!("the schema takes more than {MAX_STEPS} steps to check")));
        }
        check.run()
    }
}

impl Check<'_, '_> {
    fn problem(&self, role: Role, text: String, causes: Vec<Problem>) -> Problem {
        Problem { at: self.at.parts(), role, text, causes }
    }

    fn plain(&self, text: String) -> Problem {
        self.problem(Role::Plain, text, Vec::new())
    }

    fn add(&mut self, text: String) {
        let problem = self.plain(text);
        self.problems.push(problem);
    }

    fn add_with(&mut self, text: &str, causes: Vec<Problem>) {
        let problem = self.problem(Role::Plain, text.to_owned(), causes);
        self.problems.push(problem);
    }

    fn run(mut self) -> Outcome {
        let schema = self.schema;
        match schema.bool {
            Some(true) => return Ok(self.left),
            Some(false) => return Err(self.plain("false schema".to_owned())),
            None => {}
        }
        if self.scope.cycle() {
            return Err(self.plain(format!("{:?} and another keyword resolve to {:?} causing reference cycle", self.scope.keyword, schema.location)));
        }
        if let Some(text) = self.whole_value() {
            return Err(self.plain(text));
        }
        if let Some(target) = schema.reference {
            let result = self.reference(target, "$ref");
            if schema.draft < Draft::V2019 {
                return result.map(|()| self.left);
            }
            self.problems.extend(result.err());
        }
        match self.value {
            Value::Object(map) => self.object(map),
            Value::Array(items) => self.array(items),
            Value::String(text) => self.string(text),
            Value::Number(_) => self.number(),
            Value::Null | Value::Bool(_) => {}
        }
        if schema.draft >= Draft::V2019 {
            self.references();
        }
        self.conditions();
        if schema.draft >= Draft::V2019 {
            self.unevaluated();
        }
        match self.problems.len() {
            0 => Ok(self.left),
            1 => Err(self.problems.remove(0)),
            _ => {
                let causes = std::mem::take(&mut self.problems);
                Err(self.problem(Role::Group, "validation failed".to_owned(), causes))
            }
        }
    }

    /// Type, const, enum and format: the first of them that fails is all that is told.
    fn whole_value(&self) -> Option<String> {
        let (schema, value) = (self.schema, self.value);
        let (name, bits) = kind(value);
        if schema.types != 0 && schema.types & bits == 0 {
            let wanted: Vec<&str> = TYPES.iter().filter(|name| schema.types & type_bit(name) != 0).copied().collect();
            return Some(format!("got {name}, want {}", wanted.join(" or ")));
        }
        if let Some(wanted) = &schema.constant
            && !equal(value, wanted)
        {
            let nested = wanted.is_array() || wanted.is_object();
            return Some(if nested { "'const' failed".to_owned() } else { format!("value must be {}", shown(wanted)) });
        }
        if let Some(wanted) = &schema.enumeration
            && !(meter::steps(wanted.len() as u64).is_ok() && wanted.iter().any(|wanted| equal(value, wanted)))
        {
            return Some(match wanted.as_slice() {
                list if list.iter().any(|wanted| wanted.is_array() || wanted.is_object()) => "'enum' failed".to_owned(),
                [only] => format!("value must be {}", shown(only)),
                list => format!("value must be one of {}", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
            });
        }
        schema.format?.problem(value.as_str()?)
    }

    fn object(&mut self, map: &Map<String, Value>) {
        let schema = self.schema;
        if let Some(limit) = schema.min_properties.filter(|limit| map.len() < *limit) {
            self.add(format!("minProperties: got {}, want {}", count(map.len()), count(limit)));
        }
        if let Some(limit) = schema.max_properties.filter(|limit| map.len() > *limit) {
            self.add(format!("maxProperties: got {}, want {}", count(map.len()), count(limit)));
        }
        match missing(map, &schema.required).as_slice() {
            [] => {}
            [one] => self.add(format!("missing property {}", quote(one))),
            several => self.add(format!("missing properties {}", quotes(several))),
        }
        for (name, needs) in schema.dependencies.iter().filter(|(name, _)| map.contains_key(*name)) {
            match needs {
                Needs::Properties(names) => self.depends(map, name, names),
                Needs::Schema(target) => self.same(*target),
            }
        }
        self.properties(map);
        if schema.draft == Draft::V4 {
            return;
        }
        if let Some(target) = schema.property_names {
            for name in map.keys() {
                if let Err(problem) = self.run.root(target, &Value::String(name.clone())) {
                    let causes = if problem.role == Role::Group { problem.causes } else { vec![problem] };
                    self.add_with(&format!("invalid propertyName {}", quote(name)), causes);
                }
            }
        }
        for (_, target) in schema.dependent_schemas.iter().filter(|(name, _)| map.contains_key(*name)) {
            self.same(*target);
        }
        for (name, names) in schema.dependent_required.iter().filter(|(name, _)| map.contains_key(*name)) {
            self.depends(map, name, names);
        }
    }

    fn properties(&mut self, map: &Map<String, Value>) {
        let schema = self.schema;
        let mut extra = Vec::new();
        for (name, value) in map {
            let mut evaluated = false;
            if let Some(target) = schema.properties.get(name) {
                evaluated = true;
                self.below(*target, value, name);
            }
            for (pattern, target) in &schema.pattern_properties {
                if meter::reading(64 + name.len() as u64 * 4).is_ok() && pattern.is_match(name) {
                    evaluated = true;
                    self.below(*target, value, name);
                }
            }
            if !evaluated && let Some(additional) = &schema.additional_properties {
                evaluated = true;
                match additional {
                    Additional::Bool(true) => {}
                    Additional::Bool(false) => extra.push(name.clone()),
                    Additional::Schema(target) => self.below(*target, value, name),
                }
            }
            if evaluated {
                self.left.properties.remove(name);
            }
        }
        if !extra.is_empty() {
            self.add(format!("additional properties {} not allowed", quotes(&extra)));
        }
    }

    fn depends(&mut self, map: &Map<String, Value>, name: &str, names: &[String]) {
        let missing = missing(map, names);
        if !missing.is_empty() {
            self.add(format!("properties {} required, if {} exists", quotes(&missing), quote(name)));
        }
    }

    fn array(&mut self, items: &[Value]) {
        let schema = self.schema;
        if let Some(limit) = schema.min_items.filter(|limit| items.len() < *limit) {
            self.add(format!("minItems: got {}, want {}", count(items.len()), count(limit)));
        }
        if let Some(limit) = schema.max_items.filter(|limit| items.len() > *limit) {
            self.add(format!("maxItems: got {}, want {}", count(items.len()), count(limit)));
        }
        if schema.unique_items
            && let Some((first, second)) = duplicates(items)
        {
            self.add(format!("items at {} and {} are equal", count(first), count(second)));
        }
        if schema.draft < Draft::V2020 {
            self.items_before_2020(items);
        } else {
            let first = schema.prefix_items.len().min(items.len());
            for (index, item) in items.iter().enumerate() {
                match schema.prefix_items.get(index).copied().filter(|_| index < first).or(schema.items_2020) {
                    Some(target) => self.below(target, item, &index.to_string()),
                    None => break,
                }
            }
        }
        self.contains(items);
    }

    fn items_before_2020(&mut self, items: &[Value]) {
        let schema = self.schema;
        let evaluated = match &schema.items {
            None => 0,
            Some(Items::All(target)) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(*target, item, &index.to_string());
                }
                items.len()
            }
            Some(Items::Each(targets)) => {
                for (index, (item, target)) in items.iter().zip(targets).enumerate() {
                    self.below(*target, item, &index.to_string());
                }
                targets.len().min(items.len())
            }
        };
        match &schema.additional_items {
            Some(Additional::Bool(false)) if evaluated != items.len() => {
                self.add(format!("last {} additionalItem(s) not allowed", count(items.len() - evaluated)));
            }
            Some(Additional::Schema(target)) => {
                for (index, item) in items.iter().enumerate().skip(evaluated) {
                    self.below(*target, item, &index.to_string());
                }
            }
            _ => {}
        }
    }

    fn contains(&mut self, items: &[Value]) {
        let schema = self.schema;
        let Some(target) = schema.contains else { return };
        let (mut problems, mut matched) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            if let Err(problem) = self.value_below(target, item, &index.to_string()) {
                problems.push(problem);
                continue;
            }
            matched.push(index);
            if schema.draft >= Draft::V2020 {
                self.left.items.remove(&index);
            }
        }
        let places = matched.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        match schema.min_contains {
            Some(limit) if matched.len() < limit => {
                let text = if matched.is_empty() {
                    format!("min {} items required to match contains schema, but none matched", count(limit))
                } else {
                    format!("min {} items required to match contains schema, but matched {} items at {places}", count(limit), count(matched.len()))
                };
                self.add_with(&text, problems);
            }
            None if matched.is_empty() => self.add_with("no items match contains schema", problems),
            _ => {}
        }
        if let Some(limit) = schema.max_contains.filter(|limit| matched.len() > *limit) {
            self.add(format!("max {} items required to match contains schema, but matched {} items at {places}", count(limit), count(matched.len())));
        }
    }

    fn string(&mut self, text: &str) {
        let schema = self.schema;
        let length = text.chars().count();
        if let Some(limit) = schema.min_length.filter(|limit| length < *limit) {
            self.add(format!("minLength: got {}, want {}", count(length), count(limit)));
        }
        if let Some(limit) = schema.max_length.filter(|limit| length > *limit) {
            self.add(format!("maxLength: got {}, want {}", count(length), count(limit)));
        }
        if let Some((source, pattern)) = &schema.pattern
            && !(meter::reading(text.len() as u64 * 4).is_ok() && pattern.is_match(text))
        {
            self.add(format!("{} does not match pattern {}", quote(text), quote(source)));
        }
    }

    fn number(&mut self) {
        let Some(number) = Decimal::of(self.value) else { return };
        let schema = self.schema;
        let limits = [
            ("minimum", &schema.minimum, number_fails as fn(&Decimal, &Decimal) -> [bool; 4], 0),
            ("maximum", &schema.maximum, number_fails, 1),
            ("exclusiveMinimum", &schema.exclusive_minimum, number_fails, 2),
            ("exclusiveMaximum", &schema.exclusive_maximum, number_fails, 3),
        ];
        for (name, limit, fails, which) in limits {
            if let Some(limit) = limit.as_ref().filter(|limit| fails(&number, limit)[which]) {
                self.add(format!("{name}: got {}, want {}", number.english(), limit.english()));
            }
        }
        if let Some(step) = schema.multiple_of.as_ref().filter(|step| !number.is_multiple_of(step)) {
            self.add(format!("multipleOf: got {}, want {}", number.english(), step.english()));
        }
    }

    fn conditions(&mut self) {
        let schema = self.schema;
        if let Some(target) = schema.not
            && self.try_same(target, "").is_ok()
        {
            self.add("'not' failed".to_owned());
        }
        let problems: Vec<Problem> = schema.all_of.iter().filter_map(|target| self.try_same(*target, "").err()).collect();
        if !problems.is_empty() {
            self.add_with("'allOf' failed", problems);
        }
        if !schema.any_of.is_empty() {
            self.any_of();
        }
        if !schema.one_of.is_empty() {
            self.one_of();
        }
        if let Some(target) = schema.condition {
            let branch = if self.try_same(target, "").is_ok() { schema.then } else { schema.otherwise };
            if let Some(target) = branch {
                self.same(target);
            }
        }
    }

    fn any_of(&mut self) {
        let (mut problems, mut matched) = (Vec::new(), false);
        for target in &self.schema.any_of {
            if let Err(problem) = self.try_same(*target, "") {
                problems.push(problem);
                continue;
            }
            matched = true;
            // Where something is to be told unevaluated, all of them must look at it.
            if self.left.is_empty() {
                break;
            }
        }
        if !matched {
            self.add_with("'anyOf' failed", problems);
        }
    }

    fn one_of(&mut self) {
        let (mut problems, mut matched) = (Vec::new(), None);
        for (index, target) in self.schema.one_of.iter().enumerate() {
            match (self.try_same(*target, ""), matched) {
                (Err(problem), None) => problems.push(problem),
                (Err(_), Some(_)) => {}
                (Ok(()), None) => matched = Some(index),
                (Ok(()), Some(first)) => {
                    self.add(format!("'oneOf' failed, subschemas {}, {} matched", count(first), count(index)));
                    break;
                }
            }
        }
        if matched.is_none() {
            self.add_with("'oneOf' failed, none matched", problems);
        }
    }

    fn unevaluated(&mut self) {
        let schema = self.schema;
        if let (Value::Object(map), Some(target)) = (self.value, schema.unevaluated_properties) {
            for name in std::mem::take(&mut self.left.properties) {
                if let Some(value) = map.get(&name) {
                    self.below(target, value, &name);
                }
            }
        }
        if let (Value::Array(items), Some(target)) = (self.value, schema.unevaluated_items) {
            for index in std::mem::take(&mut self.left.items) {
                self.below(target, &items[index], &index.to_string());
            }
        }
    }

    /// Another schema for the same value.
    fn try_same(&mut self, target: usize, keyword: &str) -> Result<(), Problem> {
        let scope = Scope { schema: target, keyword, depth: self.scope.depth, above: Some(self.scope) };
        let left = Unevaluated::of(self.value, &self.run.schemas[target], !self.left.is_empty());
        let left = self.run.check(self.value, self.at, &scope, left)?;
        self.left.keep(&left);
        Ok(())
    }

    fn same(&mut self, target: usize) {
        let problem = self.try_same(target, "").err();
        self.problems.extend(problem);
    }

    fn value_below(&self, target: usize, value: &Value, part: &str) -> Result<(), Problem> {
        let scope = Scope { schema: target, keyword: "", depth: self.scope.depth + 1, above: Some(self.scope) };
        let left = Unevaluated::of(value, &self.run.schemas[target], false);
        self.run.check(value, At { part: Some(part), above: Some(&self.at) }, &scope, left).map(|_| ())
    }

    fn below(&mut self, target: usize, value: &Value, part: &str) {
        let problem = self.value_below(target, value, part).err();
        self.problems.extend(problem);
    }

    fn reference(&mut self, target: usize, keyword: &str) -> Result<(), Problem> {
        self.try_same(target, keyword).map_err(|problem| {
            let causes = if problem.role == Role::Group { problem.causes } else { vec![problem] };
            self.problem(Role::Reference, "validation failed".to_owned(), causes)
        })
    }

    /// `$recursiveRef` and `$dynamicRef`: the outermost schema on the way that offers itself.
    fn references(&mut self) {
        let schemas = self.run.schemas;
        if let Some(mut target) = self.schema.recursive_ref {
            if schemas[target].recursive_anchor {
                target = self.outermost(target, |resource, _| schemas[resource].recursive_anchor.then_some(None));
            }
            let problem = self.reference(target, "$recursiveRef").err();
            self.problems.extend(problem);
        }
        if let Some((mut target, anchor)) = self.schema.dynamic_ref.clone() {
            if !anchor.is_empty() && schemas[target].dynamic_anchor == anchor {
                target = self.outermost(target, |resource, _| schemas[resource].dynamic_anchors.get(&anchor).map(|found| Some(*found)));
            }
            let problem = self.reference(target, "$dynamicRef").err();
            self.problems.extend(problem);
        }
    }

    /// The last hit on the way up; a hit without a schema of its own stands for the schema on the way.
    fn outermost(&self, fallback: usize, hit: impl Fn(usize, usize) -> Option<Option<usize>>) -> usize {
        let mut found = fallback;
        let mut next = Some(self.scope);
        while let Some(scope) = next {
            if let Some(target) = hit(self.run.schemas[scope.schema].resource, scope.schema) {
                found = target.unwrap_or(scope.schema);
            }
            next = scope.above;
        }
        found
    }
}

fn number_fails(number: &Decimal, limit: &Decimal) -> [bool; 4] {
    let order = number.compare(limit);
    [order.is_lt(), order.is_gt(), order.is_le(), order.is_ge()]
}

fn missing(map: &Map<String, Value>, names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !map.contains_key(*name)).cloned().collect()
}

/// A value's type, and the types that it passes for.
fn kind(value: &Value) -> (&'static str, u8) {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let integer = Decimal::of(value).is_some_and(|number| number.is_integer());
    (name, type_bit(name) | if integer { type_bit("integer") } else { 0 })
}

/// Equal as JSON: 1 and 1.0 are.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        // A budget that is used up ends the whole check, so no answer counts then.
        (Value::Array(left), Value::Array(right)) if meter::steps(1 + left.len() as u64 / 4).is_ok() => {
            left.len() == right.len() && left.iter().zip(right).all(|(value, other)| equal(value, other))
        }
        (Value::Number(_), Value::Number(_)) => match (Decimal::of(left), Decimal::of(right)) {
            (Some(left), Some(right)) => left.compare(&right).is_eq(),
            _ => false,
        },
        (left, right) => left == right,
    }
}

/// The first item that stands there before, and where.
fn duplicates(items: &[Value]) -> Option<(usize, usize)> {
    (1..items.len())
        .take_while(|second| meter::steps(*second as u64).is_ok())
        .find_map(|second| (0..second).find(|first| equal(&items[second], &items[*first])).map(|first| (first, second)))
}
