//! The levels of settings of a filter on a route, laid over each other as the filter does it.

use crate::envoy::{Block, Host, Route};
use crate::filters::Filter;
use seawall_core::config::{parse, ConfigError, ConfigErrors};
use serde_json::{json, Value};

/// Where settings stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// In the plugin configuration.
    Plugin,
    /// In the metadata of the virtual host.
    VirtualHost,
    /// In the metadata of the route.
    Route,
}

impl Level {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Plugin => "plugin",
            Level::VirtualHost => "virtual host",
            Level::Route => "route",
        }
    }
}

/// The settings of a filter on a route.
#[derive(Debug)]
pub struct Layered {
    /// What applies.
    pub settings: Value,
    /// The levels that it is made of, from below.
    pub levels: Vec<(Level, Value)>,
    /// What is wrong with a level, which then does not count.
    pub refused: Vec<(Level, ConfigErrors)>,
}

/// The settings of a block, with whole numbers where a `Struct` has doubles.
///
/// # Errors
/// Something that is not an object.
pub fn settings(block: &Block) -> Result<Value, ConfigErrors> {
    let json = block.settings.as_ref().map(|node| node.json());
    parse(json.unwrap_or_else(|| json!({})).to_string().as_bytes())
}

/// Lays the levels of a filter over each other. Without a plugin, what is below is empty.
pub fn layer(
    filter: Filter,
    plugin: Option<&Block>,
    host: Option<&Host>,
    route: Option<&Route>,
) -> Layered {
    let mut layered = Layered {
        settings: json!({}),
        levels: Vec::new(),
        refused: Vec::new(),
    };
    let mut known: Vec<ConfigError> = Vec::new();
    if let Some(block) = plugin {
        match settings(block) {
            Ok(json) => {
                known = filter.check(&json).into_iter().collect();
                layered.settings = json.clone();
                layered.levels.push((Level::Plugin, json));
            }
            Err(errors) => layered.refused.push((Level::Plugin, errors)),
        }
        if !known.is_empty() {
            let mut errors = ConfigErrors::default();
            for error in &known {
                errors.add(error.path.clone(), error.problem.clone());
            }
            layered.refused.push((Level::Plugin, errors));
        }
    }
    if layered.settings.get("per_route") == Some(&json!(false)) {
        return layered;
    }
    let hosts = host.map(|host| host.blocks.as_slice()).unwrap_or_default();
    let routes = route
        .map(|route| route.blocks.as_slice())
        .unwrap_or_default();
    for (level, blocks) in [(Level::VirtualHost, hosts), (Level::Route, routes)] {
        // Of a name that is there twice, the last one counts.
        let Some(block) = blocks.iter().rfind(|block| block.filter == filter) else {
            continue;
        };
        match settings(block).and_then(|json| {
            let merged = filter.lay(&layered.settings, &json)?;
            Ok((json, merged))
        }) {
            Ok((json, merged)) => {
                layered.settings = merged;
                layered.levels.push((level, json));
            }
            Err(errors) => {
                // What is wrong below is said there.
                let mut own = ConfigErrors::default();
                for error in errors {
                    if !known.contains(&error) {
                        own.add(error.path, error.problem);
                    }
                }
                if !own.is_empty() {
                    layered.refused.push((level, own));
                }
            }
        }
    }
    layered
}

/// The level that a field comes from: the last one that has it.
pub fn origin(layered: &Layered, path: &[String]) -> Level {
    let has = |json: &Value| {
        path.iter()
            .try_fold(json, |value, name| value.get(name))
            .is_some()
    };
    let found = layered.levels.iter().rev().find(|(_, json)| has(json));
    found.map_or(Level::Plugin, |(level, _)| *level)
}
