//! The place of a field by its path, as errors name it: `limits[2].key[0].header`.

use super::{Node, Position};

impl Node {
    /// The place of the field at `path`, or of the nearest thing around it. True when it is the field itself.
    pub fn place(&self, path: &str) -> (Position, bool) {
        let mut at = self.at;
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let next = step(node, rest);
            match next {
                Some((place, value, left)) => (at, node, rest) = (place, value, left),
                None => return (at, false),
            }
        }
        (at, true)
    }
}

/// One step of a path: where it leads, and what is left.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(Position, &'n Node, &'p str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let (index, rest) = inside.split_once(']')?;
        let item = node.items().get(index.parse::<usize>().ok()?)?;
        return Some((item.at, item, rest.strip_prefix('.').unwrap_or(rest)));
    }
    // A name may contain dots, as those of headers do not but those of statuses may: the longest that is there.
    let fields = node.fields().iter();
    let field = fields
        .filter(|field| path.starts_with(field.name.as_str()))
        .filter(|field| {
            let rest = &path[field.name.len()..];
            rest.is_empty() || rest.starts_with('.') || rest.starts_with('[')
        })
        .max_by_key(|field| field.name.len())?;
    let rest = &path[field.name.len()..];
    Some((
        field.at,
        &field.value,
        rest.strip_prefix('.').unwrap_or(rest),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn a_path_leads_to_a_line() {
        let text = "limits:\n- name: a\n  key:\n  - header: x\n  requests: many\n";
        let node = read(text).unwrap().remove(0);
        let line = |path: &str| (node.place(path).0.line, node.place(path).1);
        assert_eq!(line("limits[0].requests"), (5, true));
        assert_eq!(line("limits[0].key[0].header"), (4, true));
        assert_eq!(line("limits[0].key[0].header.x"), (4, false));
        assert_eq!(line("limits[0].burst"), (2, false));
        assert_eq!(line("colour"), (1, false));
        assert_eq!(line(""), (1, true));
    }
}
