//! The configuration files that the repository ships, as they are but for addresses, paths and the time to connect.

use super::builder::free_address;
use super::find::{dist, repository};
use super::process::{validate, Envoy, Files};
use std::net::SocketAddr;

/// A file under `envoy/`, with its addresses replaced.
#[derive(Debug, Clone)]
pub struct Shipped {
    text: String,
    listener: SocketAddr,
}

impl Shipped {
    /// Reads a file of the repository, such as `envoy/envoy.yaml`. Listener 10000 and the admin port 9901 move to free ones, and
    /// `dist/` becomes the folder of the built modules.
    pub fn new(file: &str) -> Self {
        let text = std::fs::read_to_string(repository().join(file)).expect("the file is there");
        let mut shipped = Shipped {
            text,
            listener: free_address(),
        };
        let listener = shipped.listener;
        shipped = shipped.port(10000, listener);
        shipped = shipped.port(9901, "127.0.0.1:0".parse().expect("an address"));
        // A worker that waits for a processor must not take a connection for late.
        shipped.text = shipped
            .text
            .replace("connect_timeout: 1s", "connect_timeout: 20s");
        for filter in [
            "rate-limit",
            "response-cache",
            "circuit-breaker",
            "trace-headers",
        ] {
            let relative = format!("dist/{filter}.wasm");
            if shipped.text.contains(&relative) {
                let path = dist(filter).display().to_string();
                shipped.text = shipped.text.replace(&relative, &path);
            }
        }
        shipped
    }

    /// Listens there instead of on a free port.
    pub fn listening(mut self, address: SocketAddr) -> Self {
        let before = self.listener.port();
        self = self.replace(
            &format!("port_value: {before}"),
            &format!("port_value: {}", address.port()),
        );
        self.listener = address;
        self
    }

    /// Puts the admin interface there instead of on a free port.
    pub fn admin(self, address: SocketAddr) -> Self {
        self.replace(
            "port_value: 0 ",
            &format!("port_value: {} ", address.port()),
        )
    }

    /// Moves a port of the file to another address on this machine.
    pub fn port(mut self, port: u16, to: SocketAddr) -> Self {
        let (what, with) = (
            format!("port_value: {port}"),
            format!("port_value: {}", to.port()),
        );
        // A port that came in before may begin with the same digits.
        let mut parts = self.text.split(&what);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for rest in parts {
            let longer = rest.starts_with(|next: char| next.is_ascii_digit());
            text.push_str(if longer { &what } else { &with });
            text.push_str(rest);
        }
        self.text = text;
        self
    }

    /// Replaces any text.
    pub fn replace(mut self, what: &str, with: &str) -> Self {
        assert!(
            self.text.contains(what),
            "the file does not contain {what:?}"
        );
        self.text = self.text.replace(what, with);
        self
    }

    /// It as it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Starts an Envoy with it.
    pub async fn start(self, workers: u32) -> Envoy {
        Envoy::launch(
            Files::new(),
            &self.text,
            "yaml",
            workers,
            Some(self.listener),
            None,
            Vec::new(),
        )
        .await
    }

    /// What Envoy says of it without starting.
    ///
    /// # Errors
    /// What it prints when it refuses.
    pub async fn validate(self) -> Result<(), String> {
        let files = Files::new();
        let path = files.write("envoy.yaml", &self.text);
        validate(&path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_begins_with_the_digits_of_another_stays() {
        let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let shipped = Shipped {
            text: "port_value: 4318 }, port_value: 43185 }\nport_value: 4318".to_owned(),
            listener: nobody,
        };
        let text = "port_value: 1 }, port_value: 43185 }\nport_value: 1";
        assert_eq!(shipped.port(4318, nobody).text, text);
    }
}
