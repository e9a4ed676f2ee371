//! The tables of fields in the filters' READMEs name the fields that the types have, all of them and no others.

mod common;

use common::repository;
use seawall_cli::filters::Filter;
use seawall_cli::schema::{paths, rows, shape};

/// The section of a README with the settings.
fn section(readme: &str) -> &str {
    let start = readme.find("\n## Configuration").expect("a section");
    let rest = &readme[start + 2..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|found| found == word)
}

#[test]
fn every_field_of_a_table_is_one_of_the_types() {
    for filter in Filter::ALL {
        let known = paths(&shape(filter));
        let rows = rows(filter.readme());
        assert!(rows.len() > 10, "{}: {} rows", filter.module(), rows.len());
        let wrong: Vec<&str> = rows
            .iter()
            .map(|row| row.field.as_str())
            .filter(|field| {
                !known
                    .iter()
                    .any(|path| path == field || path.ends_with(&format!(".{field}")))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{}: no such fields: {wrong:?}",
            filter.module()
        );
    }
}

#[test]
fn every_field_of_the_types_is_documented() {
    for filter in Filter::ALL {
        let text = section(filter.readme());
        let missing: Vec<String> = paths(&shape(filter))
            .into_iter()
            .filter(|path| !has_word(text, path.rsplit('.').next().unwrap_or(path)))
            .collect();
        assert!(
            missing.is_empty(),
            "{}: not in the tables: {missing:?}",
            filter.module()
        );
    }
}

#[test]
fn every_readme_has_its_sections_in_order() {
    let order = [
        "What it does",
        "Example",
        "Configuration",
        "Behaviour",
        "Responses and headers",
        "Metrics",
        "Failure behaviour",
        "Limits",
    ];
    for filter in Filter::ALL {
        let readme = filter.readme();
        let found: Vec<&str> = readme
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .filter_map(|title| order.into_iter().find(|wanted| title.starts_with(wanted)))
            .collect();
        assert_eq!(found, order, "{}", filter.module());
        assert!(
            readme.contains("```yaml") && readme.contains("curl"),
            "{}: no example",
            filter.module()
        );
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let root = repository();
    let mut files = vec![
        "README.md".into(),
        "CONTRIBUTING.md".into(),
        "deploy/README.md".into(),
    ];
    for folder in [
        "docs",
        "filters/rate-limit",
        "filters/response-cache",
        "filters/circuit-breaker",
        "filters/trace-headers",
    ] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "md") {
                files.push(
                    path.strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    for file in files {
        let path = root.join(&file);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            if !link.is_empty() && !link.contains("://") {
                assert!(path.parent().unwrap().join(link).exists(), "{file}: {link}");
            }
        }
    }
}
