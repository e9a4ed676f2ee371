//! nginx's `limit_req_zone` and `limit_req`.

use super::{name, unused, Converted};
use serde_json::{json, Map, Value};

/// The most that a limit of rate-limit takes, and more than nginx counts.
const MOST_REQUESTS: u64 = 1_000_000_000;

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
    apply(&directives, &[], &zones, &mut converted)?;
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
            "binary_remote_addr" | "remote_addr" | "realip_remote_addr" => json!("client_address"),
            "host" | "http_host" => json!("host"),
            "uri" | "document_uri" => json!("path"),
            "request_uri" => {
                converted.remark("$request_uri has the query in it; the path without it is used");
                json!("path")
            }
            "request_method" => json!("method"),
            "server_name" => json!("host"),
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
    if parts.is_empty() {
        converted.remark(format!(
            "the key {key:?} has no variable in it: all requests share the limit"
        ));
    }
    parts
}

/// Limits that apply to a block: those of it, or else of the block around it.
fn apply(
    directives: &[Directive],
    around: &[Value],
    zones: &[Zone],
    converted: &mut Converted,
) -> Result<(), String> {
    let own = directives
        .iter()
        .filter(|directive| directive.words.first().map(String::as_str) == Some("limit_req"));
    let mut limits = Vec::new();
    for directive in own {
        let limit = limit(&directive.words, zones, &limits, converted)?;
        limits.push(limit);
    }
    let dry = directives
        .iter()
        .any(|directive| directive.words == ["limit_req_dry_run", "on"]);
    for limit in limits.iter_mut().filter(|_| dry) {
        limit["shadow"] = json!(true);
    }
    let inherited = limits.is_empty();
    let limits = if inherited { around.to_vec() } else { limits };
    for directive in directives {
        match directive.words.first().map(String::as_str) {
            Some("limit_req_status") => {
                let status = directive
                    .words
                    .get(1)
                    .and_then(|word| word.parse::<u32>().ok());
                converted
                    .settings
                    .insert("answer".to_owned(), json!({"status": status}));
            }
            Some("location") => {
                let own = directive
                    .inside
                    .iter()
                    .any(|inner| inner.words.first().map(String::as_str) == Some("limit_req"));
                let before = converted.limits.clone();
                apply(&directive.inside, &limits, zones, converted)?;
                if own {
                    let at = directive.words.get(1..).unwrap_or_default().join(" ");
                    let fresh: Vec<Value> = converted.limits.split_off(before.len());
                    converted
                        .routes
                        .push((format!("the route for location {at}"), fresh));
                }
            }
            _ => apply(&directive.inside, &limits, zones, converted)?,
        }
    }
    if !inherited {
        converted.limits.extend(limits);
    }
    Ok(())
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
        // nginx does not count a request whose key is empty.
        limit.insert("missing".to_owned(), json!("skip"));
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
    if !converted.settings.contains_key("answer") {
        // nginx's own default.
        converted
            .settings
            .insert("answer".to_owned(), json!({"status": 503}));
        converted.remark("nginx refuses with 503 where limit_req_status does not say otherwise; 429 is what clients understand");
    }
    Ok(Value::Object(limit))
}
