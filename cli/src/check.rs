//! `seawall check`: everything that is wrong with the Seawall blocks of a file.

use crate::chosen::unkeyed;
use crate::document::{read, Node, Position};
use crate::envoy::{find, Block, Chain, Found, Host, Route};
use crate::filters::Filter;
use crate::idle::{idle, Around};
use crate::layers::{layer, settings, Layered, Level};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The filter or Envoy refuses it.
    Error,
    /// It has no effect, or hardly the one that is wanted.
    Warning,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// How much it matters.
    pub severity: Severity,
    /// Whose settings, such as `seawall.rate_limit`; empty for the file as a whole.
    pub filter: String,
    /// Where they stand: `plugin configuration`, `virtual host "all"`, `route "orders"`.
    pub place: String,
    /// The field, such as `limits[0].requests`; empty for all of them.
    pub path: String,
    /// What was found and what is allowed.
    pub problem: String,
}

/// What a check found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Settings in plugin configurations.
    pub plugins: usize,
    /// Settings in metadata.
    pub metadata: usize,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Report {
    /// How many problems are so severe.
    pub fn count(&self, severity: Severity) -> usize {
        let problems = self.problems.iter();
        problems
            .filter(|problem| problem.severity == severity)
            .count()
    }
}

/// Checks the text of a file.
pub fn check(file: &str, text: &str) -> Report {
    let documents = match read(text) {
        Ok(documents) => documents,
        Err(error) => {
            let mut checked = Checked::new(file);
            checked.add(Severity::Error, error.at, "", "", "", &error.problem);
            return checked.report();
        }
    };
    let found = find(&documents);
    let mut checked = Checked::new(file);
    checked.found(&found);
    checked.report()
}

struct Checked<'f> {
    file: &'f str,
    /// Places of blocks: one that is used twice, through an alias, is one block.
    plugins: BTreeSet<Position>,
    metadata: BTreeSet<Position>,
    /// What has no effect wherever a block holds, by the place of the block.
    idle: BTreeMap<Position, Idle>,
    problems: BTreeSet<(Position, Problem)>,
}

/// Fields of a block that have no effect.
struct Idle {
    filter: Filter,
    title: String,
    /// By their paths: their places, and what to know.
    fields: BTreeMap<String, (Position, String)>,
}

impl<'f> Checked<'f> {
    fn new(file: &'f str) -> Self {
        Checked {
            file,
            plugins: BTreeSet::new(),
            metadata: BTreeSet::new(),
            idle: BTreeMap::new(),
            problems: BTreeSet::new(),
        }
    }

    fn report(mut self) -> Report {
        for block in std::mem::take(&mut self.idle).into_values() {
            let name = block.filter.namespace();
            for (path, (at, problem)) in block.fields {
                self.add(Severity::Warning, at, name, &block.title, &path, &problem);
            }
        }
        Report {
            plugins: self.plugins.len(),
            metadata: self.metadata.len(),
            problems: self
                .problems
                .into_iter()
                .map(|(_, problem)| problem)
                .collect(),
        }
    }

