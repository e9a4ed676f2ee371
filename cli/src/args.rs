//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Checks, explains and converts configurations of the Seawall filters for Envoy.
///
/// Exit codes: 0, nothing is wrong; 1, something is wrong with a configuration; 2, the command could not do what it was
/// asked for: a file that cannot be read, an argument that makes no sense.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; in colour on a terminal.
    Text,
    /// For machines.
    Json,
}

/// What a module is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Module {
    /// Limits requests per key.
    RateLimit,
    /// Caches responses.
    ResponseCache,
    /// Breaks the circuit to a dependency.
    CircuitBreaker,
    /// Follows requests.
    TraceHeaders,
    /// All four as one.
    Seawall,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with the Seawall settings in Envoy configurations.
    ///
    /// Reads Envoy configurations (YAML or JSON; static, or delivered route configurations) and Kubernetes manifests
    /// (WasmPlugin, EnvoyExtensionPolicy, a ConfigMap with an Envoy configuration in it). Finds plugin configurations and
    /// metadata of virtual hosts and routes, lays them over each other as Envoy would, and checks them with the code of the
    /// filters.
    Check {
        /// The files; `-` is standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Treat what has no effect as wrong as well.
        #[arg(long)]
        strict: bool,
    },
    /// Say which settings apply to a request, and what each filter would decide and why.
    ///
    /// Takes the request through the decisions of the filters themselves, on a machine of its own: nothing is sent anywhere,
    /// counters are empty, the cache is cold and every breaker is closed.
    Explain(Explain),
    /// Print the JSON Schema of a filter's settings, for editors and other checkers.
    Schema {
        /// The filter.
        #[arg(value_enum)]
        filter: Module,
    },
    /// Turn limits of another proxy into those of rate-limit.
    ///
    /// Reads Envoy's local_ratelimit filter or nginx's limit_req_zone and limit_req, and prints the settings of
    /// seawall.rate_limit. What cannot be carried over is said on standard error, and in the output as a comment.
    Convert {
        /// Where the rules come from.
        #[arg(value_enum)]
        from: From,
        /// The file; `-` is standard input.
        file: PathBuf,
    },
}

/// What rules are converted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Envoy's local_ratelimit filter.
    Envoy,
    /// nginx's limit_req.
    Nginx,
}

/// The request to explain.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The Envoy configuration; `-` is standard input.
    pub file: PathBuf,
    /// Method and path.
    #[arg(long, value_name = "'METHOD PATH'")]
    pub request: String,
    /// A header field of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
    /// The host that the request is for.
    #[arg(long, default_value = "localhost")]
    pub host: String,
    /// The address of the client.
    #[arg(long, default_value = "203.0.113.7")]
    pub client: std::net::IpAddr,
    /// The listener, by its name or the `stat_prefix` of its connection manager; the first one without.
    #[arg(long)]
    pub listener: Option<String>,
    /// The status that the upstream answers with.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// A header field of the upstream's answer; may be repeated.
    #[arg(long = "answer-header", value_name = "'NAME: VALUE'")]
    pub answer_headers: Vec<String>,
}
