//! From the written form to settings: rules, key parts, and everything that is not a limit's numbers.

use super::answer::answers;
use super::limits::{limit, Frame};
use super::raw::{Address, Many, Raw, RawFleet, RawHeaderRule, RawHeaders, RawPart, RawRule};
use super::{Fleet, HeaderFields, Settings};
use crate::key::address::Prefixes;
use crate::key::Part;
use crate::rules::{HeaderRule, Pattern, Rule};
use crate::table::MOST;
use seawall_core::config::ConfigErrors;
use seawall_core::headers::is_of_token;
use seawall_core::network::Cidr;
use seawall_core::time::Span;
use std::cell::OnceCell;

/// More limits than this are a mistake.
const MOST_LIMITS: usize = 1_000;

/// Envoy's filter that verifies tokens, where its claims are left.
const JWT: &str = "envoy.filters.http.jwt_authn";

impl seawall_core::config::Settings for Settings {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.rate_limit";
    const PLUGIN_ONLY: &'static [&'static str] = &["max_keys", "per_route"];

    fn validate(raw: Raw, errors: &mut ConfigErrors) -> Self {
        let address = raw.client_address.unwrap_or_default();
        check_address(&address, "client_address", errors);
        let frame = Frame {
            replicas: within(raw.replicas, 1, 1, 10_000, "replicas", errors),
            trusted_hops: address.trusted_hops.unwrap_or_default(),
            prefixes: prefixes(&address, Prefixes::default()),
            jwt_payload: not_empty(raw.jwt_payload, "jwt_payload", "jwt_payload", errors),
            fleet: raw.fleet.is_some(),
            send_numbers: raw
                .fleet
                .as_ref()
                .is_none_or(|fleet| fleet.send_numbers.unwrap_or(true)),
        };
        let fleet = raw.fleet.map(|raw| fleet(raw, errors));
        let raw_limits = raw.limits.unwrap_or_default();
        let mut keys: Vec<Vec<Part>> = Vec::with_capacity(1);
        // Room for no more than there are: a worker keeps the settings of every route.
        let mut limits = Vec::with_capacity(raw_limits.len());
        for (index, raw) in raw_limits.into_iter().enumerate() {
            let path = format!("limits[{index}]");
            let limit = limit(raw, &path, &frame, &mut keys, errors);
            if limits
                .iter()
                .any(|other: &super::Limit| other.name == limit.name)
            {
                let problem = format!("is the name of another limit, got \"{}\"", limit.name);
                errors.add(format!("{path}.name"), problem);
            }
            limits.push(limit);
        }
        let entries_of = |limits: &mut dyn Iterator<Item = &super::Limit>| {
            let of = |limit: &super::Limit| if limit.penalty.is_some() { 2 } else { 1 };
            limits.map(of).fold(0, usize::saturating_add)
        };
        let entries = entries_of(&mut limits.iter());
        let always = entries_of(&mut limits.iter().filter(|limit| limit.matches.is_empty()));
        if always > MOST {
            let problem = format!(
                "must be at most {MOST} for one request, those with a penalty counting twice, got {always} without `match`"
            );
            errors.add("limits", problem);
        }
        if limits.len() > MOST_LIMITS {
            let problem = format!("must be at most {MOST_LIMITS} limits, got {}", limits.len());
            errors.add("limits", problem);
        }
        let exempt = rules(raw.exempt, "exempt", &frame, errors);
        let sole = match limits.as_slice() {
            [limit] if exempt.is_empty() && limit.is_ordinary() => Some(OnceCell::new()),
            _ => None,
        };
        let mut settings = Settings {
            enabled: raw.enabled.unwrap_or(true),
            valued: (0..keys.len())
                .map(|key| {
                    let mut of_key = limits.iter().filter(|limit| limit.key == key);
                    of_key.any(super::Limit::needs_values)
                })
                .collect(),
            entries: entries.min(MOST),
            hashers: if sole.is_some() {
                Vec::new()
            } else {
                vec![OnceCell::new(); keys.len()]
            },
            sole,
            limits,
            keys,
            exempt,
            max_keys: within(raw.max_keys, 262_144, 16, 16_777_216, "max_keys", errors),
            on_error: raw.on_error.unwrap_or_default(),
            headers: match raw.headers.unwrap_or(RawHeaders::Ietf) {
                RawHeaders::Ietf => fields(true, false),
                RawHeaders::XRatelimit => fields(false, true),
                RawHeaders::Both => fields(true, true),
                RawHeaders::None => fields(false, false),
            },
            answers: answers(raw.answer.unwrap_or_default(), errors),
            fleet,
            access_log: raw.access_log.unwrap_or(false),
            per_route: raw.per_route.unwrap_or(true),
            headers_needed: 0,
        };
        settings.headers_needed = headers_needed(&settings);
        settings
    }
}

