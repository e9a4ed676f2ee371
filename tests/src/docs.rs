//! The examples of the documents: finds them, runs them, and compares what comes out with what is printed there.

use crate::envoy::repository;
use std::net::SocketAddr;

/// A fenced block of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The word after the fence.
    pub language: String,
    /// What is between the fences.
    pub text: String,
    /// The document and the line, for messages.
    pub place: String,
}

/// A line that a reader types after `$`, and what is printed below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is typed, continued lines included.
    pub line: String,
    /// What is printed.
    pub output: String,
}

/// The fenced blocks of a document of the repository.
pub fn blocks(document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(repository().join(document))
        .unwrap_or_else(|error| panic!("{document}: {error}"));
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    place: format!("{document}:{}", number + 1),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    blocks
}

impl Block {
    /// Its commands with their output.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut continued = false;
        for line in self.text.lines() {
            let typed = line.strip_prefix("$ ");
            match (typed, commands.last_mut()) {
                (Some(typed), _) => commands.push(Command {
                    line: typed.to_owned(),
                    output: String::new(),
                }),
                (None, Some(command)) if continued => {
                    command.line.push('\n');
                    command.line.push_str(line);
                }
                (None, Some(command)) => {
                    command.output.push_str(line);
                    command.output.push('\n');
                    continue;
                }
                (None, None) => panic!("{}: output without a command", self.place),
            }
            continued = line.ends_with('\\');
        }
        commands
    }
}

/// Types the commands of a block, with the Envoy of the documents (port 10000) at this address.
///
/// # Errors
/// Says wherever the output is not the one that is printed.
pub async fn run(block: &Block, envoy: SocketAddr) -> Result<(), String> {
    const PRINTED: &str = "127.0.0.1:10000";
    let mut wrong = String::new();
    for command in block.commands() {
        let line = command.line.replace(PRINTED, &envoy.to_string());
        let ran = tokio::process::Command::new("bash")
            .args(["-c", &line])
            .current_dir(repository())
            .env("no_proxy", "*")
            .output()
            .await
            .expect("bash starts");
        let out = String::from_utf8_lossy(&ran.stdout).replace(&envoy.to_string(), PRINTED);
        let error = String::from_utf8_lossy(&ran.stderr);
        let (seen, printed) = (
            mask(&out, &command.line),
            mask(&command.output, &command.line),
        );
        if seen != printed || !error.is_empty() {
            wrong.push_str(&format!(
                "{}: $ {}\n--- printed\n{}--- came\n{out}{error}\n",
                block.place, command.line, command.output
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// Fields whose number is another one each time.
const COUNTED: [&str; 5] = [
    "age",
    "retry-after",
    "x-envoy-upstream-service-time",
    "duration_ms",
    "ttl",
];

/// A text without what differs each time: dates, waits, durations, ids that were made and not given by the client.
pub fn mask(text: &str, given: &str) -> String {
    let lines = text.lines().map(|line| mask_line(line.trim_end(), given));
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn mask_line(line: &str, given: &str) -> String {
    if line.starts_with("date: ") {
        return "date: *".to_owned();
    }
    if let Some((name, number)) = line.split_once(": ") {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        if COUNTED.contains(&name) && digits {
            return format!("{name}: #");
        }
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        if word == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let uuid = rest.get(..36).filter(|text| is_uuid(text));
        let taken = uuid.map_or(word, str::len);
        let text = &rest[..taken];
        let hex = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let wait = ["; ttl=", ";t="].iter().any(|before| out.ends_with(before));
        out.push_str(match text {
            text if (uuid.is_some() || hex) && !given.contains(text) => "~",
            text if wait && text.bytes().all(|byte| byte.is_ascii_digit()) => "#",
            text => text,
        });
        rest = &rest[taken..];
    }
    out
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_commands_with_their_output() {
        let block = Block {
            language: "console".to_owned(),
            text: "$ a \\\n    b\n$ c\nd\n\ne\n".to_owned(),
            place: String::new(),
        };
        let commands = block.commands();
        assert_eq!(
            (commands[0].line.as_str(), commands[0].output.as_str()),
            ("a \\\n    b", "")
        );
        assert_eq!(
            (commands[1].line.as_str(), commands[1].output.as_str()),
            ("c", "d\n\ne\n")
        );
    }

    #[test]
    fn only_what_differs_each_time_is_masked() {
        for (line, masked) in [
            ("date: Wed, 25 Nov 2026 16:19:22 GMT", "date: *"),
            ("retry-after: 12", "retry-after: #"),
            ("content-length: 12", "content-length: 12"),
            (
                "ratelimit: \"tenant\";r=0;t=12",
                "ratelimit: \"tenant\";r=0;t=#",
            ),
            (
                "cache-status: seawall; hit; ttl=58",
                "cache-status: seawall; hit; ttl=#",
            ),
            (
                "x-request-id: 01a2138e-6b4f-725c-bbca-f88699c598d2",
                "x-request-id: ~",
            ),
            (
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-61adbdaf6a8281b2-01",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-~-01",
            ),
        ] {
            assert_eq!(mask(line, "-H 0af7651916cd43dd8448eb211c80319c"), masked);
        }
    }
}
