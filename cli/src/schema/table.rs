//! The tables of fields in a filter's README: `field | type | default | range | meaning`.

use crate::document::read;
use serde_json::Value;

/// A row: a field, in the words of the README.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its path, or the end of it in a table about a part of the settings.
    pub field: String,
    /// Whether the table is the first one, about the settings as a whole.
    pub top: bool,
    /// Its type.
    pub kind: String,
    /// What it is when it is not set.
    pub default: String,
    /// What is allowed.
    pub range: String,
    /// What it means.
    pub meaning: String,
}

impl Row {
    /// The meaning and the range, for a description.
    pub(super) fn text(&self) -> String {
        let mut text = self.meaning.clone();
        if !self.range.is_empty() {
            text.push_str(&format!(" ({})", self.range));
        }
        text
    }

    /// The default, where it is a value by itself.
    pub fn default_value(&self) -> Option<Value> {
        let (text, after) = self.default.strip_prefix('`')?.split_once('`')?;
        if !(after.is_empty() || after.starts_with(':')) {
            return None;
        }
        match self.kind.as_str() {
            "boolean" | "integer" | "number" => serde_json::from_str(text).ok(),
            "duration" | "bytes" => text
                .starts_with(|c: char| c.is_ascii_digit())
                .then(|| text.into()),
            // Line ends are written as in quotes.
            _ if text.contains('\\') => serde_json::from_str(&format!("\"{text}\"")).ok(),
            _ => Some(read(text).ok()?.first()?.json()),
        }
    }

    /// The least and the most of a number.
    pub(super) fn bounds(&self) -> Option<(Value, Value)> {
        if !["integer", "number"].contains(&self.kind.as_str()) {
            return None;
        }
        let mut words = self.range.split([' ', ',', ';']);
        let least = serde_json::from_str(words.next()?).ok()?;
        let most = words
            .next()
            .filter(|word| *word == "to")
            .and(words.next())?;
        Some((least, serde_json::from_str(most).ok()?))
    }
}

/// The rows of all tables of fields.
pub fn rows(readme: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut tables = 0;
    let mut inside = false;
    // Of a table about the fields of one field.
    let mut prefix = String::new();
    for line in readme.lines() {
        let Some(cells) = cells(line) else {
            inside = false;
            continue;
        };
        let head = cells.first().map(String::as_str).unwrap_or_default();
        if (head == "field" || head.starts_with("field of ")) && cells.len() == 5 {
            inside = true;
            let of = head.split('`').nth(1);
            prefix = of
                .map(|of| format!("{}.", of.replace("[]", "")))
                .unwrap_or_default();
            tables += 1;
            continue;
        }
        let [field, kind, default, range, meaning] = cells.as_slice() else {
            continue;
        };
        if !inside || field.starts_with("---") {
            continue;
        }
        for name in field.split(", ") {
            rows.push(Row {
                field: format!("{prefix}{}", name.trim_matches('`').replace("[]", "")),
                top: tables == 1,
                kind: kind.clone(),
                default: default.clone(),
                range: range.clone(),
                meaning: meaning.clone(),
            });
        }
    }
    rows
}

fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let line = line.replace("\\|", "\u{0}");
    Some(
        line.split('|')
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect(),
    )
}

/// The row of a field: the one with its path, or one of a later table whose name it ends with.
pub(super) fn find<'r>(rows: &'r [Row], path: &str) -> Option<&'r Row> {
    let whole = rows.iter().find(|row| row.top && row.field == path);
    whole.or_else(|| {
        rows.iter()
            .filter(|row| !row.top)
            .filter(|row| path == row.field || path.ends_with(&format!(".{}", row.field)))
            .max_by_key(|row| row.field.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_rows() {
        let text = "| field | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n| `a.b` | integer | `5` | 1 to 9 | how many \\| so |\n\n| name | counts |\n|---|---|\n| x | y |\n\n| field | type | default | range | meaning |\n|---|---|---|---|---|\n| `key[].x` | text | | | z |\n";
        let rows = rows(text);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].text(), "how many | so (1 to 9)");
        assert_eq!(rows[0].default_value(), Some(5.into()));
        assert_eq!(find(&rows, "a.b"), Some(&rows[0]));
        assert_eq!(find(&rows, "list.key.x"), Some(&rows[1]));
        assert_eq!(find(&rows, "b"), None);
    }
}
