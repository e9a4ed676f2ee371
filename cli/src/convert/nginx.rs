//! nginx's `limit_req_zone` and `limit_req`.

use super::{address, name, unused, Converted, MOST_REQUESTS};
use serde_json::{json, Map, Value};

/// What stands for the name of a server until it is known which one it is.
const SERVER_NAME: &str = "$server_name";

/// Blocks in blocks; nginx has a handful.
const DEEPEST: usize = 64;

/// A part of the text: a sign only where it is not in quotes, as in a `log_format` that writes JSON.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    /// `;`, `{` or `}`.
    Sign(char),
}

/// A directive with what is in its braces.
#[derive(Debug)]
struct Directive {
    words: Vec<String>,
    inside: Vec<Directive>,
}

/// A zone.
#[derive(Debug, Clone)]
struct Zone {
    name: String,
    key: Vec<Value>,
    requests: u64,
    per: &'static str,
}

/// Converts the limits of an nginx configuration.
///
/// # Errors
/// What is not such a configuration, or has no limits.
pub fn nginx(text: &str) -> Result<Converted, String> {
    let directives = block(&mut tokens(text)?.into_iter(), 0)?;
    let mut converted = Converted::default();
    let mut zones = Vec::new();
    collect(&directives, &mut zones, &mut converted)?;
    if zones.is_empty() {
        return Err("there is no limit_req_zone in this configuration".to_owned());
    }
    let everywhere = apply(&directives, &Around::default(), &zones, &mut converted)?;
    converted.limits = everywhere.limits();
    if let Some(status) = everywhere.status {
        converted
            .settings
            .insert("answer".to_owned(), json!({ "status": status }));
    } else if !(converted.limits.is_empty() && converted.routes.is_empty()) {
        // nginx's own default.
        converted
            .settings
            .insert("answer".to_owned(), json!({"status": 503}));
        converted.remark("nginx refuses with 503 where limit_req_status does not say otherwise; 429 is what clients understand");
    }
    for zone in &zones {
        let named = |limit: &&Value| limit["name"] == name(&zone.name);
        let limits = converted
            .routes
            .iter()
            .filter_map(|(_, settings)| settings.get("limits"));
        let limits = limits.filter_map(Value::as_array).flatten();
        let mut bursts = limits
            .chain(&converted.limits)
            .filter(named)
            .map(|limit| &limit["burst"]);
        let first = bursts.next();
        if bursts.any(|burst| Some(burst) != first) {
            converted.remark(format!(
                "zone {} is used with different bursts, which nginx counts together; here a limit with other numbers counts for itself",
                zone.name
            ));
        }
    }
    if converted.limits.is_empty() && converted.routes.is_empty() {
        converted.remark("no limit_req uses the zones: there is nothing to limit");
    }
    Ok(converted)
}

/// Words and signs. Comments are gone.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    let mut word = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_empty() => {
                letters.by_ref().find(|letter| *letter == '\n');
            }
            // `${name}` is a variable, not a block.
            '{' if word.ends_with('$') => {
                word.push(letter);
                for letter in letters.by_ref() {
                    word.push(letter);
                    if letter == '}' {
                        break;
                    }
                }
            }
            ';' | '{' | '}' => {
                if !word.is_empty() {
                    tokens.push(Token::Word(std::mem::take(&mut word)));
                }
                tokens.push(Token::Sign(letter));
            }
            '"' | '\'' if word.is_empty() => {
                let mut closed = false;
                while let Some(inside) = letters.next() {
                    match inside {
                        '\\' => word.extend(letters.next()),
                        _ if inside == letter => {
                            closed = true;
                            break;
                        }
                        _ => word.push(inside),
                    }
                }
                if !closed {
                    return Err(format!("a text that begins with {letter} does not end"));
                }
                tokens.push(Token::Word(std::mem::take(&mut word)));
            }
            _ if letter.is_whitespace() => {
                if !word.is_empty() {
                    tokens.push(Token::Word(std::mem::take(&mut word)));
                }
            }
            _ => word.push(letter),
        }
    }
    if !word.is_empty() {
        tokens.push(Token::Word(word));
    }
    Ok(tokens)
}

fn block(tokens: &mut impl Iterator<Item = Token>, depth: usize) -> Result<Vec<Directive>, String> {
    if depth > DEEPEST {
        return Err(format!("more than {DEEPEST} blocks in each other"));
    }
    let mut directives = Vec::new();
    let mut current = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Sign(';') => directives.push(Directive {
                words: std::mem::take(&mut current),
                inside: Vec::new(),
            }),
            Token::Sign('{') => directives.push(Directive {
                words: std::mem::take(&mut current),
                inside: block(tokens, depth + 1)?,
            }),
            Token::Sign(_) if depth > 0 => return Ok(directives),
            Token::Sign(_) => return Err("a } closes nothing".to_owned()),
            Token::Word(word) => current.push(word),
        }
    }
    if depth > 0 || !current.is_empty() {
        return Err("the configuration ends within a directive or a block".to_owned());
    }
    Ok(directives)
}