fn fleet(raw: RawFleet, errors: &mut ConfigErrors) -> Fleet {
    let cluster = raw.cluster.unwrap_or_default();
    if cluster.is_empty() {
        errors.add(
            "fleet.cluster",
            "must be the name of the cluster that the rate limit service is in, got \"\"",
        );
    }
    let domain = not_empty(raw.domain, "seawall", "fleet.domain", errors);
    let millis = Span::from_millis;
    let timeout = within(
        raw.timeout,
        millis(100),
        millis(1),
        millis(60_000),
        "fleet.timeout",
        errors,
    );
    Fleet {
        cluster,
        domain,
        timeout,
        on_error: raw.on_error.unwrap_or_default(),
        max_waiting: within(
            raw.max_waiting,
            1_024,
            1,
            65_536,
            "fleet.max_waiting",
            errors,
        ),
        remember: within(
            raw.remember,
            millis(1_000),
            Span::ZERO,
            millis(3_600_000),
            "fleet.remember",
            errors,
        ),
    }
}

/// A text that says something, or its default.
fn not_empty(
    value: Option<String>,
    default: &str,
    path: &str,
    errors: &mut ConfigErrors,
) -> String {
    if value.as_deref() == Some("") {
        errors.add(path, "must not be empty, got \"\"");
    }
    value.unwrap_or_else(|| default.to_owned())
}

fn fields(ietf: bool, x_ratelimit: bool) -> HeaderFields {
    HeaderFields { ietf, x_ratelimit }
}

fn headers_needed(settings: &Settings) -> usize {
    let of_part = |part: &Part| match part {
        Part::Header(_) | Part::Cookie(_) | Part::Query(_) | Part::Method | Part::Host => 1,
        Part::Path | Part::PathPrefix(_) | Part::PathSegment(_) => 1,
        Part::ClientAddress { trusted_hops, .. } => usize::from(*trusted_hops > 0),
        _ => 0,
    };
    let parts = settings.keys.iter().flatten().map(of_part);
    let overrides = settings.limits.iter().flat_map(|limit| &limit.overrides);
    let rules = settings
        .limits
        .iter()
        .flat_map(|limit| limit.matches.iter().chain(&limit.exempt))
        .chain(&settings.exempt)
        .chain(overrides.flat_map(|tier| &tier.matches))
        .map(Rule::headers_needed);
    let costs = settings.limits.iter().map(|limit| match limit.cost {
        super::Cost::Fixed(_) => 0,
        super::Cost::Header { .. } => 1,
    });
    parts
        .chain(rules)
        .chain(costs)
        .fold(0, usize::saturating_add)
}

/// A number in a range, or its default.
pub(super) fn within<T: PartialOrd + std::fmt::Display + Copy>(
    value: Option<T>,
    default: T,
    least: T,
    most: T,
    path: &str,
    errors: &mut ConfigErrors,
) -> T {
    match value {
        Some(value) if value < least || value > most => {
            errors.add(path, format!("must be from {least} to {most}, got {value}"));
            default
        }
        Some(value) => value,
        None => default,
    }
}

