//! What the README shows of the command is what it prints.

mod common;

use common::repository;
use std::path::Path;
use std::process::Command;

#[test]
fn the_readme_shows_what_the_command_prints() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_seawall")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut seen = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for shown in block
            .split("$ ")
            .filter(|text| text.starts_with("seawall "))
        {
            let (line, printed) = shown.split_once('\n').unwrap();
            let ran = Command::new("bash")
                .args(["-c", line])
                .env("PATH", &path)
                .current_dir(repository())
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&ran.stdout), printed, "$ {line}");
            assert!(ran.stderr.is_empty(), "$ {line}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}
