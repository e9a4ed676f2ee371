//! Which requests a limit, an exemption or an override is for.

mod pattern;

pub use pattern::Pattern;

use crate::key::Facts;
use seawall_core::host::Answer;
use seawall_core::network::Cidr;

/// What is asked of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRule {
    /// It is there, or it is not.
    Present(bool),
    /// Its first value matches one of these.
    Matches(Vec<Pattern>),
}

/// A request matches when everything that is given matches; of several values, one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Names of routes.
    pub routes: Vec<Pattern>,
    /// Hosts without ports.
    pub hosts: Vec<Pattern>,
    /// Paths without queries.
    pub paths: Vec<Pattern>,
    /// Methods.
    pub methods: Vec<Pattern>,
    /// Headers by name.
    pub headers: Vec<(String, HeaderRule)>,
    /// Client addresses.
    pub cidrs: Vec<Cidr>,
    /// The hops to trust for the client address.
    pub trusted_hops: u32,
}

fn any(patterns: &[Pattern], value: &[u8]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(value))
}

impl Rule {
    /// True when the request at hand is meant.
    ///
    /// # Errors
    /// When the host fails.
    pub fn matches(&self, facts: &Facts<'_>) -> Answer<bool> {
        if !self.methods.is_empty()
            && !any(&self.methods, &facts.header(":method")?.unwrap_or_default())
        {
            return Ok(false);
        }
        if !self.paths.is_empty() && !any(&self.paths, facts.path()?) {
            return Ok(false);
        }
        if !self.hosts.is_empty() && !any(&self.hosts, facts.host()?) {
            return Ok(false);
        }
        for (name, rule) in &self.headers {
            let value = facts.header(name)?;
            let holds = match (rule, value) {
                (HeaderRule::Present(wanted), value) => value.is_some() == *wanted,
                (HeaderRule::Matches(patterns), Some(value)) => any(patterns, &value),
                (HeaderRule::Matches(_), None) => false,
            };
            if !holds {
                return Ok(false);
            }
        }
        if !self.routes.is_empty() {
            let name = facts.property("xds\0route_name")?;
            if !any(&self.routes, &name.unwrap_or_default()) {
                return Ok(false);
            }
        }
        if !self.cidrs.is_empty() {
            let Some(client) = facts.client(self.trusted_hops)? else {
                return Ok(false);
            };
            return Ok(self.cidrs.iter().any(|range| range.contains(client)));
        }
        Ok(true)
    }

    /// How many headers it reads.
    pub fn headers_needed(&self) -> usize {
        let given = |given: bool| usize::from(given);
        self.headers
            .len()
            .saturating_add(given(!self.methods.is_empty()))
            .saturating_add(given(!self.paths.is_empty()))
            .saturating_add(given(!self.hosts.is_empty()))
            .saturating_add(given(!self.cidrs.is_empty() && self.trusted_hops > 0))
    }
}

/// True when one of the rules matches.
///
/// # Errors
/// When the host fails.
pub fn one_matches(rules: &[Rule], facts: &Facts<'_>) -> Answer<bool> {
    for rule in rules {
        if rule.matches(facts)? {
            return Ok(true);
        }
    }
    Ok(false)
}
