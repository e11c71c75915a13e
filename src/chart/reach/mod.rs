//! What values would have to be for templates to come to a place: to where a value is used, or to a line.
//!
//! Templates are read, not executed: the conditions around a place are followed outwards, through `include` and `template`, to a file that
//! Helm executes. Values that already are what a condition wants stay; booleans are turned, `eq` and `ne` with constants are met. What a
//! condition wants beyond that is left open, so an answer is a proposal: only a rendering with it tells whether it holds.

mod places;
mod wants;

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Chart, Parsed,
    gotmpl::{Few, Tree},
    values,
};
use places::{Place, Step};

/// Values by their path from the root.
pub type Wanted = BTreeMap<Vec<String>, Value>;

/// A way to a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// What it wants.
    pub wanted: Wanted,
    /// Whether it wants something of the same branch of the values as the place is about, as a feature's switch stands beside its image, or
    /// switches on the subchart whose value it is.
    pub near: bool,
}

/// Places that are followed for one answer.
const PLACES_MAX: usize = 48;
/// Callers that are followed for one answer.
const CALLS_MAX: usize = 400;
/// Templates on one way.
const DEPTH_MAX: usize = 8;
/// Answers that are given.
const WAYS_MAX: usize = 6;
/// Conditions that are looked at, for all answers together.
const CONDITIONS_MAX: u32 = 200_000;

/// Templates may be nested as deep as the parser lets them: the stack grows with them.
const STACK_LEFT: usize = 128 << 10;
/// By how much it grows.
const STACK_MORE: usize = 1 << 20;

/// Places, as body and place.
type At = (usize, usize);
/// Places by what leads to them.
type Index<K> = BTreeMap<K, Vec<At>>;

/// The templates of a chart and its subcharts, ready to be asked.
pub struct Reach {
    scopes: Vec<Scope>,
    bodies: Vec<Body>,
    callers: Index<String>,
    mentions: Index<Vec<String>>,
    values: Value,
    /// Conditions that may still be looked at.
    left: Cell<u32>,
}

/// A chart under one of its names.
struct Scope {
    /// Where its values are in those of the root.
    prefix: Vec<String>,
    /// What must be true for it to be rendered, from the root.
    conditions: Vec<Vec<String>>,
    /// Its path as templates have it.
    path: String,
    /// Its path with the charts' own names.
    folder: String,
}

/// A file, or what it defines.
struct Body {
    name: String,
    file: String,
    scope: usize,
    executed: bool,
    tree: Arc<Tree>,
    nodes: Few,
    steps: Vec<Step>,
    places: Vec<Place>,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reach").field("bodies", &self.bodies.len()).finish_non_exhaustive()
    }
}

impl Reach {
    /// Reads the templates of a chart that is given these values. Templates that cannot be read are left out: rendering tells that.
    pub fn of(chart: &Chart, user: &Map<String, Value>, parsed: &Parsed) -> Self {
        let mut all = defaults(chart);
        values::merge(&mut all, user.clone());
        let mut reach = Self {
            scopes: Vec::new(),
            bodies: Vec::new(),
            callers: BTreeMap::new(),
            mentions: BTreeMap::new(),
            values: Value::Object(all),
            left: Cell::new(CONDITIONS_MAX),
        };
        reach.read(chart, Scope { prefix: Vec::new(), conditions: Vec::new(), path: chart.name().to_owned(), folder: chart.name().to_owned() }, parsed);
        reach.index();
        reach
    }

    fn index(&mut self) {
        let (mut callers, mut mentions) = (Index::<String>::new(), Index::<Vec<String>>::new());
        for (at, body) in self.bodies.iter().enumerate() {
            for (place, what) in body.places.iter().enumerate() {
                if let Some(name) = &what.calls {
                    callers.entry(name.clone()).or_default().push((at, place));
                }
                if let Some(names) = &what.names {
                    mentions.entry(self.absolute(body.scope, names)).or_default().push((at, place));
                }
            }
        }
        (self.callers, self.mentions) = (callers, mentions);
    }

