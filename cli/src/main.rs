//! `seawall`: see [`seawall_cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    seawall_cli::run()
}