fn check_address(address: &Address, path: &str, errors: &mut ConfigErrors) {
    within(
        address.trusted_hops,
        0,
        0,
        32,
        &format!("{path}.trusted_hops"),
        errors,
    );
    within(
        address.ipv4_prefix,
        32,
        0,
        32,
        &format!("{path}.ipv4_prefix"),
        errors,
    );
    within(
        address.ipv6_prefix,
        64,
        0,
        128,
        &format!("{path}.ipv6_prefix"),
        errors,
    );
}

fn prefixes(address: &Address, below: Prefixes) -> Prefixes {
    Prefixes {
        ipv4: address.ipv4_prefix.unwrap_or(below.ipv4),
        ipv6: address.ipv6_prefix.unwrap_or(below.ipv6),
    }
}

/// The name of a header, in lower case.
pub(super) fn header_name(name: String, path: &str, errors: &mut ConfigErrors) -> String {
    let token = |byte: u8| is_of_token(byte) || byte == b':';
    if name.is_empty() || !name.bytes().all(token) {
        errors.add(path, format!("must be the name of a header, got {name:?}"));
    }
    name.to_ascii_lowercase()
}

/// One part of a key.
pub(super) fn part(raw: RawPart, path: &str, frame: &Frame, errors: &mut ConfigErrors) -> Part {
    let raw = raw.0;
    let mut found: Vec<Part> = Vec::new();
    let text = |value: Option<String>, field: &str, errors: &mut ConfigErrors| {
        if value.as_deref() == Some("") {
            errors.add(format!("{path}.{field}"), "must not be empty, got \"\"");
        }
        value
    };
    let header = raw
        .header
        .map(|name| Part::Header(header_name(name, &format!("{path}.header"), errors)));
    found.extend(header);
    found.extend(text(raw.cookie, "cookie", errors).map(Part::Cookie));
    found.extend(text(raw.query, "query", errors).map(Part::Query));
    found.extend(text(raw.constant, "constant", errors).map(Part::Constant));
    if let Some(address) = raw.client_address {
        check_address(&address, &format!("{path}.client_address"), errors);
        found.push(Part::ClientAddress {
            trusted_hops: address.trusted_hops.unwrap_or(frame.trusted_hops),
            prefixes: prefixes(&address, frame.prefixes),
        });
    }
    let number = |value: Option<u32>, field: &str, errors: &mut ConfigErrors| {
        value
            .map(|value| within(Some(value), 1, 1, 64, &format!("{path}.{field}"), errors) as usize)
    };
    found.extend(number(raw.path_prefix, "path_prefix", errors).map(Part::PathPrefix));
    found.extend(number(raw.path_segment, "path_segment", errors).map(Part::PathSegment));
    if let Some(Many(claim)) = raw.jwt_claim {
        if claim.is_empty() || claim.iter().any(String::is_empty) {
            let problem = format!("must be the name of a claim or the path to it, got {claim:?}");
            errors.add(format!("{path}.jwt_claim"), problem);
        }
        let place = ["metadata", "filter_metadata", JWT, &frame.jwt_payload];
        found.push(Part::Claim(
            place.map(str::to_owned).into_iter().chain(claim).collect(),
        ));
    }
    for (given, word, part) in [
        (raw.path, "path", Part::Path),
        (raw.method, "method", Part::Method),
        (raw.host, "host", Part::Host),
        (raw.route, "route", Part::Route),
        (raw.cluster, "cluster", Part::Cluster),
    ] {
        match given {
            Some(true) => found.push(part),
            Some(false) => errors.add(format!("{path}.{word}"), "must be true, got false"),
            None => {}
        }
    }
    if found.len() != 1 {
        let problem = format!("must have exactly one field, got {}", found.len());
        errors.add(path, problem);
    }
    found.pop().unwrap_or(Part::Path)
}

/// Rules, all of them with at least one condition.
pub(super) fn rules(
    raw: Option<Many<RawRule>>,
    path: &str,
    frame: &Frame,
    errors: &mut ConfigErrors,
) -> Vec<Rule> {
    let raw = raw.unwrap_or_default().0;
    let single = raw.len() == 1;
    raw.into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let path = if single {
                path.to_owned()
            } else {
                format!("{path}[{index}]")
            };
            rule(raw, &path, frame, errors)
        })
        .collect()
}