fn collect(
    directives: &[Directive],
    zones: &mut Vec<Zone>,
    converted: &mut Converted,
) -> Result<(), String> {
    for directive in directives {
        if directive.words.first().map(String::as_str) == Some("limit_req_zone") {
            let zone = zone(&directive.words, converted)?;
            zones.push(zone);
        }
        if directive.is("limit_conn") {
            converted.remark(
                "limit_conn is not converted: a limit with `concurrent` is what it is here",
            );
        }
        collect(&directive.inside, zones, converted)?;
    }
    Ok(())
}

fn zone(words: &[String], converted: &mut Converted) -> Result<Zone, String> {
    let line = words.join(" ");
    let option = |name: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(key), Some(zone), Some(rate)) = (words.get(1), option("zone"), option("rate")) else {
        return Err(format!("{line}: needs a key, zone= and rate="));
    };
    let (requests, per) = match (rate.strip_suffix("r/s"), rate.strip_suffix("r/m")) {
        (Some(number), _) => (number, "1s"),
        (_, Some(number)) => (number, "1m"),
        _ => return Err(format!("{line}: a rate ends in r/s or r/m")),
    };
    let requests = requests
        .parse()
        .ok()
        .filter(|requests| (1..=MOST_REQUESTS).contains(requests))
        .ok_or_else(|| format!("{line}: the rate must be from 1 to {MOST_REQUESTS}"))?;
    Ok(Zone {
        name: zone.split(':').next().unwrap_or(zone).to_owned(),
        key: parts(key, converted),
        requests,
        per,
    })
}

/// The variables of a key as parts.
fn parts(key: &str, converted: &mut Converted) -> Vec<Value> {
    let mut parts = Vec::new();
    for variable in key.split('$').skip(1) {
        let variable = variable.trim_start_matches('{');
        let end = variable.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let variable = &variable[..end.unwrap_or(variable.len())];
        let field = |prefix: &str| {
            variable
                .strip_prefix(prefix)
                .filter(|name| !name.is_empty())
        };
        let part = match variable {
            "binary_remote_addr" | "remote_addr" => address(),
            "realip_remote_addr" => {
                converted.remark("$realip_remote_addr is the connection's other end; client_address is that while the connection manager has use_remote_address: true and no xff_num_trusted_hops");
                address()
            }
            "host" | "http_host" => json!("host"),
            "uri" | "document_uri" => json!("path"),
            "request_uri" => {
                converted.remark("$request_uri has the query in it; the path without it is used");
                json!("path")
            }
            "request_method" => json!("method"),
            "server_name" => {
                converted.remark("$server_name is the name of the server's block, whatever host a request is for: it is a constant here");
                json!({"constant": SERVER_NAME})
            }
            _ => match (field("http_"), field("cookie_"), field("arg_")) {
                (Some(name), _, _) => json!({"header": name.replace('_', "-")}),
                (_, Some(name), _) => json!({"cookie": name}),
                (_, _, Some(name)) => json!({"query": name}),
                _ => {
                    converted.remark(format!(
                        "${variable} is not known here; the header {:?} is used, which something must set",
                        variable.replace('_', "-")
                    ));
                    json!({"header": variable.replace('_', "-")})
                }
            },
        };
        parts.push(part);
    }
    let may_be_empty = |part: &Value| {
        part.is_object() && part.get("client_address").is_none() && part.get("constant").is_none()
    };
    if parts.len() > 1 && parts.iter().all(may_be_empty) {
        converted.remark(format!(
            "nginx does not count a request in which all of {key:?} is empty; here those share one limit"
        ));
    }
    if parts.is_empty() {
        converted.remark(format!(
            "the key {key:?} has no variable in it: all requests share the limit"
        ));
    }
    parts
}

/// What applies in a block, where the block itself does not say otherwise.
#[derive(Debug, Clone, Default)]
struct Around {
    limits: Vec<Value>,
    /// Requests are counted and none is refused.
    dry: bool,
    status: Option<u32>,
    /// The server that the block is in, where there are several.
    server: Option<String>,
    /// The name of the server that the block is in.
    server_name: Option<String>,
}

/// The first word after the name of a directive that stands in the block itself.
fn argument<'d>(directives: &'d [Directive], name: &str) -> Option<&'d str> {
    let words = directives.iter().map(|directive| &directive.words);
    let mut named = words.filter(|words| words.first().map(String::as_str) == Some(name));
    Some(named.next()?.get(1).map_or("", String::as_str))
}

