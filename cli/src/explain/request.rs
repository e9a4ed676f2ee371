//! The request to explain, from the command line.

use crate::args::Explain;
use std::fmt;
use std::net::IpAddr;

/// A request, and what the upstream would answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The host, lower case.
    pub host: String,
    /// Who sends it.
    pub client: IpAddr,
    /// All fields, with the pseudo-fields first.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The status of the answer.
    pub status: u16,
    /// The fields of the answer.
    pub answer: Vec<(String, String)>,
}

impl Request {
    /// Reads it.
    ///
    /// # Errors
    /// What is no request, or no field.
    pub fn new(args: &Explain) -> Result<Self, String> {
        let mut words = args.request.split_whitespace();
        let (Some(method), Some(target), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!(
                "--request must be a method and a path such as 'GET /orders', got {:?}",
                args.request
            ));
        };
        if !target.starts_with('/') {
            return Err(format!(
                "the path of --request must begin with /, got {target:?}"
            ));
        }
        let fields = fields(&args.headers)?;
        let host = fields.iter().find(|(name, _)| name == "host");
        let host = host.map_or(args.host.clone(), |(_, value)| value.clone());
        let mut headers = vec![
            (":method".to_owned(), method.as_bytes().to_vec()),
            (":scheme".to_owned(), b"http".to_vec()),
            (":authority".to_owned(), host.as_bytes().to_vec()),
            (":path".to_owned(), target.as_bytes().to_vec()),
        ];
        headers.extend(
            fields
                .into_iter()
                .filter(|(name, _)| name != "host")
                .map(|(name, value)| (name, value.into_bytes())),
        );
        Ok(Request {
            method: method.to_owned(),
            target: target.to_owned(),
            host: host.to_lowercase(),
            client: args.client,
            headers,
            status: args.status,
            answer: self::fields(&args.answer_headers)?,
        })
    }

    /// The same for another path and query.
    #[must_use]
    pub fn with_target(&self, target: String) -> Request {
        let mut request = self.clone();
        let path = request.headers.iter_mut().find(|(name, _)| name == ":path");
        if let Some((_, value)) = path {
            *value = target.clone().into_bytes();
        }
        Request { target, ..request }
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or(&self.target)
    }

    /// The query parameters as they stand.
    pub fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The values of a field, in order; none without it.
    pub fn values(&self, name: &str) -> Vec<String> {
        let name = if name == "host" { ":authority" } else { name };
        let fields = self.headers.iter().filter(|(field, _)| field == name);
        let value = |(_, value): &(String, Vec<u8>)| String::from_utf8_lossy(value).into_owned();
        fields.map(value).collect()
    }
}

fn fields(lines: &[String]) -> Result<Vec<(String, String)>, String> {
    let field = |line: &String| {
        let (name, value) = line
            .split_once(':')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| format!("a header field must be 'name: value', got {line:?}"))?;
        Ok((name.trim().to_lowercase(), value.trim().to_owned()))
    };
    lines.iter().map(field).collect()
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}, host {}, from {}",
            self.method, self.target, self.host, self.client
        )
    }
}