    fn read(&mut self, chart: &Chart, scope: Scope, parsed: &Parsed) {
        let at = self.scopes.len();
        for file in chart.templates() {
            let base = file.name.rsplit('/').next().unwrap_or_default();
            let Ok(text) = std::str::from_utf8(&file.data) else { continue };
            let path = format!("{}/{}", scope.path, file.name);
            let Ok(templates) = parsed.templates(&path, text.to_owned()) else { continue };
            for template in templates {
                let executed = template.name == path && !base.starts_with('_') && base != "NOTES.txt";
                let (tree, body) = (template.tree, template.body);
                let (steps, places) = places::places(&tree, body);
                let file = format!("{}/{}", scope.folder, file.name);
                self.bodies.push(Body { name: template.name, file, scope: at, executed, tree, nodes: body, steps, places });
            }
        }
        let below: Vec<(&Chart, Scope)> = chart.subcharts().iter().flat_map(|below| scopes_of(chart, below, &scope)).collect();
        self.scopes.push(scope);
        for (chart, scope) in below {
            self.read(chart, scope, parsed);
        }
    }

    /// Ways to have a value used: near ones first, and those that want least. `file` is the values file of the chart that has it (`web/charts/db/values.yaml`),
    /// `pointer` its place there. A way that wants nothing is none: the place is reached as it is.
    pub fn to_value(&self, file: &str, pointer: &str) -> Vec<Way> {
        let Some(scope) = file.strip_suffix("/values.yaml").and_then(|path| self.scopes.iter().find(|scope| scope.path == path)) else {
            return Vec::new();
        };
        let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
        let target: Vec<String> = scope.prefix.iter().cloned().chain(parts).collect();
        let mut ways = self.ways(self.using(&target, scope.prefix.len()));
        // Whatever the templates say, what is called `enabled` on the way to a value mostly decides.
        ways.push(self.enabled(scope, &target));
        let depth = scope.prefix.len() + 1;
        // What stands at the root of a subchart's values has no other switch than the subchart's.
        let own = scope.conditions.last().filter(|_| target.len() == depth);
        distinct(ways, |path| (path.len() >= depth && target.starts_with(&path[..depth])) || own.is_some_and(|own| own == path))
    }

    /// Where a value is used, or parts of it; else where the nearest above it is.
    fn using(&self, target: &[String], above: usize) -> Vec<At> {
        let own = self.mentions.range(target.to_vec()..).take_while(|(path, _)| path.starts_with(target));
        let own: Vec<At> = own.flat_map(|(_, places)| places).copied().collect();
        if !own.is_empty() {
            return own;
        }
        (above + 1..target.len()).rev().find_map(|depth| self.mentions.get(&target[..depth])).cloned().unwrap_or_default()
    }

    /// Ways to a line of a template's file.
    pub fn to_line(&self, file: &str, line: usize) -> Vec<Way> {
        let near = |at: usize| {
            let body = &self.bodies[at];
            let start = body.tree.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
            let end = start + body.tree.text[start.min(body.tree.text.len())..].find('\n').unwrap_or_default();
            body.places.iter().rposition(|place| place.at as usize <= end).map(|place| (body.places[place].at, at, place))
        };
        // A text has its own template and those that it defines; the place nearest before the line is meant.
        let places = self.bodies.iter().enumerate().filter(|(_, body)| body.file == file).filter_map(|(at, _)| near(at));
        let ways = places.max().map(|(_, at, place)| self.ways(vec![(at, place)])).unwrap_or_default();
        distinct(ways, |_| true)
    }

    fn ways(&self, places: Vec<At>) -> Vec<Wanted> {
        let mut climb = Climb { reach: self, left: CALLS_MAX, found: Vec::new() };
        for (body, place) in places.into_iter().take(PLACES_MAX) {
            climb.up(body, place, &mut Vec::new());
        }
        climb.found
    }

    fn absolute(&self, scope: usize, names: &[String]) -> Vec<String> {
        let prefix: &[String] = if names.first().is_some_and(|name| name == "global") { &[] } else { &self.scopes[scope].prefix };
        prefix.iter().chain(names).cloned().collect()
    }