fn rule(raw: RawRule, path: &str, frame: &Frame, errors: &mut ConfigErrors) -> Rule {
    // What is wrong is a condition as well, and reported as what it is.
    let conditions = [&raw.route, &raw.host, &raw.path, &raw.method, &raw.cidr];
    let given = |values: &Option<Many<String>>| {
        values
            .as_ref()
            .is_some_and(|Many(values)| !values.is_empty())
    };
    let has_headers = raw.header.as_ref().is_some_and(|names| !names.is_empty());
    if !has_headers && !conditions.into_iter().any(given) {
        errors.add(
            path,
            "must have a condition: `route`, `host`, `path`, `method`, `header` or `cidr`",
        );
    }
    can_hold(&raw, path, errors);
    let mut headers = Vec::new();
    for (name, wanted) in raw.header.unwrap_or_default() {
        let path = format!("{path}.header.{name}");
        let rule = match wanted {
            RawHeaderRule::Present(present) => HeaderRule::Present(present),
            RawHeaderRule::Matches(values) => {
                HeaderRule::Matches(patterns(Some(values), &path, errors))
            }
        };
        headers.push((header_name(name, &path, errors), rule));
    }
    let mut cidrs = Vec::new();
    for text in raw.cidr.unwrap_or_default().0 {
        match Cidr::parse(&text) {
            Some(cidr) => cidrs.push(cidr),
            None => errors.add(
                format!("{path}.cidr"),
                format!("must be {}, got {text:?}", Cidr::ALLOWED),
            ),
        }
    }
    let mut of = |values, field: &str| patterns(values, &format!("{path}.{field}"), errors);
    Rule {
        routes: of(raw.route, "route"),
        hosts: of(raw.host, "host")
            .into_iter()
            .map(Pattern::lower)
            .collect(),
        paths: of(raw.path, "path"),
        methods: of(raw.method, "method"),
        headers,
        cidrs,
        trusted_hops: frame.trusted_hops,
    }
}

/// Refuses what can never hold: a limit would silently be for nobody, and so would an exemption.
fn can_hold(raw: &RawRule, path: &str, errors: &mut ConfigErrors) {
    let mut refuse = |field: &str, values: &Option<Many<String>>, check: fn(&str) -> bool, must| {
        for text in values.iter().flat_map(|Many(values)| values) {
            if !check(text) {
                errors.add(
                    format!("{path}.{field}"),
                    format!("must {must}, got {text:?}"),
                );
            }
        }
    };
    let is_path = |text: &str| text.starts_with(['/', '*']) && !text.contains('?');
    refuse(
        "path",
        &raw.path,
        is_path,
        "begin with `/` or `*` and have no query",
    );
    refuse("host", &raw.host, has_no_port, "have no port");
    let is_method = |text: &str| {
        let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
        !(lower && METHODS.iter().any(|known| text.eq_ignore_ascii_case(known)))
    };
    refuse("method", &raw.method, is_method, "be in capitals");
}

/// The methods of HTTP, whose case matters. Others may be in whatever case.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// False for a host with a port, and for anything with one. Within an address in brackets a colon is none.
fn has_no_port(host: &str) -> bool {
    let Some((name, port)) = host.rsplit_once(':') else {
        return true;
    };
    let is_name = name.ends_with(']') || !name.contains([':', '[']);
    let is_port = port
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'*');
    !(is_name && is_port)
}

fn patterns(values: Option<Many<String>>, path: &str, errors: &mut ConfigErrors) -> Vec<Pattern> {
    let mut read = Vec::new();
    for text in values.unwrap_or_default().0 {
        match Pattern::read(&text) {
            Some(pattern) => read.push(pattern),
            None => errors.add(
                path,
                format!("may have `*` at its start and its end only, got {text:?}"),
            ),
        }
    }
    read
}