/// Limits that apply to a block: those of it, or else of the block around it.
fn apply(
    directives: &[Directive],
    around: &Around,
    zones: &[Zone],
    converted: &mut Converted,
) -> Result<Around, String> {
    let mut here = around.clone();
    if let Some(dry) = argument(directives, "limit_req_dry_run") {
        here.dry = dry == "on";
    }
    if let Some(status) = argument(directives, "limit_req_status") {
        here.status = status.parse().ok();
    }
    if argument(directives, "limit_req").is_some() {
        here.limits = Vec::new();
        for directive in directives {
            if directive.words.first().map(String::as_str) == Some("limit_req") {
                let limit = limit(&directive.words, zones, &here.limits, converted)?;
                here.limits.push(limit);
            }
        }
    }
    for directive in directives {
        let kind = directive.words.first().map(String::as_str);
        let servers = || directives.iter().filter(|other| other.is("server")).count();
        let mut inner = here.clone();
        if kind == Some("server") {
            inner.server_name = argument(&directive.inside, "server_name").map(str::to_owned);
        }
        if kind == Some("server") && servers() > 1 {
            let called = argument(&directive.inside, "server_name");
            let called = called.or_else(|| argument(&directive.inside, "listen"));
            inner.server = Some(called.unwrap_or_default().to_owned());
        }
        let inside = apply(&directive.inside, &inner, zones, converted)?;
        let title = match (kind, &inside.server) {
            (Some("location"), server) => {
                let at = directive.words.get(1..).unwrap_or_default().join(" ");
                let server = server.as_ref().map(|server| format!(" of server {server}"));
                let server = server.unwrap_or_default();
                Some(format!("the route for location {at}{server}"))
            }
            (Some("server"), Some(server)) => Some(format!("the virtual host for {server}")),
            _ => None,
        };
        match title {
            Some(title) => {
                let settings = inside.differing(&here);
                if !settings.is_empty() {
                    converted.routes.push((title, settings));
                }
            }
            // What holds in the only server holds everywhere.
            None if matches!(kind, Some("http" | "server")) => here = inside,
            None => {}
        }
    }
    Ok(here)
}

impl Directive {
    fn is(&self, name: &str) -> bool {
        self.words.first().map(String::as_str) == Some(name)
    }
}

impl Around {
    /// The limits as they are counted here.
    fn limits(&self) -> Vec<Value> {
        let mut limits = self.limits.clone();
        for limit in &mut limits {
            if self.dry {
                limit["shadow"] = json!(true);
            }
            let parts = limit.get_mut("key").and_then(Value::as_array_mut);
            for part in parts.into_iter().flatten() {
                if part["constant"] == SERVER_NAME {
                    let named = self.server_name.as_deref().filter(|name| !name.is_empty());
                    part["constant"] = json!(named.unwrap_or("server"));
                }
            }
        }
        limits
    }

    /// What to set here, where other things hold around it.
    fn differing(&self, around: &Around) -> Map<String, Value> {
        let mut settings = Map::new();
        let limits = self.limits();
        if limits != around.limits() {
            settings.insert("limits".to_owned(), json!(limits));
        }
        if self.status != around.status && !limits.is_empty() {
            settings.insert("answer".to_owned(), json!({"status": self.status}));
        }
        settings
    }
}

fn limit(
    words: &[String],
    zones: &[Zone],
    others: &[Value],
    converted: &mut Converted,
) -> Result<Value, String> {
    let line = words.join(" ");
    let option = |name: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let wanted = option("zone").ok_or_else(|| format!("{line}: needs zone="))?;
    let zone = zones
        .iter()
        .find(|zone| zone.name == wanted)
        .ok_or_else(|| format!("{line}: there is no limit_req_zone called {wanted:?}"))?;
    let burst: u64 = match option("burst") {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{line}: the burst is not a number"))?,
        None => 0,
    };
    let mut limit = Map::new();
    limit.insert("name".to_owned(), json!(unused(&name(&zone.name), others)));
    if !zone.key.is_empty() {
        limit.insert("key".to_owned(), json!(zone.key));
        // nginx does not count a request whose key is empty; of several variables all must be.
        let is_constant = |part: &Value| part.get("constant").is_some();
        if zone.key.len() == 1 && !zone.key.iter().any(is_constant) {
            limit.insert("missing".to_owned(), json!("skip"));
        }
    }
    limit.insert("requests".to_owned(), json!(zone.requests));
    limit.insert("per".to_owned(), json!(zone.per));
    // nginx admits one, and `burst` beyond the rate.
    limit.insert("burst".to_owned(), json!(burst.saturating_add(1)));
    let delayed = burst > 0 && !words.iter().any(|word| word == "nodelay");
    if delayed {
        converted.remark(format!(
            "zone {wanted}: without nodelay nginx holds requests of the burst back; here they pass at once, and what is beyond is refused"
        ));
    }
    Ok(Value::Object(limit))
}