    fn add(
        &mut self,
        severity: Severity,
        at: Position,
        filter: &str,
        place: &str,
        path: &str,
        problem: &str,
    ) {
        let problem = Problem {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            severity,
            filter: filter.to_owned(),
            place: place.to_owned(),
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        self.problems.insert((at, problem));
    }

    /// Remembers of a block what has no effect in these settings, of which it is a part, nor had in others.
    fn effects(&mut self, block: &Block, title: &str, layered: &Layered, around: &Around<'_>) {
        let idle = idle(block.filter, &layered.settings, around);
        if let Some(known) = self.idle.get_mut(&block.at) {
            known.fields.retain(|path, _| idle.contains_key(path));
            return;
        }
        let own = |(path, problem): (String, String)| match block.settings.as_ref()?.place(&path) {
            (at, true) => Some((path, (at, problem))),
            (_, false) => None,
        };
        let found = Idle {
            filter: block.filter,
            title: title.to_owned(),
            fields: idle.into_iter().filter_map(own).collect(),
        };
        self.idle.insert(block.at, found);
    }

    fn found(&mut self, found: &Found) {
        for problem in &found.problems {
            let severity = if problem.error {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.add(severity, problem.at, "", "", "", &problem.problem);
        }
        for chain in &found.chains {
            self.chain(chain);
        }
        if self.plugins.is_empty() && self.metadata.is_empty() && self.problems.is_empty() {
            let at = Position { line: 1, column: 1 };
            let problem = "there are no settings of a Seawall filter in this file";
            self.add(Severity::Warning, at, "", "", "", problem);
        }
    }

    /// Filters that a request passes one after the other and that take each other's data for their own.
    fn twins(&mut self, chain: &Chain) {
        let key = |block: &Block| Some(block.settings.as_ref()?.get("key")?.json());
        for (at, plugin) in chain.plugins.iter().enumerate() {
            let mut earlier = chain.plugins.iter().take(at).filter(|other| {
                other.filter == plugin.filter && other.vm == plugin.vm && !other.off && !plugin.off
            });
            let harm = match plugin.filter {
                Filter::ResponseCache if earlier.next().is_some() => {
                    "requests for what is not stored wait for themselves, as long as coalesce.wait"
                }
                Filter::CircuitBreaker if earlier.any(|other| key(other) == key(plugin)) => {
                    "calls count twice, and an open breaker may never close"
                }
                _ => continue,
            };
            let name = plugin.filter.namespace();
            let problem = format!(
                "is not the first {name} of this chain with the vm_id {:?}: {harm}",
                plugin.vm
            );
            let place = "plugin configuration";
            self.add(Severity::Warning, plugin.at, name, place, "", &problem);
        }
    }

    fn chain(&mut self, chain: &Chain) {
        self.twins(chain);
        let around = Around::of(chain);
        for plugin in &chain.plugins {
            self.plugins.insert(plugin.at);
            self.block(plugin, "plugin configuration");
            let layered = layer(plugin.filter, Some(plugin), None, None);
            self.effects(plugin, "plugin configuration", &layered, &around);
            for (_, errors) in &layered.refused {
                for error in errors.iter() {
                    self.field(plugin, "plugin configuration", &error.path, &error.problem);
                }
            }
        }
        for host in &chain.hosts {
            let title = format!("virtual host {:?}", host.name);
            for block in &host.blocks {
                self.level(chain, block, &title);
            }
            for route in &host.routes {
                for block in &route.blocks {
                    self.level(chain, block, &route.title());
                }
            }
            for filter in Filter::ALL {
                let of_filter = chain
                    .plugins
                    .iter()
                    .filter(|plugin| plugin.filter == filter);
                let mut plugins: Vec<Option<&Block>> = of_filter.map(Some).collect();
                if plugins.is_empty() {
                    plugins.push(None);
                }
                for plugin in plugins {
                    for route in std::iter::once(None).chain(host.routes.iter().map(Some)) {
                        let layered = layer(filter, plugin, Some(host), route);
                        if let Some(plugin) = plugin {
                            self.effects(plugin, "plugin configuration", &layered, &around);
                            if let Some(route) = route {
                                self.chosen(plugin, host, route, &layered);
                            }
                        }
                        let block_of = |level: Level| {
                            let (blocks, title) = match (level, route) {
                                (Level::VirtualHost, _) => (&host.blocks, title.clone()),
                                (Level::Route, Some(route)) => (&route.blocks, route.title()),
                                _ => return None,
                            };
                            let mut blocks = blocks.iter();
                            let block = blocks.rfind(|block| block.filter == filter)?;
                            Some((block, title))
                        };
                        for (level, _) in &layered.levels {
                            if let Some((block, title)) = block_of(*level) {
                                self.effects(block, &title, &layered, &around);
                            }
                        }
                        for (level, errors) in &layered.refused {
                            let Some((block, title)) = block_of(*level) else {
                                continue;
                            };
                            for error in errors.iter() {
                                self.field(block, &title, &error.path, &error.problem);
                            }
                        }
                    }
                }
            }
        }
    }

    /// A route that requests choose by what the cache does not tell them apart by.
    fn chosen(&mut self, plugin: &Block, host: &Host, route: &Route, layered: &Layered) {
        let mut switches = route.switches.iter().chain(&host.switches);
        let own = switches.find(|(name, _)| *name == plugin.entry);
        let off = own.map_or(plugin.off, |(_, off)| *off)
            || layered.settings.get("enabled") == Some(&false.into());
        if plugin.filter != Filter::ResponseCache || off {
            return;
        }
        let name = plugin.filter.namespace();
        for (at, field) in unkeyed(route, &layered.settings) {
            let problem = format!(
                "lacks {field}, by which requests choose this route: what it answers is served to requests that would not take it"
            );
            let title = route.title();
            self.add(Severity::Warning, at, name, &title, "key.headers", &problem);
        }
    }

    /// Settings in metadata: whether anybody reads them.
    fn level(&mut self, chain: &Chain, block: &Block, title: &str) {
        self.metadata.insert(block.at);
        self.block(block, title);
        let name = block.filter.namespace();
        let mut plugins = chain
            .plugins
            .iter()
            .filter(|plugin| plugin.filter == block.filter)
            .peekable();
        let problem = if plugins.peek().is_none() {
            if chain.plugins.is_empty() && chain.partial {
                return;
            }
            format!("has no effect: {name} is not among the filters of this listener")
        } else if plugins.all(|plugin| {
            let off = settings(plugin)
                .ok()
                .and_then(|json| json.get("per_route").cloned());
            off == Some(false.into())
        }) {
            "has no effect: per_route is false in the plugin configuration".to_owned()
        } else {
            return;
        };
        self.add(Severity::Warning, block.at, name, title, "", &problem);
    }

    /// Fields that Envoy reads otherwise than it looks.
    fn block(&mut self, block: &Block, title: &str) {
        if let Some(node) = &block.settings {
            let mut odd = Vec::new();
            oddities(node, "", &mut odd);
            for (at, path, problem) in odd {
                self.add(
                    Severity::Warning,
                    at,
                    block.filter.namespace(),
                    title,
                    &path,
                    problem,
                );
            }
        }
    }

    fn field(&mut self, block: &Block, title: &str, path: &str, problem: &str) {
        let at = match &block.settings {
            Some(node) => match node.place(path) {
                // Nothing of it is here: where the settings begin says more than where their first field does.
                (place, false) if place == node.at => block.at,
                (place, _) => place,
            },
            None => block.at,
        };
        self.add(
            Severity::Error,
            at,
            block.filter.namespace(),
            title,
            path,
            problem,
        );
    }
}

fn oddities(node: &Node, path: &str, odd: &mut Vec<(Position, String, &'static str)>) {
    for (index, item) in node.items().iter().enumerate() {
        oddities(item, &format!("{path}[{index}]"), odd);
    }
    let mut earlier = BTreeSet::new();
    for field in node.fields() {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", field.name);
        if !earlier.insert(&field.name) {
            let problem = "is given twice; Envoy takes the last one";
            odd.push((field.at, path.clone(), problem));
        }
        if field.name == "<<" {
            let problem = "is a field like any other to Envoy, which merges nothing";
            odd.push((field.at, path.clone(), problem));
        }
        oddities(&field.value, &path, odd);
    }
}
