//! The Seawall blocks of an Envoy configuration or of a Kubernetes manifest, and the routes that they are for.

mod base64;
mod clusters;
mod configuration;
mod fraction;
mod ids;
mod manager;
mod manifest;
mod metadata;
mod plugin;
mod walk;

pub use fraction::percent;
pub use manager::Manager;
pub use walk::find;

use crate::document::{Field, Node, Position};
use crate::filters::Filter;
use std::rc::Rc;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found {
    /// The chains of filters with the routes behind them.
    pub chains: Vec<Chain>,
    /// What is wrong with the way things are configured, whatever the settings say.
    pub problems: Vec<Misplaced>,
}

/// A chain of filters, and the virtual hosts that requests meet behind it.
#[derive(Debug, Default)]
pub struct Chain {
    /// What the listener or its statistics are called; empty where it has no name.
    pub name: String,
    /// The plugins in order.
    pub plugins: Vec<Block>,
    /// The virtual hosts in order.
    pub hosts: Vec<Host>,
    /// The routes come from elsewhere, or the chain does.
    pub partial: bool,
    /// What happens to a request before its route is looked for.
    pub manager: Manager,
}

/// Settings of a filter, in one place.
#[derive(Debug, Clone)]
pub struct Block {
    /// Whose.
    pub filter: Filter,
    /// Where the settings, or what should hold them, begin.
    pub at: Position,
    /// The settings; none where there are none.
    pub settings: Option<Rc<Node>>,
    /// The name of a plugin's entry in the chain, by which it is switched on and off.
    pub entry: String,
    /// The `vm_id` of a plugin: those with the same one share their data.
    pub vm: String,
    /// The entry is switched off where nothing says otherwise.
    pub off: bool,
}

impl Block {
    /// None of its settings are there.
    fn empty(filter: Filter, at: Position) -> Self {
        Block {
            filter,
            at,
            settings: None,
            entry: String::new(),
            vm: String::new(),
            off: false,
        }
    }

    /// The field holds its settings.
    fn holding(filter: Filter, field: &Field) -> Self {
        let settings = Some(Rc::clone(&field.value));
        Block {
            settings,
            ..Block::empty(filter, field.at)
        }
    }
}

/// Whether entries of the chain are switched off, by their names.
pub type Switches = Vec<(String, bool)>;

/// A virtual host.
#[derive(Debug, Default)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its domains.
    pub domains: Vec<String>,
    /// Settings in its metadata.
    pub blocks: Vec<Block>,
    /// Filters that are switched on or off for it, or for all virtual hosts.
    pub switches: Switches,
    /// It is for TLS alone.
    pub requires_tls: bool,
    /// Its routes in order.
    pub routes: Vec<Route>,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Its name; empty when it has none.
    pub name: String,
    /// Which one of its virtual host, from 1.
    pub number: usize,
    /// The route as it is written.
    pub node: Rc<Node>,
    /// Settings in its metadata.
    pub blocks: Vec<Block>,
    /// Filters that are switched on or off for it.
    pub switches: Switches,
}

/// A Seawall block where it has no effect or cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub problem: String,
    /// Envoy, or the filter, refuses it; otherwise it merely has no effect.
    pub error: bool,
}

impl Route {
    /// How to speak of it.
    pub fn title(&self) -> String {
        if self.name.is_empty() {
            format!("route number {}", self.number)
        } else {
            format!("route {:?}", self.name)
        }
    }
}
