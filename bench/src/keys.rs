//! Load for many keys over HTTP/2: four clients, each with a connection, sixteen requests at a time and a list of its own.
//!
//! Few busy connections leave the proxy something to do all the time. With a request at a time on many, the CPU time of a
//! request is mostly that of waking up for it, which depends on what else the machine does.

use crate::process::{on_processor, Proxy};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const CLIENTS: usize = 4;

/// The next of a sequence that looks random (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// One request for each key below `keys`.
pub fn each(proxy: &Proxy, keys: u64, folder: &Path) -> Result<(), Box<dyn Error>> {
    let each = (keys as usize).div_ceil(CLIENTS);
    let load = Load {
        proxy,
        path: "/",
        each,
        processor: None,
        folder,
    };
    load.run(|client, number| (client * each + number) as u64 % keys)?;
    Ok(())
}

/// So many requests for random keys below `keys`; answers the CPU time per request.
pub fn random(
    proxy: &Proxy,
    keys: u64,
    requests: usize,
    folder: &Path,
) -> Result<f64, Box<dyn Error>> {
    let mut state = proxy.cpu().as_nanos() as u64;
    let load = Load {
        proxy,
        path: "/",
        each: requests.div_ceil(CLIENTS),
        processor: None,
        folder,
    };
    load.run(|_, _| next(&mut state) % keys)
}

/// So many requests on a path, each with the next key from `first` on, by clients on one processor; answers the CPU time per
/// request.
pub fn fresh(
    proxy: &Proxy,
    path: &str,
    first: u64,
    requests: usize,
    processor: usize,
    folder: &Path,
) -> Result<f64, Box<dyn Error>> {
    let each = requests.div_ceil(CLIENTS);
    let load = Load {
        proxy,
        path,
        each,
        processor: Some(processor),
        folder,
    };
    load.run(|client, number| first + (client * each + number) as u64)
}

/// `each` requests of each client, with keys behind a path.
struct Load<'a> {
    proxy: &'a Proxy,
    path: &'a str,
    each: usize,
    processor: Option<usize>,
    folder: &'a Path,
}

impl Load<'_> {
    /// The CPU time of the proxy per request.
    fn run(&self, mut key: impl FnMut(usize, usize) -> u64) -> Result<f64, Box<dyn Error>> {
        let Load {
            proxy, path, each, ..
        } = *self;
        let mut commands = Vec::new();
        for client in 0..CLIENTS {
            let mut list = String::with_capacity(each * 32);
            for number in 0..each {
                let key = key(client, number);
                let _ = writeln!(list, "http://{}{path}?k={key}", proxy.address);
            }
            let file = self.folder.join(format!("keys-{client}.txt"));
            fs::write(&file, list)?;
            let mut command = match self.processor {
                Some(processor) => on_processor(processor, "h2load"),
                None => Command::new("h2load"),
            };
            command
                .args(["-t1", "-c1", "-m16", "-n"])
                .arg(each.to_string())
                .arg("-i")
                .arg(file)
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            commands.push(command);
        }
        let cpu = proxy.cpu();
        let mut running = Vec::new();
        for command in &mut commands {
            let child = command.spawn().map_err(|error| {
                format!(
                    "h2load cannot be run ({error}); Debian and Ubuntu: apt-get install nghttp2-client"
                )
            })?;
            running.push(child);
        }
        for child in running {
            let text = child.wait_with_output()?.stdout;
            let text = String::from_utf8_lossy(&text);
            if !text.contains(&format!("{each} 2xx, 0 3xx")) {
                return Err(format!("not every request was answered with 200: {text}").into());
            }
        }
        let cpu = proxy.cpu() - cpu;
        Ok(cpu.as_secs_f64() * 1e6 / (each * CLIENTS) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn keys_are_spread() {
        let mut state = 1;
        let mut seen: Vec<u64> = (0..1000).map(|_| next(&mut state) % 1000).collect();
        seen.sort_unstable();
        seen.dedup();
        // Of a thousand draws, 632 different ones are to be expected.
        assert!((580..690).contains(&seen.len()), "{}", seen.len());
    }
}