    fn current(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.values, |value, name| value.get(name))
    }

    /// Turns on what is called so beside a value and above it.
    fn enabled(&self, scope: &Scope, target: &[String]) -> Wanted {
        let mut wanted = Wanted::new();
        for condition in &scope.conditions {
            self.turn(condition.clone(), true, &mut wanted);
        }
        for depth in scope.prefix.len()..=target.len() {
            for name in wants::SWITCHES {
                let path: Vec<String> = target[..depth].iter().cloned().chain([name.to_owned()]).collect();
                if self.current(&path) == Some(&Value::Bool(false)) {
                    self.turn(path, true, &mut wanted);
                }
            }
        }
        wanted
    }
}

fn distinct(ways: Vec<Wanted>, is_near: impl Fn(&[String]) -> bool) -> Vec<Way> {
    let mut distinct: Vec<Wanted> = Vec::new();
    for way in ways.into_iter().filter(|way| !way.is_empty()) {
        if !distinct.contains(&way) {
            distinct.push(way);
        }
    }
    let mut ways: Vec<Way> = distinct.into_iter().map(|wanted| Way { near: wanted.keys().any(|path| is_near(path)), wanted }).collect();
    ways.sort_by_key(|way| (!way.near, way.wanted.len()));
    ways.truncate(WAYS_MAX);
    ways
}

/// From a place outwards to the files that Helm executes.
struct Climb<'a> {
    reach: &'a Reach,
    left: usize,
    found: Vec<Wanted>,
}

impl Climb<'_> {
    fn up(&mut self, at: usize, place: usize, way: &mut Vec<At>) {
        if way.len() >= DEPTH_MAX || way.iter().any(|(known, _)| *known == at) {
            return;
        }
        way.push((at, place));
        let body = &self.reach.bodies[at];
        if body.executed {
            self.found.extend(self.reach.wanted(way));
        } else {
            for (caller, place) in self.reach.callers.get(&body.name).into_iter().flatten() {
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
                self.up(*caller, *place, way);
            }
        }
        way.pop();
    }
}

/// The values of a chart and of what is below it, by the names that these have.
fn defaults(chart: &Chart) -> Map<String, Value> {
    let mut all = Map::new();
    for below in chart.subcharts() {
        for name in names_of(chart, below) {
            all.insert(name, Value::Object(defaults(below)));
        }
    }
    values::merge(&mut all, chart.values().clone());
    all
}

fn names_of(chart: &Chart, below: &Chart) -> Vec<String> {
    let needs = chart.metadata().dependencies.iter().filter(|need| need.name == below.name());
    let names: Vec<String> = needs.map(|need| if need.alias.is_empty() { need.name.clone() } else { need.alias.clone() }).collect();
    if names.is_empty() { vec![below.name().to_owned()] } else { names }
}

/// A subchart under each of its names, with what switches it on: the first path of its condition, else its tags (pkg/chartutil,
/// dependencies.go).
fn scopes_of<'c>(chart: &Chart, below: &'c Chart, scope: &Scope) -> Vec<(&'c Chart, Scope)> {
    let one = |name: String| {
        let need = chart.metadata().dependencies.iter().find(|need| need.name == below.name() && (need.alias == name || need.alias.is_empty()));
        let condition = need.and_then(|need| need.condition.split(',').map(str::trim).find(|path| !path.is_empty()));
        let under = |path: &str| scope.prefix.iter().cloned().chain(path.split('.').map(ToOwned::to_owned)).collect::<Vec<String>>();
        let tag = need.and_then(|need| need.tags.first()).map(|tag| vec!["tags".to_owned(), tag.clone()]);
        let own = condition.map(under).or(tag);
        let conditions = scope.conditions.iter().cloned().chain(own).collect();
        let prefix = scope.prefix.iter().cloned().chain([name.clone()]).collect();
        let folder = format!("{}/charts/{}", scope.folder, below.name());
        (below, Scope { prefix, conditions, path: format!("{}/charts/{name}", scope.path), folder })
    };
    names_of(chart, below).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
